package dataset

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// place is where a writer's file sets go: a [folder] or a [store].
type place interface {
	// staging is the local folder that files are written to first. It is there.
	staging() (string, error)
	// path is what the file of that name is called where users see it.
	path(name string) string
	// publish puts the files of a set where they belong, trajectories last, each
	// step durable before the next.
	publish(ctx context.Context, s *stage) error
	// takeBack removes what publish left of a set when it failed.
	takeBack(s *stage) error
	// warning is what went wrong at the start and may pass; nil = nothing.
	warning() error
	close() error
}

// stage is one file set on its way: files are created aside, made durable,
// and published together.
type stage struct {
	place         place
	dir           string // the place's staging folder
	durable       bool   // what is in dir must survive a crash of the machine
	writer, batch string
	fileMode      fs.FileMode
	rowGroupBytes int64
	files         []*stagedFile

	check func(context.Context) error // once it can be seen from outside that a set is under way
}

type stagedFile struct {
	File
	name  string // below the dataset's root, with slashes
	day   string
	tmp   string
	moved bool // it may be where it belongs

	durable bool // see stage
	out     *os.File
}

func (s *stage) create(table, day string) (*stagedFile, error) {
	name := objectName(table, day, s.writer, s.batch)
	f := &stagedFile{
		File: File{Table: table, Path: s.place.path(name)},
		name: name,
		day:  day, durable: s.durable,
		tmp: filepath.Join(s.dir, stagedName(table, day, s.batch)),
	}
	var err error
	if f.out, err = os.OpenFile(f.tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, s.fileMode); err != nil {
		return nil, err
	}
	s.files = append(s.files, f)
	return f, nil
}

// finish closes the file, which is then whole.
func (f *stagedFile) finish() error {
	info, err := f.out.Stat()
	if err == nil {
		f.Bytes = info.Size()
	}
	if err == nil && f.durable {
		err = f.out.Sync()
	}
	err = errors.Join(err, f.out.Close())
	f.out = nil
	return err
}

// order is that in which files become visible.
func (s *stage) order() {
	slices.SortStableFunc(s.files, func(a, b *stagedFile) int {
		return slices.Index(Tables, a.Table) - slices.Index(Tables, b.Table)
	})
}

// commit puts the files where they belong.
func (s *stage) commit(ctx context.Context) error { return s.place.publish(ctx, s) }

// remove takes back everything.
func (s *stage) remove() error { return errors.Join(s.place.takeBack(s), s.drop()) }

// parts are the files in the order in which a commit makes them visible: those
// of trajectories apart, for they are the commit.
func (s *stage) parts() (parts, commits []*stagedFile) {
	s.order()
	n := slices.IndexFunc(s.files, func(f *stagedFile) bool { return f.Table == TableTrajectories })
	if n < 0 {
		n = len(s.files)
	}
	return s.files[:n], s.files[n:]
}

// drop closes and removes what is still in the staging folder.
func (s *stage) drop() error {
	var errs []error
	for _, f := range s.files {
		if f.out != nil {
			errs = append(errs, f.out.Close())
			f.out = nil
		}
		if err := os.Remove(f.tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// stagedName is what a file is called while it is written.
func stagedName(table, day, batch string) string {
	return strings.Join([]string{table, day, batch}, ".")
}

// parseStaged is the inverse of stagedName.
func parseStaged(name string) (table, day, batch string, ok bool) {
	table, rest, _ := strings.Cut(name, ".")
	day, batch, ok = strings.Cut(rest, ".")
	return table, day, batch, ok && slices.Contains(Tables, table)
}
