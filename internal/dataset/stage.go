package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// stage is one file set on its way: files are created aside, made durable,
// and moved to their places together.
type stage struct {
	root, writer, batch string
	dir                 string // where files are made
	fileMode, dirMode   fs.FileMode
	rowGroupBytes       int64
	files               []*stagedFile
}

type stagedFile struct {
	File
	day   string
	tmp   string
	final string
	moved bool
	out   *os.File
}

func stagingDir(root, writer string) string {
	return filepath.Join(versionDir(root), tmpDir, writer)
}

func (s *stage) create(table, day string) (*stagedFile, error) {
	f := &stagedFile{
		File:  File{Table: table, Path: finalPath(s.root, table, day, s.writer, s.batch)},
		day:   day,
		tmp:   filepath.Join(s.dir, strings.Join([]string{table, day, s.batch}, ".")),
		final: finalPath(s.root, table, day, s.writer, s.batch),
	}
	var err error
	if f.out, err = os.OpenFile(f.tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, s.fileMode); err != nil {
		return nil, err
	}
	s.files = append(s.files, f)
	return f, nil
}

// finish syncs and closes the file.
func (f *stagedFile) finish() error {
	info, err := f.out.Stat()
	if err == nil {
		f.Bytes = info.Size()
		err = f.out.Sync()
	}
	err = errors.Join(err, f.out.Close())
	f.out = nil
	return err
}

// commit moves the files to their places, trajectories last, each step made
// durable before the next.
func (s *stage) commit() error {
	s.order()
	for _, f := range s.files {
		if err := makeDir(filepath.Dir(f.final), s.dirMode); err != nil {
			return err
		}
	}
	rows := slices.IndexFunc(s.files, func(f *stagedFile) bool { return f.Table == TableTrajectories })
	if rows < 0 {
		rows = len(s.files)
	}
	for _, part := range [][]*stagedFile{s.files[:rows], s.files[rows:]} {
		for _, f := range part {
			if err := os.Rename(f.tmp, f.final); err != nil {
				return err
			}
			f.moved = true
		}
		for _, f := range part {
			if err := syncDir(filepath.Dir(f.final)); err != nil {
				return err
			}
		}
	}
	return nil
}

// order is that in which files become visible.
func (s *stage) order() {
	slices.SortStableFunc(s.files, func(a, b *stagedFile) int {
		return slices.Index(Tables, a.Table) - slices.Index(Tables, b.Table)
	})
}

// remove takes back everything, what counts as the commit first.
func (s *stage) remove() error {
	var errs []error
	for _, f := range slices.Backward(s.files) {
		if f.out != nil {
			errs = append(errs, f.out.Close())
		}
		path := f.tmp
		if f.moved {
			path = f.final
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	s.files = nil
	return errors.Join(errs...)
}

// makeDir makes dir and its parents, and makes their names durable.
func makeDir(dir string, mode fs.FileMode) error {
	info, err := os.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		return fmt.Errorf("%s is not a folder", dir)
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeDir(parent, mode); err != nil {
		return err
	}
	if err := os.Mkdir(dir, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // folders cannot be synced there
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
