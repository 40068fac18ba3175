package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// Upkeep says how a dataset is kept in order; the zero value of a field is
// what is said of it.
type Upkeep struct {
	Options               // Clock, Entropy and modes, as for a [Writer]
	Grace   time.Duration // replaced files stay this long, for readers that have begun; 0 = they go at once
	Settled time.Duration // days are closed when they ended this long ago; 0 = yesterday is closed
	Target  int64         // files are merged up to about this size; 0 = 128 MiB
	DryRun  bool          // say what would be done, and do nothing

	// Done is called for each lot that was merged; nil = nobody looks.
	Done func(day, writer string)
}

// Upkept is what was done to a dataset.
type Upkept struct {
	Merged  int    // file sets that became part of a greater one
	Made    []File // new files
	Old     int    // files that Made replaces
	Dropped int64  // rows that no reader could see any more
	Removed []File // files whose time was over
	Waiting int    // replaced files that still stay
	Left    []Left // files that were not touched
}

// Left is a file that was left as it is, with why.
type Left struct {
	Path   string
	Reason string
}

// Compact merges the small files of days that are closed: per day and writer,
// up to u.Target. Rows of a writer that a later one of its own replaces are left
// out; nothing else is. It is safe beside writers, which only add files, and
// beside readers: the new rows have a greater batch, so a reader sees each
// trajectory once whether it finds the old files, the new ones or both.
//
// Replaced files are removed by the first Compact after u.Grace. Files that
// cannot be read, or that a newer version wrote, are left as they are and named.
func Compact(ctx context.Context, root string, u Upkeep) (out Upkept, err error) {
	k, ctx, err := keep(ctx, root, u)
	if err != nil {
		return out, fmt.Errorf("compact %s: %w", root, err)
	}
	defer func() {
		if bad := k.close(); err == nil && bad != nil {
			err = fmt.Errorf("compact %s: %w", root, bad)
		}
	}()
	if err := k.compact(ctx); err != nil {
		return k.out, fmt.Errorf("compact %s: %w", root, err)
	}
	return k.out, nil
}

func (k *keeper) compact(ctx context.Context) error {
	busy, err := k.expire(ctx)
	if err != nil {
		return err
	}
	parts, _, err := partsOf(ctx, k.bucket)
	if err != nil {
		return err
	}
	closed := k.Clock().UTC().Add(-k.Settled).Format(time.DateOnly)
	newest := newestByDay{k: k, parts: parts[TableTrajectories]}
	for _, l := range lotsOf(parts) {
		if l.day >= closed {
			continue
		}
		l.sets = slices.DeleteFunc(l.sets, func(s set) bool {
			return slices.ContainsFunc(s.parts, func(p part) bool { return busy[p.name] })
		})
		if err := k.compactLot(ctx, l, &newest); err != nil {
			return err
		}
	}
	if k.Grace > 0 || k.DryRun {
		return nil
	}
	_, err = k.expire(ctx)
	return err
}

func (k *keeper) compactLot(ctx context.Context, l lot, newest *newestByDay) error {
	for _, bin := range bins(l.sets, k.Target) {
		for len(bin) > 1 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if k.DryRun {
				k.out.Merged += len(bin)
				for _, s := range bin {
					k.out.Old += len(s.parts)
				}
				break
			}
			sieve, err := newest.sieve(ctx, l)
			if err != nil {
				return err
			}
			made, err := k.m.merge(ctx, l, bin, sieve)
			var source *sourceError
			if errors.As(err, &source) && ctx.Err() == nil {
				k.leave(source.name, source.err)
				bin = slices.DeleteFunc(slices.Clone(bin), func(s set) bool {
					return slices.ContainsFunc(s.parts, func(p part) bool { return p.name == source.name })
				})
				continue
			}
			if err != nil {
				return fmt.Errorf("merge %s of %s: %w", l.writer, l.day, err)
			}
			k.count(bin, made)
			break
		}
	}
	if k.Done != nil {
		k.Done(l.day, l.writer)
	}
	return nil
}

func (k *keeper) count(sets []set, made merged) {
	k.out.Merged += len(sets)
	k.out.Made = append(k.out.Made, made.files...)
	k.out.Old += len(made.note.Replaced)
	k.out.Waiting += len(made.note.Replaced)
	k.out.Dropped += made.dropped
}

// bins puts sets that follow each other together, up to about target. A set
// that is large already is not written again.
func bins(sets []set, target int64) (out [][]set) {
	var bin []set
	var bytes int64
	for _, s := range sets {
		if s.bytes >= target/2 {
			continue
		}
		if bytes+s.bytes > target && len(bin) > 0 {
			out, bin, bytes = append(out, bin), nil, 0
		}
		bin, bytes = append(bin, s), bytes+s.bytes
	}
	return append(out, bin)
}

// newestByDay knows the newest row of each trajectory that a writer wrote of a
// day. It is read once per day and writer, when first asked.
type newestByDay struct {
	k           *keeper
	parts       []part
	day, writer string
	rows        map[string]version
}

type version struct {
	revision int64
	batch    string
}

func (v version) before(o version) bool {
	return v.revision < o.revision || v.revision == o.revision && v.batch < o.batch
}

// sieve lets pass what no later row of the same writer replaces. Rows of other
// writers are not compared: that there are two tells that a trajectory was
// split. Rewards and facts all stay: which of them count depends on the rules.
func (n *newestByDay) sieve(ctx context.Context, l lot) (sieve, error) {
	if l.family[len(l.family)-1] != TableTrajectories {
		return sieve{}, nil
	}
	if err := n.read(ctx, l); err != nil {
		return sieve{}, err
	}
	return sieve{row: func(id string, revision int64, batch string) bool {
		return !version{revision, batch}.before(n.rows[id])
	}}, nil
}

func (n *newestByDay) read(ctx context.Context, l lot) error {
	if n.rows != nil && n.day == l.day && n.writer == l.writer {
		return nil
	}
	type row struct {
		TrajectoryID string `parquet:"trajectory_id"`
		Revision     int64  `parquet:"revision"`
		Batch        string `parquet:"batch"`
	}
	n.day, n.writer, n.rows = l.day, l.writer, map[string]version{}
	mine := slices.DeleteFunc(slices.Clone(n.parts), func(p part) bool { return p.day != l.day || p.writer != l.writer })
	return n.k.copies.each(ctx, mine, func(p part) {
		found := map[string]version{}
		err := readPart(ctx, &n.k.copies, p, func(r *row) {
			if v := (version{r.Revision, r.Batch}); found[r.TrajectoryID].before(v) {
				found[strings.Clone(r.TrajectoryID)] = version{r.Revision, strings.Clone(r.Batch)}
			}
		})
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				n.k.leave(p.name, err)
			}
			return // and is not merged either
		}
		for id, v := range found {
			if n.rows[id].before(v) {
				n.rows[id] = v
			}
		}
	})
}
