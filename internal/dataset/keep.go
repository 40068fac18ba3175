package dataset

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/oklog/ulid/v2"
)

// keeper is one upkeep going on. Only one works on a dataset at a time.
type keeper struct {
	Upkeep
	root   string
	bucket Bucket // or the folder
	copies copies
	shelf  *shelf // of a bucket; nil = a folder
	lock   *os.File
	out    Upkept
	m      *merger
}

// keep opens the dataset at root for upkeep: what an earlier one left half done
// is undone first. Until the keeper is closed the context that it gives is to
// be used.
func keep(ctx context.Context, root string, u Upkeep) (_ *keeper, _ context.Context, err error) {
	u.Options = withDefaults(u.Options)
	if u.Target <= 0 {
		u.Target = 128 << 20
	}
	k := &keeper{Upkeep: u, root: root, bucket: bucketOf(root, u.Options)}
	k.copies.bucket = k.bucket
	at, local := place(&folder{root: root, writer: upkeep, dirMode: u.DirMode}), root
	if u.Bucket != nil {
		local = u.Staging
	} else if _, err := os.Stat(versionDir(root)); err != nil {
		return nil, nil, fmt.Errorf("no dataset at %s: %w", root, err)
	}
	if u.Bucket == nil && u.DryRun {
		return k, ctx, nil
	}
	if k.lock, err = claim(local, upkeep, u.FileMode, u.DirMode); err != nil {
		return nil, nil, fmt.Errorf("%w (compact, retention or deletion is going on)", err)
	}
	if err := cleanUp(local, upkeep); err != nil {
		return nil, nil, errors.Join(err, k.close())
	}
	k.copies.dir = stagingDir(local, upkeep)
	if u.DryRun {
		return k, ctx, nil
	}
	ids := ulid.Monotonic(u.Entropy, 0)
	if u.Bucket != nil {
		if ctx, err = k.take(ctx, ids); err != nil {
			return nil, nil, errors.Join(err, k.close())
		}
		at = k.shelf
	}
	k.m = newMerger(k.bucket, at, &k.copies, ids, u.Options)
	if err := k.recover(ctx); err != nil {
		return nil, nil, errors.Join(err, k.close())
	}
	return k, ctx, nil
}

// take gets the lease of a bucket.
func (k *keeper) take(ctx context.Context, ids ulid.MonotonicReader) (context.Context, error) {
	id, err := ulid.New(ulid.Timestamp(k.Clock()), ids)
	if err != nil {
		return nil, fmt.Errorf("make an id: %w", err)
	}
	l, ctx, err := takeLease(ctx, k.bucket, id)
	if err != nil {
		return nil, err
	}
	k.shelf = &shelf{bucket: k.bucket, lease: l, local: k.copies.dir}
	return ctx, nil
}

func (k *keeper) close() error {
	err := k.copies.drop()
	if k.shelf != nil {
		err = errors.Join(err, k.shelf.lease.release(!k.shelf.failed))
	}
	if k.lock != nil {
		err = errors.Join(err, release(k.lock))
	}
	return err
}

// recover undoes what was under way when an upkeep was killed.
func (k *keeper) recover(ctx context.Context) error {
	list, err := notes(ctx, k.bucket)
	if err != nil {
		return err
	}
	for _, r := range list {
		done, err := r.committed(ctx, k.bucket)
		if err == nil && !done {
			err = r.undo(ctx, k.bucket)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// expire removes replaced files whose time is over, and returns the names of
// the files that notes still speak of.
func (k *keeper) expire(ctx context.Context) (busy map[string]bool, err error) {
	list, err := notes(ctx, k.bucket)
	if err != nil {
		return nil, err
	}
	busy, k.out.Waiting = map[string]bool{}, 0
	now := k.Clock()
	var there map[string]int64
	for _, r := range list {
		if !k.DryRun && (k.Grace <= 0 || !now.Before(r.At.Add(k.Grace))) {
			if there == nil {
				parts, _, err := partsOf(ctx, k.bucket)
				if err != nil {
					return nil, err
				}
				there = bytesOf(parts)
			}
			removed, err := r.finish(ctx, k.bucket, there)
			k.out.Removed = append(k.out.Removed, removed...)
			if err != nil {
				return nil, err
			}
			continue
		}
		k.out.Waiting += len(r.Replaced)
		for _, name := range slices.Concat(r.Made, r.Replaced) {
			busy[below(name)] = true
		}
	}
	return busy, nil
}

func (k *keeper) leave(name string, err error) {
	path := k.at(name)
	if !slices.ContainsFunc(k.out.Left, func(l Left) bool { return l.Path == path }) {
		k.out.Left = append(k.out.Left, Left{path, err.Error()})
	}
}

// at is where users find a file.
func (k *keeper) at(name string) string {
	if d, ok := k.bucket.(disk); ok {
		return d.path(name)
	}
	return k.bucket.String() + "/" + name
}
