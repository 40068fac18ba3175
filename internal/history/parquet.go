package history

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/parquet-go/parquet-go"

	"github.com/tracegrad/tracegrad/internal/records"
)

const (
	// maxColumns bounds the leaves of a Parquet file: dataframes have one for
	// every attribute that a span had.
	maxColumns = 10_000

	// maxSchemaDepth bounds how deep columns lie in each other.
	maxSchemaDepth = 64

	parquetAtOnce = 16
)

func isParquet(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false // opening it again says why
	}
	defer f.Close()
	var magic [len(parquetMagic)]byte
	_, err = io.ReadFull(f, magic[:])
	return err == nil && string(magic[:]) == parquetMagic
}

// parquetFile reads the rows of a Parquet file as JSON objects: lists are
// arrays, maps and groups are objects, times are text.
func parquetFile(path string, skip int) records.Seq {
	return func(yield func(records.Record, error) bool) {
		f, err := os.Open(path)
		if err != nil {
			yield(records.Record{File: path}, fmt.Errorf("open file: %w", err))
			return
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			yield(records.Record{File: path}, fmt.Errorf("open file: %w", err))
			return
		}
		p := &parquetReader{name: path, size: info.Size(), skip: skip, yield: yield}
		if err := p.run(f); err != nil && !p.stopped {
			yield(records.Record{File: path, Number: p.number + 1, Row: p.number + 1}, fmt.Errorf("read Parquet file %s: %w", path, err))
		}
	}
}

type parquetReader struct {
	name    string
	size    int64
	skip    int
	yield   func(records.Record, error) bool
	total   int64
	number  int
	stopped bool
	root    *column
	text    bytes.Buffer
}

// run reads the whole file. The library panics on some broken files.
func (p *parquetReader) run(f io.ReaderAt) (err error) {
	inside := true // the library, not the consumer
	defer func() {
		if broken := recover(); broken != nil {
			if !inside {
				panic(broken)
			}
			err = fmt.Errorf("the file is broken: %v", broken)
		}
	}()
	if err := checkFooter(f, p.size); err != nil {
		return err
	}
	file, err := parquet.OpenFile(f, p.size, parquet.SkipBloomFilters(true), parquet.SkipPageIndex(true))
	if err != nil {
		return err
	}
	if err := checkPages(f, p.size, file); err != nil {
		return err
	}
	p.total = file.NumRows()
	if p.root, err = newColumns(file); err != nil {
		return err
	}
	for _, group := range file.RowGroups() {
		if int64(p.number)+group.NumRows() <= int64(p.skip) {
			p.number += int(group.NumRows())
			continue
		}
		if err := p.group(group, &inside); err != nil || p.stopped {
			return err
		}
	}
	return nil
}

func (p *parquetReader) group(group parquet.RowGroup, inside *bool) (err error) {
	rows := group.Rows()
	defer func() { err = errors.Join(err, rows.Close()) }()
	if skip := p.skip - p.number; skip > 0 {
		if err := rows.SeekToRow(int64(skip)); err != nil {
			return err
		}
		p.number += skip
	}
	var room [parquetAtOnce]parquet.Row
	for {
		n, err := rows.ReadRows(room[:])
		for _, row := range room[:n] {
			r, bad := p.row(row)
			*inside = false
			p.stopped = !p.yield(r, bad)
			if *inside = true; p.stopped {
				return nil
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (p *parquetReader) row(row parquet.Row) (records.Record, error) {
	p.number++
	r := records.Record{File: p.name, Number: p.number, Row: p.number}
	if p.total > 0 {
		r.Read = int64(float64(p.size) * float64(p.number) / float64(p.total))
	}
	p.text.Reset()
	p.root.clear()
	for _, v := range row {
		if at := v.Column(); at >= 0 && at < len(p.root.leaves) {
			p.root.leaves[at].values = append(p.root.leaves[at].values, v)
		}
	}
	p.root.write(&p.text)
	if p.text.Len() > records.MaxBytes {
		return r, &records.Error{Record: r, Err: fmt.Errorf("row %w: more than %d bytes", records.ErrTooLong, records.MaxBytes)}
	}
	r.Data = p.text.Bytes()
	return r, nil
}
