package trainer

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// RemoveRuns removes the runs in a directory that began before a time, and
// returns their ids. What nights know of each other (nights.jsonl) stays: it
// holds ids of trajectories, and nothing that they say. It fails with
// [ErrLocked] while a run is going on there.
func RemoveRuns(runs string, before time.Time, dryRun bool) ([]string, error) {
	return removeRuns(runs, dryRun, func(dir string) (bool, error) {
		m, err := readManifest(dir)
		return err == nil && m.Now.Before(before), nil // a broken one has no age
	})
}

// ForgetRuns removes the runs that chose one of these trajectories, and returns
// their ids: what they hold is made from them, artifact from artifact.
func ForgetRuns(runs string, trajectories map[string]bool, dryRun bool) ([]string, error) {
	return removeRuns(runs, dryRun, func(dir string) (bool, error) { return chose(dir, trajectories) })
}

func removeRuns(runs string, dryRun bool, which func(dir string) (bool, error)) (removed []string, err error) {
	found, err := filepath.Glob(filepath.Join(runs, "*", manifestFile))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	lock, err := lockFile(filepath.Join(runs, ".lock"))
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", runs, err)
	}
	defer func() { _ = unlockFile(lock) }()
	slices.Sort(found)
	for _, path := range found {
		dir := filepath.Dir(path)
		yes, err := which(dir)
		if err == nil && yes && !dryRun {
			err = os.RemoveAll(dir)
		}
		if err != nil {
			return removed, fmt.Errorf("remove run %s: %w", dir, err)
		}
		if yes {
			removed = append(removed, filepath.Base(dir))
		}
	}
	return removed, nil
}

// chose reports whether the run in dir has one of the trajectories among those
// it chose. All that comes later in a run is made from these.
func chose(dir string, trajectories map[string]bool) (bool, error) {
	f, err := os.Open(filepath.Join(dir, "select.jsonl"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	lines := json.NewDecoder(bufio.NewReader(f))
	for {
		var row struct {
			ID string `json:"trajectory_id"`
		}
		err := lines.Decode(&row)
		switch {
		case errors.Is(err, io.EOF):
			return false, nil
		case err != nil: // cannot be told: it goes
			return true, nil
		case trajectories[row.ID]:
			return true, nil
		}
	}
}
