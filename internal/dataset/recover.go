package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// cleanUp removes what a writer of this name left when it was killed. A file
// of trajectories that still lies in the staging folder is a commit that did
// not happen, so the files of that batch and day that had already been moved are removed, too.
func cleanUp(root, writer string) error {
	dir := stagingDir(root, writer)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if e.Name() == lock {
			continue
		}
		table, day, batch, ok := parseStaged(e.Name())
		if ok && table == TableTrajectories {
			errs = append(errs, removeParts(root, writer, day, batch))
		}
		errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return errors.Join(errs...)
}

// removeParts keeps facts: they stand for themselves and are known by their id.
func removeParts(root, writer, day, batch string) error {
	var errs []error
	for _, table := range []string{TableMessages, TableSteps, TableRewards} {
		err := os.Remove(finalPath(root, table, day, writer, batch))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// claim makes the staging folder of writer and locks it until it is released.
func claim(root, writer string, fileMode, dirMode fs.FileMode) (*os.File, error) {
	dir := stagingDir(root, writer)
	path := filepath.Join(dir, lock)
	for {
		if err := makeDir(dir, dirMode); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, fileMode)
		if err != nil {
			return nil, err
		}
		if err := lockFile(f); err != nil {
			return nil, errors.Join(fmt.Errorf("writer %q is in use by another process or component: give each its own name: %w", writer, err), f.Close())
		}
		if isAt(f, path) {
			return f, nil
		}
		_ = f.Close() // its owner released it between our two steps
	}
}

// release removes the lock and the staging folder, if nothing else is in it.
func release(f *os.File) error {
	_ = os.Remove(f.Name()) // an open file cannot be removed everywhere; its lock ends anyway
	_ = os.Remove(filepath.Dir(f.Name()))
	return f.Close()
}

func isAt(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(mine, there)
}
