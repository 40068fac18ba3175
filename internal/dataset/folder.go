package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

// folder is a dataset on a file system, and one writer's place in it.
type folder struct {
	root, writer string
	dirMode      fs.FileMode
	lock         *os.File
}

func openFolder(root, writer string, opts Options) (*folder, error) {
	lock, err := claim(root, writer, opts.FileMode, opts.DirMode)
	if err != nil {
		return nil, fmt.Errorf("open dataset %s: %w", root, err)
	}
	if err := cleanUp(root, writer); err != nil {
		return nil, errors.Join(fmt.Errorf("clean up dataset %s: %w", root, err), release(lock))
	}
	return &folder{root: root, writer: writer, dirMode: opts.DirMode, lock: lock}, nil
}

func stagingDir(root, writer string) string {
	return filepath.Join(versionDir(root), tmpDir, writer)
}

func (f *folder) staging() (string, error) {
	dir := stagingDir(f.root, f.writer)
	return dir, makeDir(dir, f.dirMode) // somebody may have removed the dataset
}

func (f *folder) path(name string) string { return filepath.Join(f.root, filepath.FromSlash(name)) }

// publish moves the files to their places.
func (f *folder) publish(ctx context.Context, s *stage) error {
	if err := s.check(ctx); err != nil { // the staged files are there: see [keeper.underWay]
		return err
	}
	for _, file := range s.files {
		if err := makeDir(filepath.Dir(file.Path), f.dirMode); err != nil {
			return err
		}
	}
	parts, commits := s.parts()
	for _, list := range [][]*stagedFile{parts, commits} {
		for _, file := range list {
			if err := os.Rename(file.tmp, file.Path); err != nil {
				return err
			}
			file.moved = true
		}
		for _, file := range list {
			if err := syncDir(filepath.Dir(file.Path)); err != nil {
				return err
			}
		}
	}
	return nil
}

// takeBack removes everything, what counts as the commit first.
func (f *folder) takeBack(s *stage) error {
	var errs []error
	for _, file := range slices.Backward(s.files) {
		if !file.moved {
			continue
		}
		if err := os.Remove(file.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (f *folder) warning() error { return nil }

func (f *folder) close() error { return release(f.lock) }

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
