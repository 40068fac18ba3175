package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	k, err := keep(root, u)
	if err != nil {
		return out, fmt.Errorf("remove old days of %s: %w", root, err)
	}
	defer func() { err = errors.Join(err, k.close()) }()
	// Of the day that ended exactly then, and of all before it.
	first := k.Clock().UTC().Add(-age).Format(time.DateOnly)
	days := map[string]bool{}
	for _, table := range slices.Backward(Tables) {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		if err := k.retainTable(table, first, days, &out); err != nil {
			return out, fmt.Errorf("remove old days of %s: %w", root, err)
		}
	}
	for day := range days {
		out.Days = append(out.Days, day)
	}
	slices.Sort(out.Days)
	return out, nil
}

func (k *keeper) retainTable(table, first string, days map[string]bool, out *Retained) error {
	dir := filepath.Join(versionDir(k.root), table)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		day, ok := strings.CutPrefix(e.Name(), "date=")
		if _, err := time.Parse(time.DateOnly, day); !ok || err != nil || day >= first || !e.IsDir() {
			continue
		}
		days[day] = true
		if err := k.removeDay(filepath.Join(dir, e.Name()), out); err != nil {
			return err
		}
	}
	return nil
}

// removeDay removes the Parquet files of a folder; others are not ours.
func (k *keeper) removeDay(dir string, out *Retained) error {
	files, err := filepath.Glob(filepath.Join(dir, "*"+fileExt))
	if err != nil {
		return err
	}
	for _, path := range files {
		info, err := os.Stat(path)
		if err == nil && !k.DryRun {
			err = os.Remove(path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		out.Files++
		out.Bytes += info.Size()
	}
	if !k.DryRun {
		_ = os.Remove(dir) // stays if a writer has just added to it
	}
	return nil
}
