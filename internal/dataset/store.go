package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// Bucket is an object store that holds a dataset. Names are those of the files
// below the dataset's root, with slashes. An object is there whole or not at
// all, and [Bucket.List] shows it as soon as Put returned.
type Bucket interface {
	// Put stores what r holds, size bytes, as the object of that name.
	Put(ctx context.Context, name string, r io.Reader, size int64) error
	// Get copies an object of a known size to w. The error of one that is not
	// there is fs.ErrNotExist.
	Get(ctx context.Context, name string, w io.Writer, size int64) error
	// List is the objects whose names begin with a prefix, sorted by name.
	List(ctx context.Context, prefix string) ([]Object, error)
	// Remove removes an object; one that is not there is no error.
	Remove(ctx context.Context, name string) error

	String() string // the dataset's root, in the user's words
	io.Closer
}

// Object is an object of a [Bucket].
type Object struct {
	Name  string
	Bytes int64
	Time  time.Time // when it was stored
}

const (
	// publishLimit bounds how long a file set takes into a bucket, and leftover is
	// the age at which a set that is still under way counts as given up. Between
	// the two is room for clocks that differ: a writer of the same name may be
	// starting on another machine while this one commits.
	publishLimit = 30 * time.Minute
	leftover     = 2 * time.Hour
	// sweepLimit bounds how long a start waits for the bucket.
	sweepLimit = 15 * time.Second
)

// store is a dataset in a bucket, and one writer's place in it. Files are
// written into a local folder and put into the bucket from there.
//
// A bucket has no rename and no lock. While a set is under way an empty object
// in the folder v1/_tmp/<writer>/, one per day, tells of it: it is there before
// the first file of that day and goes when the commit is done.
type store struct {
	bucket Bucket
	local  *folder // its root is for staging only; its lock is for this machine
	clock  func() time.Time

	sweepAt time.Time // when to look for leftovers again; zero = not
	failed  error     // of the first sweep
}

func openStore(b Bucket, writer string, opts Options) (*store, error) {
	local, err := openFolder(opts.Staging, writer, opts)
	if err != nil {
		return nil, fmt.Errorf("%w (files are written there before they go to %s)", err, b)
	}
	s := &store{bucket: b, local: local, clock: opts.Clock}
	ctx, cancel := context.WithTimeout(context.Background(), sweepLimit)
	defer cancel()
	if err := s.sweep(ctx); err != nil {
		s.failed = fmt.Errorf("look for leftovers in dataset %s: %w", b, err)
	}
	return s, nil
}

func (s *store) staging() (string, error) { return s.local.staging() }

func (s *store) path(name string) string { return s.bucket.String() + "/" + name }

func (s *store) warning() error { return s.failed }

func (s *store) close() error { return errors.Join(s.local.close(), s.bucket.Close()) }

// publish puts the files into the bucket.
func (s *store) publish(ctx context.Context, set *stage) error {
	ctx, cancel := context.WithTimeout(ctx, publishLimit)
	defer cancel()
	if !s.sweepAt.IsZero() && !s.clock().Before(s.sweepAt) {
		if err := s.sweep(ctx); err != nil {
			return err
		}
	}
	_, commits := set.parts()
	for _, f := range commits {
		if err := s.bucket.Put(ctx, s.marker(set, f), strings.NewReader(""), 0); err != nil {
			return err
		}
	}
	if err := set.check(ctx); err != nil { // after the markers: see [keeper.underWay]
		return err
	}
	for _, f := range set.files {
		if err := putFile(ctx, s.bucket, f); err != nil {
			return err
		}
	}
	for _, f := range commits {
		if err := s.bucket.Remove(ctx, s.marker(set, f)); err != nil {
			s.sweepLater() // the set is committed all the same
		}
	}
	return set.drop()
}

func putFile(ctx context.Context, b Bucket, f *stagedFile) error {
	r, err := os.Open(f.tmp)
	if err != nil {
		return err
	}
	defer r.Close()
	f.moved = true // whatever becomes of the call: the bucket may have it
	return b.Put(ctx, f.name, r, f.Bytes)
}

// takeBack removes the files of a set that cannot be seen. Once a file of
// trajectories was sent nobody knows whether the bucket has it, or will: the
// files stay until [store.sweep] can tell. If it has, the rows count, until the
// same trajectories come in a later batch.
func (s *store) takeBack(set *stage) error {
	_, commits := set.parts()
	for _, f := range commits {
		if f.moved {
			s.sweepLater()
			return nil
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), sweepLimit)
	defer cancel()
	for _, f := range set.files {
		if f.moved {
			if err := s.bucket.Remove(ctx, f.name); err != nil {
				s.sweepLater() // they cannot be seen: no harm but their bytes
				return nil
			}
		}
	}
	for _, f := range commits {
		if err := s.bucket.Remove(ctx, s.marker(set, f)); err != nil {
			s.sweepLater()
			return nil
		}
	}
	return nil
}

func (s *store) sweepLater() { s.sweepAt = s.clock().Add(leftover) }

func (s *store) marker(set *stage, f *stagedFile) string {
	return path.Join(layout, tmpDir, s.local.writer, stagedName(f.Table, f.day, set.batch))
}

// sweep removes what sets left that were given up: the files of each day that
// has no trajectories. Sets that may still be under way wait for the next sweep.
func (s *store) sweep(ctx context.Context) error {
	s.sweepAt = s.clock() // at once, until this one has been through
	writer := s.local.writer
	markers, err := s.bucket.List(ctx, path.Join(layout, tmpDir, writer)+"/")
	if err != nil {
		return err
	}
	waiting := false
	for _, m := range markers {
		table, day, batch, ok := parseStaged(path.Base(m.Name))
		if !ok || table != TableTrajectories {
			continue // not ours
		}
		if !s.givenUp(batch) {
			waiting = true
			continue
		}
		if err := s.settle(ctx, writer, day, batch); err != nil {
			return err
		}
		if err := s.bucket.Remove(ctx, m.Name); err != nil {
			return err
		}
	}
	s.sweepAt = time.Time{}
	if waiting {
		s.sweepLater()
	}
	return nil
}

func (s *store) givenUp(batch string) bool {
	id, err := ulid.ParseStrict(batch)
	return err != nil || s.clock().Sub(ulid.Time(id.Time())) > leftover
}

// settle removes the files of a day's part of a set that was not committed. It
// keeps facts: they stand for themselves and are known by their id.
func (s *store) settle(ctx context.Context, writer, day, batch string) error {
	name := objectName(TableTrajectories, day, writer, batch)
	there, err := s.bucket.List(ctx, name)
	if err != nil || len(there) > 0 {
		return err
	}
	for _, table := range []string{TableMessages, TableSteps, TableRewards} {
		if err := s.bucket.Remove(ctx, objectName(table, day, writer, batch)); err != nil {
			return err
		}
	}
	return nil
}
