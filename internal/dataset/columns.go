package dataset

import (
	"fmt"
	"os"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// checkColumns fails unless a file can be rewritten with T's columns without
// loss: it has every column that is never NULL, and none that T does not know
// (a newer version wrote it, or somebody else).
func checkColumns[T any](path string) (err error) {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	defer func() { // what the library does about some broken footers
		if p := recover(); p != nil {
			err = fmt.Errorf("broken data: %v", p)
		}
	}()
	opened, err := parquet.OpenFile(file, info.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return err
	}
	return sameColumns(opened.Schema(), parquet.SchemaOf(new(T)))
}

func sameColumns(have, want *parquet.Schema) error {
	for _, path := range have.Columns() {
		name := strings.Join(path, ".")
		theirs, _ := have.Lookup(path...)
		ours, known := want.Lookup(path...)
		switch {
		case !known:
			return fmt.Errorf("its column %s is not known to this version: use the version that wrote it", name)
		case theirs.Node.Type().Kind() != ours.Node.Type().Kind():
			return fmt.Errorf("its column %s is %s instead of %s", name, theirs.Node.Type(), ours.Node.Type())
		}
	}
	for _, f := range want.Fields() {
		if f.Optional() {
			continue
		}
		found := false
		for _, g := range have.Fields() {
			found = found || g.Name() == f.Name()
		}
		if !found {
			return fmt.Errorf("it has no column %s", f.Name())
		}
	}
	return nil
}
