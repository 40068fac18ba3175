package dataset_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// tree lists all files below root but locks, with what is being written.
func tree(t *testing.T, root string) (paths []string) {
	require.NoError(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && e.Name() != ".lock" {
			rel, _ := filepath.Rel(root, path)
			paths = append(paths, filepath.ToSlash(rel))
		}
		return err
	}))
	return paths
}

func TestWriteIsOneFileSet(t *testing.T) {
	root := t.TempDir()
	w := newWriter(t, root, "node 1")
	early, late := sample()[0], sample()[1]
	early.FirstSeenAt = noon.AddDate(0, 0, -1).UnixMicro()
	fact := trajectory.Fact{Name: "solved", TraceID: "t", ObservedAt: noon.AddDate(0, 0, -3).UnixMicro()}
	c, err := w.Write(t.Context(), []*trajectory.Trajectory{early, late}, []trajectory.Fact{fact})
	require.NoError(t, err)

	assert.Equal(t, 2, c.Trajectories)
	assert.Equal(t, 2, c.Facts)
	name := w.Name() + "-" + c.Batch + ".parquet"
	assert.Equal(t, "node-1-db4eb995", w.Name())
	want := []string{
		"v1/facts/date=2026-03-11/" + name,
		"v1/facts/date=2026-03-14/" + name,
		"v1/messages/date=2026-03-13/" + name,
		"v1/rewards/date=2026-03-13/" + name,
		"v1/steps/date=2026-03-13/" + name,
		"v1/steps/date=2026-03-14/" + name,
		"v1/trajectories/date=2026-03-13/" + name,
		"v1/trajectories/date=2026-03-14/" + name,
	}
	assert.Equal(t, want, tree(t, root))
	rows := map[string]int64{}
	for _, f := range c.Files {
		info, err := os.Stat(f.Path)
		require.NoError(t, err)
		assert.Equal(t, info.Size(), f.Bytes)
		assert.Equal(t, fs.FileMode(0o640), info.Mode().Perm())
		rows[f.Table] += f.Rows
	}
	assert.Equal(t, map[string]int64{"trajectories": 2, "steps": 5, "messages": 4, "rewards": 2, "facts": 2}, rows)
	assert.Equal(t, dataset.TableTrajectories, c.Files[len(c.Files)-1].Table, "the commit comes last")
	info, err := os.Stat(filepath.Dir(c.Files[0].Path))
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o750), info.Mode().Perm())

	second, err := w.Write(t.Context(), []*trajectory.Trajectory{late}, nil)
	require.NoError(t, err)
	assert.Greater(t, second.Batch, c.Batch, "batches are ordered, even within one tick")
	for _, row := range readSet(t, root).Trajectories {
		assert.Equal(t, noon.UnixMicro(), *row.ExportedAt)
	}
}

func TestNothingIsNoCommit(t *testing.T) {
	root := t.TempDir()
	w := newWriter(t, root, "a")
	c, err := w.Write(t.Context(), nil, nil)
	require.NoError(t, err)
	assert.Zero(t, c)
	c, err = w.WriteRewards(t.Context(), nil)
	require.NoError(t, err)
	assert.Zero(t, c)
	assert.Empty(t, tree(t, root))
}

func TestRewardsAreAddedLater(t *testing.T) {
	root := t.TempDir()
	w := newWriter(t, root, "trainer")
	tr := sample()[0]
	_, err := w.Write(t.Context(), []*trajectory.Trajectory{tr}, nil)
	require.NoError(t, err)
	row := dataset.NewRewardRow(tr.ID, tr.Revision, tr.FirstSeenAt, trajectory.Reward{Step: -1, Name: "solved", Value: ptr(1.0), EvaluatedAt: noon.AddDate(0, 0, 2).UnixMicro()})
	rows := []dataset.RewardRow{row}
	c, err := w.WriteRewards(t.Context(), rows)
	require.NoError(t, err)
	require.Len(t, c.Files, 1)
	assert.Contains(t, filepath.ToSlash(c.Files[0].Path), "v1/rewards/date=2026-03-14/", "beside the trajectory")
	assert.Empty(t, rows[0].Batch, "the argument is not changed")

	set := readSet(t, root)
	assert.Len(t, set.Rewards, 3)
	assert.Equal(t, c.Batch, set.Rewards[2].Batch)
	assert.Equal(t, rows[0].Reward(), set.Rewards[2].Reward())
}

func TestFactsAlone(t *testing.T) {
	root := t.TempDir()
	c, err := newWriter(t, root, "a").WriteFacts(t.Context(), []trajectory.Fact{{ID: "f", Name: "n"}})
	require.NoError(t, err)
	assert.Equal(t, 1, c.Facts)
	require.Len(t, c.Files, 1)
	assert.Contains(t, filepath.ToSlash(c.Files[0].Path), "facts/date=2026-03-14/", "a fact without a time is of the day it is written")
}

// The commit fails at its last move; nothing of it may stay, and the writer
// goes on.
func TestFailedCommitLeavesNothing(t *testing.T) {
	probe := newWriter(t, t.TempDir(), "a")
	c, err := probe.Write(t.Context(), sample(), nil)
	require.NoError(t, err) // clock and entropy are fixed: this is the batch the next first write will have

	root := t.TempDir()
	blocked := filepath.Join(root, "v1", "trajectories", "date=2026-03-14", "a-"+c.Batch+".parquet")
	require.NoError(t, os.MkdirAll(filepath.Join(blocked, "x"), 0o750))
	w := newWriter(t, root, "a")
	_, err = w.Write(t.Context(), sample(), nil)
	require.ErrorContains(t, err, "write to dataset "+root)
	assert.Empty(t, tree(t, root))

	require.NoError(t, os.RemoveAll(blocked))
	_, err = w.Write(t.Context(), sample(), nil)
	require.NoError(t, err)
	got, err := dataset.Trajectories(readSet(t, root))
	require.NoError(t, err)
	assert.Equal(t, sample(), got)
}

func TestFolderInTheWay(t *testing.T) {
	root := t.TempDir()
	w := newWriter(t, root, "a")
	require.NoError(t, os.WriteFile(filepath.Join(root, "v1", "steps"), nil, 0o600))
	_, err := w.Write(t.Context(), sample(), nil)
	require.ErrorContains(t, err, filepath.Join("v1", "steps"))
	assert.Equal(t, []string{"v1/steps"}, tree(t, root))
}

func TestCancelledWriteLeavesNothing(t *testing.T) {
	root := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := newWriter(t, root, "a").Write(ctx, sample(), nil)
	require.ErrorIs(t, err, context.Canceled)
	assert.Empty(t, tree(t, root))
}

func TestRemovedDatasetIsMadeAgain(t *testing.T) {
	root := filepath.Join(t.TempDir(), "data")
	w := newWriter(t, root, "a")
	require.NoError(t, os.RemoveAll(root))
	_, err := w.Write(t.Context(), sample(), nil)
	require.NoError(t, err)
	assert.Len(t, readSet(t, root).Trajectories, 2)
}

// What a killed writer leaves: a set that was moved in part, and one that was
// being written. Other writers' files stay.
func TestLeftoversAreCleanedUp(t *testing.T) {
	root := t.TempDir()
	w := newWriter(t, root, "a")
	done, err := w.Write(t.Context(), sample(), nil)
	require.NoError(t, err)
	half, err := w.Write(t.Context(), sample(), nil)
	require.NoError(t, err)
	other := newWriter(t, root, "b")
	_, err = other.Write(t.Context(), sample()[1:], nil)
	require.NoError(t, err)
	require.NoError(t, w.Close())

	tmp := filepath.Join(root, "v1", "_tmp")
	require.NoError(t, os.Mkdir(filepath.Join(tmp, "a"), 0o750))
	for _, f := range half.Files { // take half back to where it was before its commit
		if f.Table == dataset.TableTrajectories {
			require.NoError(t, os.Rename(f.Path, filepath.Join(tmp, "a", "trajectories.2026-03-14."+half.Batch)))
		}
	}
	begun := filepath.Join(tmp, "a", "steps.2026-03-14.01ARZ3NDEKTSV4RRFFQ69G5FAV")
	others := filepath.Join(tmp, "b", "steps.2026-03-14.01ARZ3NDEKTSV4RRFFQ69G5FAV")
	for _, path := range []string{begun, others} {
		require.NoError(t, os.WriteFile(path, []byte("PAR1"), 0o600))
	}

	newWriter(t, root, "a")
	var left []string
	for _, path := range tree(t, root) {
		if !strings.HasPrefix(path, "v1/facts/") && !strings.Contains(path, "/a-"+done.Batch) {
			left = append(left, path)
		}
	}
	assert.Len(t, left, 3, left) // b's trajectories and steps, and what b is writing
	for _, path := range left {
		assert.True(t, strings.Contains(path, "/b-") || strings.Contains(path, "/b/"), path)
	}
	assert.Len(t, readSet(t, root).Trajectories, 3)
}

func TestANameIsUsedOnce(t *testing.T) {
	root := t.TempDir()
	w := newWriter(t, root, "a")
	_, err := dataset.NewWriter(root, "a", dataset.Options{})
	require.ErrorContains(t, err, `writer "a" is in use by another process or component: give each its own name`)

	require.NoError(t, w.Close())
	require.NoError(t, w.Close())
	assert.NoDirExists(t, filepath.Join(root, "v1", "_tmp", "a"))
	_, err = w.Write(t.Context(), sample(), nil)
	require.ErrorContains(t, err, "the writer is closed")
	newWriter(t, root, "a")
}

func TestConcurrentWrites(t *testing.T) {
	root := t.TempDir()
	w := newWriter(t, root, "a")
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			if i%2 == 0 {
				_, errs[i] = w.Write(context.Background(), []*trajectory.Trajectory{random(uint64(i))}, nil)
			} else {
				_, errs[i] = w.WriteFacts(context.Background(), []trajectory.Fact{{ID: "f"}})
			}
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	got, err := dataset.Trajectories(readSet(t, root))
	require.NoError(t, err)
	assert.Len(t, got, 4)
}

// Row groups are cut by bytes, so that no reader has to hold a whole file.
func TestRowGroupsAreCut(t *testing.T) {
	root := t.TempDir()
	w, err := dataset.NewWriter(root, "a", dataset.Options{RowGroupBytes: 100 << 10})
	require.NoError(t, err)
	defer w.Close()
	var want []*trajectory.Trajectory
	for i := range 600 {
		tr := random(uint64(i))
		tr.Messages = append(tr.Messages, trajectory.Message{Text: strings.Repeat("long ", 500)})
		tr.Facts, tr.Rewards = nil, nil
		want = append(want, tr)
	}
	_, err = w.Write(t.Context(), want, nil)
	require.NoError(t, err)
	assert.Greater(t, rowGroups(t, root, dataset.TableMessages), 10)
	assert.Greater(t, rowGroups(t, root, dataset.TableTrajectories), 1)
	got, err := dataset.Trajectories(readSet(t, root))
	require.NoError(t, err)
	require.Len(t, got, len(want))
	assert.Equal(t, want[599], got[599])
}

func TestUnknownTimesHaveADay(t *testing.T) {
	for want, tr := range map[string]*trajectory.Trajectory{
		"2026-03-14": {ID: "a", FirstSeenAt: noon.UnixMicro(), StartedAt: 1},
		"2026-03-15": {ID: "a", StartedAt: noon.AddDate(0, 0, 1).UnixMicro(), Revision: 1},
		"2026-03-16": {ID: "a", FirstSeenAt: -5, Revision: noon.AddDate(0, 0, 2).UnixMicro()},
		"2026-03-13": {ID: "a", FirstSeenAt: 1 << 62, Revision: noon.AddDate(0, 0, -1).UnixMicro()},
	} {
		root := t.TempDir()
		_, err := newWriter(t, root, "a").Write(t.Context(), []*trajectory.Trajectory{tr}, nil)
		require.NoError(t, err)
		assert.Contains(t, tree(t, root)[0], "/date="+want+"/")
	}
	root := t.TempDir()
	w, err := dataset.NewWriter(root, "a", dataset.Options{Clock: func() time.Time { return time.UnixMilli(0) }})
	require.NoError(t, err)
	defer w.Close()
	_, err = w.Write(t.Context(), []*trajectory.Trajectory{{ID: "a"}}, nil)
	require.NoError(t, err)
	assert.Contains(t, tree(t, root)[0], "/date=1970-01-01/")
}

func TestSafeName(t *testing.T) {
	for name, want := range map[string]string{
		"node-1":           "node-1",
		"pod_7.eu":         "pod_7.eu",
		"":                 "e3b0c442",
		"..":               "5ec1f7e7",
		".hidden":          "hidden-16924190",
		"a/b":              "a-b-c14cddc0",
		"../../etc/passwd": "etc-passwd-3754d6cb",
		"ü\x00":            "",
	} {
		got := dataset.SafeName(name)
		if want != "" {
			assert.Equal(t, want, got)
		}
		assert.Regexp(t, `^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`, got)
		assert.Equal(t, got, dataset.SafeName(got), "a safe name stays")
	}
	long := dataset.SafeName(strings.Repeat("a", 300))
	assert.Len(t, long, 64)
	assert.NotEqual(t, long, dataset.SafeName(strings.Repeat("a", 301)))
}

func TestFiles(t *testing.T) {
	root := t.TempDir()
	files, err := dataset.Files(root, dataset.TableFacts)
	require.NoError(t, err)
	assert.Empty(t, files)

	for _, path := range []string{
		"date=2026-03-15/b.parquet", "date=2026-03-14/a.parquet", "date=2026-03-14/.a.parquet", "date=2026-03-14/_a.parquet",
		"date=2026-03-14/a.parquet.tmp", "_old/a.parquet", ".trash/a.parquet",
	} {
		full := filepath.Join(root, "v1", "facts", filepath.FromSlash(path))
		require.NoError(t, os.MkdirAll(filepath.Dir(full), 0o750))
		require.NoError(t, os.WriteFile(full, nil, 0o600))
	}
	files, err = dataset.Files(root, dataset.TableFacts)
	require.NoError(t, err)
	assert.Equal(t, []string{
		filepath.Join(root, "v1", "facts", "date=2026-03-14", "a.parquet"),
		filepath.Join(root, "v1", "facts", "date=2026-03-15", "b.parquet"),
	}, files)

	_, err = dataset.Files(root, "spans")
	require.ErrorContains(t, err, `table "spans": the tables are messages, steps, rewards, facts, trajectories`)
	_, err = dataset.Files(filepath.Join(root, "nowhere"), dataset.TableFacts)
	require.ErrorContains(t, err, "no dataset at")
	require.ErrorIs(t, err, fs.ErrNotExist)
}
