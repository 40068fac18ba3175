package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// replacement is a note that files were made from others, which are to go. It
// is written before the first of the new files takes its place, so whatever
// happens it can be told which of the two count.
type replacement struct {
	Version  int       `json:"version"` // 1
	At       time.Time `json:"at"`
	Made     []string  `json:"made"`     // below the version's folder, in the order of the commit
	Replaced []string  `json:"replaced"` // what is to be removed, trajectories first

	path string
}

func upkeepDir(root string) string { return filepath.Join(versionDir(root), upkeep) }

// note writes r down durably.
func (r *replacement) note(root, batch string, fileMode, dirMode fs.FileMode) error {
	r.path = filepath.Join(upkeepDir(root), batch+".json")
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return writeDurably(r.path, text, fileMode, dirMode)
}

// notes lists the replacements that are not done with, oldest first.
func notes(root string) (list []*replacement, err error) {
	paths, err := filepath.Glob(filepath.Join(upkeepDir(root), "*.json"))
	if err != nil {
		return nil, err
	}
	slices.Sort(paths)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		r := &replacement{path: path}
		if err := json.Unmarshal(text, r); err != nil || r.Version != 1 || !r.local() {
			return nil, fmt.Errorf("read %s: it is broken: move the file away; what it names is merged again", path)
		}
		list = append(list, r)
	}
	return list, nil
}

// local guards against names that lead out of the dataset.
func (r *replacement) local() bool {
	outside := func(name string) bool { return !filepath.IsLocal(filepath.FromSlash(name)) }
	return !slices.ContainsFunc(r.Made, outside) && !slices.ContainsFunc(r.Replaced, outside)
}

// committed reports whether the new files count. The last of them is the commit.
func (r *replacement) committed(root string) (bool, error) {
	if len(r.Made) == 0 {
		return true, nil
	}
	_, err := os.Stat(r.at(root, r.Made[len(r.Made)-1]))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// undo removes new files that do not count, and the note.
func (r *replacement) undo(root string) error {
	_, err := r.remove(root, r.Made)
	return err
}

// finish removes the files that were replaced, and the note.
func (r *replacement) finish(root string) (removed []File, err error) {
	return r.remove(root, r.Replaced)
}

func (r *replacement) remove(root string, names []string) (removed []File, err error) {
	for _, name := range names {
		path := r.at(root, name)
		info, err := os.Stat(path)
		if err == nil {
			err = os.Remove(path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return removed, err
		}
		removed = append(removed, File{Table: tableOf(name), Path: path, Bytes: info.Size()})
	}
	return removed, os.Remove(r.path)
}

func (r *replacement) at(root, name string) string {
	return filepath.Join(versionDir(root), filepath.FromSlash(name))
}

func tableOf(name string) string {
	table, _, _ := strings.Cut(name, "/")
	return table
}

// nameIn is a path below the version's folder, as notes have it.
func nameIn(root, path string) (string, error) {
	name, err := filepath.Rel(versionDir(root), path)
	return filepath.ToSlash(name), err
}

// writeDurably makes a small file, whole or not at all.
func writeDurably(path string, text []byte, fileMode, dirMode fs.FileMode) error {
	dir := filepath.Dir(path)
	if err := makeDir(dir, dirMode); err != nil {
		return err
	}
	tmp := filepath.Join(dir, "."+filepath.Base(path)+".tmp")
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return errors.Join(os.Rename(tmp, path), syncDir(dir))
}
