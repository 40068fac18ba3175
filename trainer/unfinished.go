package trainer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/tracegrad/tracegrad/internal/bucket"
	"github.com/tracegrad/tracegrad/trainer/query"
)

// maxStarts bounds how often a run goes on by itself: one that never comes to
// its end must not stand in the way of the nights after it.
const maxStarts = 100

// unfinished is the id of the latest run, if it was interrupted, or its engine
// was, and the config is still the same; else "". Such a run goes on where it
// stopped when the same command is given again.
func unfinished(c Config) string {
	found, err := filepath.Glob(filepath.Join(c.Runs, "*", manifestFile))
	if err != nil {
		return ""
	}
	slices.Sort(found)
	for _, path := range slices.Backward(found) {
		m, err := readManifest(filepath.Dir(path))
		if err != nil || m.Config.Name != c.Name || m.Config.Policy.Kind != c.Policy.Kind {
			continue
		}
		if m.Ended == "" && m.Starts < maxStarts && sameConfig(m.Config, c) {
			return m.ID
		}
		return ""
	}
	return ""
}

func sameConfig(a, b Config) bool {
	one, err := json.Marshal(a)
	other, err2 := json.Marshal(b)
	return err == nil && err2 == nil && bytes.Equal(one, other)
}

// snapshotFile lists the files of the dataset that a run reads.
const snapshotFile = "dataset.json"

// snapshot is the dataset as it was when a run began: files by table, relative
// to its directory, with their sizes.
type snapshot map[string]map[string]int64

// snapshotOf is nil if the run has none, or if a file is in the dataset no more.
func snapshotOf(ctx context.Context, dataset, run string, opt query.Options) (snapshot, error) {
	root, release, err := bucket.Local(ctx, dataset, bucket.ReadOptions{Progress: opt.Fetched})
	if err != nil {
		return nil, fmt.Errorf("open dataset %s: %w", dataset, err)
	}
	return readSnapshot(root, run), release()
}

func readSnapshot(root, dir string) snapshot {
	text, err := os.ReadFile(filepath.Join(dir, snapshotFile))
	var s snapshot
	if err != nil || json.Unmarshal(text, &s) != nil {
		return nil
	}
	for _, files := range s {
		for name, size := range files {
			if info, err := os.Stat(filepath.Join(root, filepath.FromSlash(name))); err != nil || info.Size() != size {
				return nil
			}
		}
	}
	return s
}

// keep reports whether a run reads a file.
func (s snapshot) keep(table, name string) bool {
	files, frozen := s[table]
	if !frozen {
		return true
	}
	_, ok := files[filepath.ToSlash(name)]
	return ok
}

func takeSnapshot(root string, tables []string, files func(table string) []string) (snapshot, error) {
	s := snapshot{}
	for _, table := range tables {
		s[table] = map[string]int64{}
		for _, path := range files(table) {
			info, err := os.Stat(path)
			if err != nil {
				return nil, err
			}
			name, err := filepath.Rel(root, path)
			if err != nil {
				return nil, err
			}
			s[table][filepath.ToSlash(name)] = info.Size()
		}
	}
	return s, nil
}
