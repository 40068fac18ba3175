package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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
		table, rest, _ := strings.Cut(e.Name(), ".")
		day, batch, ok := strings.Cut(rest, ".")
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

// claim makes the staging folder of writer and locks it as long as the file
// that it gives is open.
func claim(root, writer string, fileMode, dirMode fs.FileMode) (*os.File, error) {
	dir := stagingDir(root, writer)
	if err := makeDir(dir, dirMode); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, lock), os.O_CREATE|os.O_RDWR, fileMode)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("writer %q is in use by another process or component: give each its own name: %w", writer, err), f.Close())
	}
	return f, nil
}
