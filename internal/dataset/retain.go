package dataset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// Retained is what was removed because it is old.
type Retained struct {
	Days  []string // that were removed, oldest first
	Files int
	Bytes int64
}

// Retain removes the days that ended longer than age ago, from all tables:
// trajectories by the day on which they were first seen, facts by the day on
// which they were observed. Of a day trajectories go first, so nobody sees half
// of one. Days whose times were unknown (1970-01-01) go like others. What is
// replaced and waits for its end (see [Compact]) goes with its day.
func Retain(ctx context.Context, root string, age time.Duration, u Upkeep) (out Retained, err error) {
	k, ctx, err := keep(ctx, root, u)
	if err != nil {
		return out, fmt.Errorf("remove old days of %s: %w", root, err)
	}
	defer func() { err = errors.Join(err, k.close()) }()
	// Of the day that ended exactly then, and of all before it.
	first := k.Clock().UTC().Add(-age).Format(time.DateOnly)
	days := map[string]bool{}
	for _, table := range slices.Backward(Tables) {
		if err := k.retainTable(ctx, table, first, days, &out); err != nil {
			return out, fmt.Errorf("remove old days of %s: %w", root, cmp.Or(context.Cause(ctx), err))
		}
	}
	out.Days = slices.Sorted(maps.Keys(days))
	return out, nil
}

// retainTable removes the Parquet files of old days; others are not ours.
func (k *keeper) retainTable(ctx context.Context, table, first string, days map[string]bool, out *Retained) error {
	files, err := filesOf(ctx, k.bucket, table)
	if err != nil {
		return err
	}
	var names []string
	for _, o := range files {
		dir := path.Dir(o.Name)
		day, ok := strings.CutPrefix(path.Base(dir), "date=")
		if _, err := time.Parse(time.DateOnly, day); !ok || err != nil || day >= first || path.Dir(dir) != path.Join(layout, table) {
			continue
		}
		names = append(names, o.Name)
		days[day] = true
		out.Files++
		out.Bytes += o.Bytes
	}
	if k.DryRun {
		return nil
	}
	if err := removeAll(ctx, k.bucket, names); err != nil {
		return err
	}
	if d, ok := k.bucket.(disk); ok {
		for _, name := range names {
			_ = os.Remove(d.path(path.Dir(name))) // stays if a writer has just added to it
		}
	}
	return nil
}
