package dataset

import (
	"context"
	"errors"
	"os"
	"path"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

const (
	awaitLimit = time.Minute
	awaitEvery = 100 * time.Millisecond
)

// awaitCommits waits until the commits that are under way are done: they may not
// have seen a mark that was left just now. One that begins later has. What is
// still there after a minute, or of a writer that was killed, is named.
func (k *keeper) awaitCommits(ctx context.Context) error {
	waiting, dead, err := k.underWay(ctx)
	if err != nil {
		return err
	}
	for until := time.Now().Add(awaitLimit); len(waiting) > 0 && time.Now().Before(until); {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(awaitEvery):
		}
		still, gone, err := k.underWay(ctx)
		if err != nil {
			return err
		}
		for name := range waiting {
			if gone[name] {
				dead[name] = true
			}
			if !still[name] {
				delete(waiting, name)
			}
		}
	}
	for name := range waiting {
		k.leave(name, errors.New("it is still being written: forget the user again when it is done"))
	}
	for name := range dead {
		k.leave(name, errors.New("the writer was killed in the middle of it: what it left goes when it is started again; if it never is, remove the set by hand"))
	}
	return nil
}

// underWay is the sets that can be told to be under way: in a folder by their
// staged files, in a bucket by their markers.
func (k *keeper) underWay(ctx context.Context) (waiting, dead map[string]bool, err error) {
	list, err := k.bucket.List(ctx, path.Join(layout, tmpDir)+"/")
	if err != nil {
		return nil, nil, err
	}
	waiting, dead = map[string]bool{}, map[string]bool{}
	for _, o := range list {
		table, _, batch, ok := parseStaged(path.Base(o.Name))
		switch {
		case !ok || table != TableTrajectories:
		case k.abandoned(o.Name, batch):
			dead[o.Name] = true
		default:
			waiting[o.Name] = true
		}
	}
	return waiting, dead, nil
}

// abandoned reports whether nobody goes on with a set that is under way.
func (k *keeper) abandoned(name, batch string) bool {
	d, ok := k.bucket.(disk)
	if !ok {
		id, err := ulid.ParseStrict(batch)
		return err != nil || k.Clock().Sub(ulid.Time(id.Time())) > leftover
	}
	f, err := os.Open(strings.TrimSuffix(d.path(name), path.Base(name)) + lock)
	if err != nil {
		return true
	}
	free := lockFile(f) == nil
	_ = f.Close()
	return free
}
