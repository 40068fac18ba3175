package main

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// unpacked returns the folder of captures; of gzipped ones a folder beside the
// datasets that holds them as they were.
func unpacked(captures, out string) (string, error) {
	files, err := filepath.Glob(filepath.Join(captures, "*.jsonl.gz"))
	if err != nil || len(files) == 0 {
		return captures, err
	}
	dir := filepath.Join(out, "captures")
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return "", err
	}
	for _, f := range files {
		if err := unpack(f, filepath.Join(dir, strings.TrimSuffix(filepath.Base(f), ".gz"))); err != nil {
			return "", fmt.Errorf("unpack %s: %w", f, err)
		}
	}
	return dir, nil
}

func unpack(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	z, err := gzip.NewReader(in)
	if err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, z) //nolint:gosec // captures are the repository's own
	return err
}
