package parquetexporter

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/tracegrad/tracegrad/internal/bucket"
)

// folder is a quarantine on a file system.
type folder string

func (f folder) sizes(context.Context) (sizes []int64, err error) {
	entries, err := os.ReadDir(string(f))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil { // else it was removed just now
			sizes = append(sizes, info.Size())
		}
	}
	return sizes, nil
}

func (f folder) put(_ context.Context, name string, lines []byte) (string, error) {
	if err := os.MkdirAll(string(f), 0o750); err != nil {
		return "", err
	}
	at := filepath.Join(string(f), name)
	if err := os.WriteFile(at, lines, 0o640); err != nil {
		return "", errors.Join(err, os.Remove(at))
	}
	return at, nil
}

func (folder) close() error { return nil }

// objects is a quarantine in a bucket.
type objects struct {
	*bucket.Bucket
	below string
}

func (o objects) sizes(ctx context.Context) (sizes []int64, err error) {
	list, err := o.List(ctx, o.below+"/")
	for _, file := range list {
		sizes = append(sizes, file.Bytes)
	}
	return sizes, err
}

func (o objects) put(ctx context.Context, name string, lines []byte) (string, error) {
	at := path.Join(o.below, name)
	return o.String() + "/" + at, o.Put(ctx, at, bytes.NewReader(lines), int64(len(lines)))
}

func (o objects) close() error { return o.Close() }
