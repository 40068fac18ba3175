package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Files lists the committed files of a table of the dataset at root, sorted
// by path. Names that begin with "." or "_" are skipped, folders as well as
// files. A table that nobody wrote to has none; a root that does not exist is an error.
func Files(root, table string) ([]string, error) {
	if !slices.Contains(Tables, table) {
		return nil, fmt.Errorf("list files of table %q: the tables are %s", table, strings.Join(Tables, ", "))
	}
	var files []string
	if _, err := os.Stat(root); err != nil {
		return nil, fmt.Errorf("list files of table %q: no dataset at %s: %w", table, root, err)
	}
	dir := filepath.Join(versionDir(root), table)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil && path == dir && errors.Is(err, fs.ErrNotExist):
			return fs.SkipAll
		case err != nil:
			return err
		case path != dir && strings.ContainsAny(e.Name()[:1], "._"):
			if e.IsDir() {
				return fs.SkipDir
			}
		case !e.IsDir() && filepath.Ext(path) == fileExt:
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list files of table %q: %w", table, err)
	}
	slices.Sort(files)
	return files, nil
}
