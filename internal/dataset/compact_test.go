package dataset_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// seen is what a reader sees by the rules of docs/dataset.md: of each
// trajectory the newest revision, of equal ones the greatest batch, and the rows
// of that very batch. Batches are left out: they are how, not what.
func seen(t *testing.T, root string) map[string][]string {
	t.Helper()
	set := readSet(t, root)
	live := map[string]dataset.TrajectoryRow{}
	for _, r := range set.Trajectories {
		if old, ok := live[r.TrajectoryID]; !ok || r.Revision > old.Revision || r.Revision == old.Revision && r.Batch > old.Batch {
			live[r.TrajectoryID] = r
		}
	}
	out := map[string][]string{}
	add := func(id, text string) { out[id] = append(out[id], text) }
	for _, r := range set.Trajectories {
		if l := live[r.TrajectoryID]; r.Revision == l.Revision && r.Batch == l.Batch {
			r.Batch = ""
			add(r.TrajectoryID, asJSON(t, r))
		}
	}
	for _, r := range set.Steps {
		if l := live[r.TrajectoryID]; r.Revision == l.Revision && r.Batch == l.Batch {
			r.Batch = ""
			add(r.TrajectoryID, asJSON(t, r))
		}
	}
	for _, r := range set.Messages {
		if l := live[r.TrajectoryID]; r.Revision == l.Revision && r.Batch == l.Batch {
			r.Batch = ""
			add(r.TrajectoryID, asJSON(t, r))
		}
	}
	for _, r := range set.Rewards {
		if live[r.TrajectoryID].Revision == r.Revision {
			add("reward "+r.TrajectoryID, asJSON(t, r))
		}
	}
	for _, r := range set.Facts {
		add("fact "+r.FactID, asJSON(t, r))
	}
	for id := range out {
		slices.Sort(out[id])
		if strings.HasPrefix(id, "reward ") || strings.HasPrefix(id, "fact ") {
			out[id] = slices.Compact(out[id]) // readers take one of those that are the same
		}
	}
	return out
}

func asJSON(t *testing.T, row any) string {
	text, err := json.Marshal(row)
	require.NoError(t, err)
	return fmt.Sprintf("%T %s", row, text)
}

// history writes what two collectors and a trainer would in some days: batches
// that were sent twice, late revisions, rewards and facts that came later.
func history(t *testing.T, root string, seed uint64) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 7))
	clock := noon
	now := func() time.Time { clock = clock.Add(time.Minute); return clock }
	open := func(name string) *dataset.Writer {
		w, err := dataset.NewWriter(root, name, dataset.Options{Clock: now})
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, w.Close()) })
		return w
	}
	writers := []*dataset.Writer{open("pod-1"), open("pod-2"), open("nightly")}
	sent := map[*dataset.Writer][]*trajectory.Trajectory{}
	for n := range 14 {
		w := writers[rnd.IntN(2)]
		var batch []*trajectory.Trajectory
		for i := range 1 + rnd.IntN(3) {
			tr := sample()[i%2]
			tr.ID, tr.Writer = fmt.Sprintf("%032x", n*10+i), w.Name()
			tr.FirstSeenAt = noon.AddDate(0, 0, -rnd.IntN(4)).UnixMicro()
			tr.Revision = now().UnixMicro()
			batch = append(batch, tr)
		}
		if old := sent[w]; len(old) > 0 && rnd.IntN(2) == 0 { // again, or whole at last
			tr := *old[rnd.IntN(len(old))]
			if rnd.IntN(2) == 0 {
				tr.Revision, tr.Output = now().UnixMicro(), fmt.Sprintf("revised %d", n)
			}
			batch = append(batch, &tr)
		}
		_, err := w.Write(t.Context(), batch, nil)
		require.NoError(t, err)
		sent[w] = append(sent[w], batch...)
		if tr := sent[w][rnd.IntN(len(sent[w]))]; rnd.IntN(2) == 0 {
			row := dataset.NewRewardRow(tr.ID, tr.Revision, tr.FirstSeenAt, trajectory.Reward{Step: -1, Name: "solved", Value: ptr(float64(n)), RuleHash: "h", EvaluatedAt: now().UnixMicro()})
			_, err = writers[2].WriteRewards(t.Context(), []dataset.RewardRow{row})
			require.NoError(t, err)
			_, err = w.WriteFacts(t.Context(), []trajectory.Fact{{Name: "solved", Value: ptr(1.0), TrajectoryID: tr.ID, ObservedAt: tr.FirstSeenAt}})
			require.NoError(t, err)
		}
	}
}

func upkeepAt(at time.Time, grace time.Duration) dataset.Upkeep {
	return dataset.Upkeep{Options: dataset.Options{Clock: func() time.Time { return at }}, Grace: grace}
}

func TestCompactChangesNothingThatIsSeen(t *testing.T) {
	for seed := range uint64(2) {
		root := t.TempDir()
		history(t, root, seed)
		before := tree(t, root)
		want := seen(t, root)
		next := noon.AddDate(0, 0, 2)

		dry := upkeepAt(next, time.Hour)
		dry.DryRun = true
		planned, err := dataset.Compact(t.Context(), root, dry)
		require.NoError(t, err)
		require.Equal(t, before, tree(t, root))

		first, err := dataset.Compact(t.Context(), root, upkeepAt(next, time.Hour))
		require.NoError(t, err)
		require.Empty(t, first.Left)
		require.Empty(t, first.Removed)
		require.Positive(t, first.Merged)
		assert.Equal(t, planned.Merged, first.Merged)
		assert.Equal(t, first.Old, first.Waiting)
		require.Equal(t, want, seen(t, root), "old and new files together")

		again, err := dataset.Compact(t.Context(), root, upkeepAt(next.Add(59*time.Minute), time.Hour))
		require.NoError(t, err)
		assert.Zero(t, again.Merged, "what is merged already is not merged again")
		assert.Empty(t, again.Removed, "its time is not over")

		later, err := dataset.Compact(t.Context(), root, upkeepAt(next.Add(time.Hour), time.Hour))
		require.NoError(t, err)
		assert.Len(t, later.Removed, first.Old)
		assert.Zero(t, later.Waiting)
		require.Equal(t, want, seen(t, root), "the new files alone")
		days := map[string]int{}
		for _, path := range tree(t, root) {
			days[filepath.Dir(path)+" "+filepath.Base(path)[:5]]++
		}
		for where, n := range days {
			assert.Equal(t, 1, n, where)
		}
	}
}

// A compaction that dies at any of its moments loses nothing, and the next one
// comes to the same end.
func TestCompactIsKilled(t *testing.T) {
	next := noon.AddDate(0, 0, 2)
	end := func(root string) map[string][]string {
		for range 2 {
			_, err := dataset.Compact(t.Context(), root, upkeepAt(next, 0))
			require.NoError(t, err)
		}
		entries, err := os.ReadDir(filepath.Join(root, "v1", "_upkeep"))
		require.NoError(t, err)
		require.Empty(t, entries)
		return seen(t, root)
	}
	whole := t.TempDir()
	history(t, whole, 1)
	want := seen(t, whole)
	out, err := dataset.Compact(t.Context(), whole, upkeepAt(next, time.Hour))
	require.NoError(t, err)
	for i, made := range out.Made {
		if i%5 != 0 { // a few: each is a whole compaction
			continue
		}
		root := t.TempDir()
		require.NoError(t, os.CopyFS(root, os.DirFS(whole)))
		at := func(path string) string { return filepath.Join(root, strings.TrimPrefix(path, whole)) }
		// Before its commit: the last files are not in their places yet.
		for _, f := range out.Made[i:] {
			if f.Table == made.Table || f.Table == dataset.TableTrajectories {
				require.NoError(t, os.Remove(at(f.Path)))
			}
		}
		if i%2 == 0 {
			require.NoError(t, os.WriteFile(filepath.Join(root, "v1", "_tmp", "steps.2026-03-14.x"), []byte("PAR1"), 0o600))
		}
		require.Equal(t, want, seen(t, root), "killed before file %d", i)
		require.Equal(t, want, end(root), "killed before file %d", i)
	}
	// While the old ones are removed.
	parts := tree(t, whole)
	{
		root := t.TempDir()
		require.NoError(t, os.CopyFS(root, os.DirFS(whole)))
		_, err := dataset.Compact(t.Context(), root, upkeepAt(next, 0))
		require.NoError(t, err)
		left := tree(t, root)
		for n, path := range parts { // some are still there, and all notes
			if !slices.Contains(left, path) && (n%3 == 1 || strings.Contains(path, "_upkeep")) {
				text, err := os.ReadFile(filepath.Join(whole, path))
				require.NoError(t, err)
				require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o750))
				require.NoError(t, os.WriteFile(filepath.Join(root, path), text, 0o600))
			}
		}
		require.Equal(t, want, seen(t, root))
		require.Equal(t, want, end(root))
	}
}

func TestCompactLeavesAloneWhatIsNotItsOwn(t *testing.T) {
	root := t.TempDir()
	history(t, root, 3)
	want := seen(t, root)
	day := filepath.Join(root, "v1", "trajectories", "date=2026-03-14")
	entries, err := os.ReadDir(day)
	require.NoError(t, err)
	broken := filepath.Join(day, entries[0].Name())
	whole, err := os.ReadFile(broken)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(broken, whole[:len(whole)/2], 0o600))
	foreign := filepath.Join(day, "spark-part-0001.parquet")
	require.NoError(t, os.WriteFile(foreign, whole, 0o600))
	half := filepath.Join(root, "v1", "steps", "date=2026-03-14", "dead-01HZ0000000000000000000000.parquet")
	require.NoError(t, os.WriteFile(half, []byte("PAR1"), 0o600))

	out, err := dataset.Compact(t.Context(), root, upkeepAt(noon.AddDate(0, 0, 2), 0))
	require.NoError(t, err)
	require.Len(t, out.Left, 1)
	assert.Equal(t, broken, out.Left[0].Path)
	assert.NotEmpty(t, out.Left[0].Reason)
	assert.FileExists(t, foreign)
	assert.FileExists(t, half)
	for table := range map[string]int{"steps": 1, "messages": 1} {
		assert.FileExists(t, filepath.Join(root, "v1", table, "date=2026-03-14", entries[0].Name()), "the rest of the set stays with it")
	}

	require.NoError(t, os.WriteFile(broken, whole, 0o600)) // somebody brings it back
	for _, path := range []string{foreign, half} {
		require.NoError(t, os.Remove(path))
	}
	assert.Equal(t, want, seen(t, root))
}

func TestCompactOneAtATime(t *testing.T) {
	root := t.TempDir()
	history(t, root, 2)
	inside := upkeepAt(noon.AddDate(0, 0, 2), 0)
	asked := 0
	inside.Done = func(string, string) {
		asked++
		_, err := dataset.Compact(t.Context(), root, upkeepAt(noon, 0))
		assert.ErrorContains(t, err, "going on")
	}
	_, err := dataset.Compact(t.Context(), root, inside)
	require.NoError(t, err)
	assert.Positive(t, asked)
}

// Compaction beside a writer that goes on writing to the same days.
func TestCompactBesideAWriter(t *testing.T) {
	root := t.TempDir()
	w := newWriter(t, root, "pod-1")
	done := make(chan int)
	go func() {
		defer close(done)
		for n := range 60 {
			tr := sample()[0]
			tr.ID, tr.Facts = fmt.Sprintf("%032x", n/2), nil // every second one is a new revision
			tr.Revision = int64(1000 + n)
			_, err := w.Write(t.Context(), []*trajectory.Trajectory{tr}, nil)
			assert.NoError(t, err)
			done <- n
		}
	}()
	for n := range done {
		if n%10 == 0 {
			_, err := dataset.Compact(t.Context(), root, upkeepAt(noon.AddDate(0, 0, 2), 0))
			require.NoError(t, err)
		}
	}
	live := seen(t, root)
	steps := len(sample()[0].Steps)
	for n := range 30 {
		rows := live[fmt.Sprintf("%032x", n)]
		require.Len(t, rows, 1+steps+len(sample()[0].Messages))
	}
	_ = filepath.WalkDir(filepath.Join(root, "v1", "_tmp"), func(path string, e fs.DirEntry, err error) error {
		require.NoError(t, err)
		require.True(t, e.IsDir() || e.Name() == ".lock", path)
		return nil
	})
}
