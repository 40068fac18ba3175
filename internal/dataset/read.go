package dataset

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/parquet-go/parquet-go"
)

// ReadFile hands each row of a Parquet file to a function, which may keep it: no
// row is used again. T's fields name the columns that are read. A broken page is
// an error.
func ReadFile[T any](path string, each func(*T)) (err error) {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	defer func() { // what the library does about some kinds of broken pages
		if p := recover(); p != nil {
			err = fmt.Errorf("broken data: %v", p)
		}
	}()
	opened, err := parquet.OpenFile(file, info.Size())
	if err != nil {
		return err
	}
	reader := parquet.NewGenericReader[T](opened)
	defer func() { err = errors.Join(err, reader.Close()) }()
	for {
		rows := make([]T, 256) // not reused: rows share memory with what is kept
		n, err := reader.Read(rows)
		for i := range rows[:n] {
			each(&rows[i])
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
