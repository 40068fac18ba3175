package bucket

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// live is what a reader of the bucket sees by the rules of docs/dataset.md,
// batches left out.
func live(t *testing.T, b *Bucket) map[string][]string {
	set := rows(t, b)
	newest := map[string]dataset.TrajectoryRow{}
	for _, r := range set.Trajectories {
		if old, ok := newest[r.TrajectoryID]; !ok || r.Revision > old.Revision || r.Revision == old.Revision && r.Batch > old.Batch {
			newest[r.TrajectoryID] = r
		}
	}
	out := map[string][]string{}
	add := func(id string, revision int64, batch *string, row any) {
		if n := newest[id]; n.Revision == revision && n.Batch == *batch {
			*batch = ""
			text, err := json.Marshal(row)
			require.NoError(t, err)
			out[id] = append(out[id], fmt.Sprintf("%T %s", row, text))
		}
	}
	for _, r := range set.Trajectories {
		add(r.TrajectoryID, r.Revision, &r.Batch, &r)
	}
	for _, r := range set.Steps {
		add(r.TrajectoryID, r.Revision, &r.Batch, &r)
	}
	for _, r := range set.Messages {
		add(r.TrajectoryID, r.Revision, &r.Batch, &r)
	}
	for id := range out {
		slices.Sort(out[id])
	}
	return out
}

// history writes what two Collectors would in two days, some of it twice and
// some in a newer revision.
func history(t *testing.T, b *Bucket, sets int) {
	rnd := rand.New(rand.NewPCG(1, 2))
	now := noon
	var writers []*dataset.Writer
	for _, name := range []string{"pod-1", "pod-2"} {
		w, err := dataset.NewWriter(b.String(), name, dataset.Options{Bucket: kept{b}, Staging: t.TempDir(), Clock: func() time.Time { now = now.Add(time.Second); return now }})
		require.NoError(t, err)
		defer func() { require.NoError(t, w.Close()) }()
		writers = append(writers, w)
	}
	for n := range sets {
		list := some(n, 3)
		for i, tr := range list {
			tr.UserID, tr.Tenant = fmt.Sprintf("u-%d", i), "acme"
		}
		w := writers[n%2]
		_, err := w.Write(t.Context(), list, nil)
		require.NoError(t, err)
		if rnd.IntN(2) == 0 {
			list[0].Revision++
			list[0].Output = "revised"
		}
		_, err = w.Write(t.Context(), list[:2], []trajectory.Fact{{Name: "ok", TrajectoryID: list[0].ID, ObservedAt: noon.UnixMicro()}})
		require.NoError(t, err)
	}
}

// kept is a bucket that the test goes on with when others close it.
type kept struct{ *Bucket }

func (kept) Close() error { return nil }

func upkeepOf(t *testing.T, b dataset.Bucket, at time.Time, grace time.Duration) dataset.Upkeep {
	return dataset.Upkeep{Options: dataset.Options{Bucket: b, Staging: t.TempDir(), Clock: func() time.Time { return at }}, Grace: grace}
}

var later = noon.AddDate(0, 0, 3)

func TestUpkeepOfABucket(t *testing.T) { upkeepOfABucket(t, onDisk(t, t.TempDir())) }

func TestS3Upkeep(t *testing.T) {
	b, err := Open(t.Context(), s3(t).url)
	require.NoError(t, err)
	defer func() { require.NoError(t, b.Close()) }()
	upkeepOfABucket(t, b)
}

func upkeepOfABucket(t *testing.T, b *Bucket) {
	history(t, b, 10)
	want, before := live(t, b), names(t, b)
	root := b.String()

	u := upkeepOf(t, b, later, time.Hour)
	u.DryRun = true
	planned, err := dataset.Compact(t.Context(), root, u)
	require.NoError(t, err)
	require.Equal(t, before, names(t, b))
	out, err := dataset.Compact(t.Context(), root, upkeepOf(t, b, later, time.Hour))
	require.NoError(t, err)
	require.Empty(t, out.Left)
	assert.Equal(t, planned.Merged, out.Merged)
	assert.Positive(t, out.Dropped)
	require.Equal(t, want, live(t, b), "old and new files together")
	out, err = dataset.Compact(t.Context(), root, upkeepOf(t, b, later.Add(time.Hour), time.Hour))
	require.NoError(t, err)
	assert.Len(t, out.Removed, planned.Old)
	require.Equal(t, want, live(t, b), "the new files alone")
	for _, name := range names(t, b) {
		assert.NotContains(t, name, "/_", "no note, claim or marker is left")
	}

	forgot, err := dataset.Forget(t.Context(), root, dataset.Person{User: "u-1"}, upkeepOf(t, b, later, 0))
	require.NoError(t, err)
	require.Empty(t, forgot.Left)
	require.Len(t, forgot.Trajectories, 10)
	for id := range forgot.Trajectories {
		delete(want, id)
	}
	require.Equal(t, want, live(t, b))
	for _, r := range rows(t, b).Messages {
		require.False(t, forgot.Trajectories[r.TrajectoryID])
	}

	// Writers know, and what began later is new.
	old, again := some(0, 2)[1], some(77, 1)[0]
	old.UserID, again.UserID = "u-1", "u-1"
	again.FirstSeenAt, again.StartedAt = later.Add(time.Hour).UnixMicro(), later.Add(time.Hour).UnixMicro()
	w := writer(t, kept{b}, later)
	c, err := w.Write(t.Context(), []*trajectory.Trajectory{old, again}, nil)
	require.NoError(t, err)
	assert.Equal(t, 1, c.Forgotten)
	require.NoError(t, w.Close())
	assert.NotContains(t, live(t, b), old.ID)
	assert.Contains(t, live(t, b), again.ID)

	gone, err := dataset.Retain(t.Context(), root, 48*time.Hour, upkeepOf(t, b, later, 0))
	require.NoError(t, err)
	assert.Equal(t, []string{"2026-03-14"}, gone.Days)
	for _, name := range names(t, b) {
		assert.NotContains(t, name, "date=2026-03-14")
	}
}

// A fault at a call of an upkeep, ever further on, changes nothing that is seen; the next one,
// when the claim of one that died is over, does what is left.
func TestUpkeepFaults(t *testing.T) {
	whole := onDisk(t, t.TempDir())
	history(t, whole, 1)
	want := live(t, whole)
	for _, kind := range faults {
		calls := 0
		for hit := true; hit; calls += 2 + calls/2 { // each costs a whole dataset
			b := onDisk(t, t.TempDir())
			for _, o := range names(t, whole) {
				var text strings.Builder
				require.NoError(t, whole.Get(t.Context(), o, &text, size(t, whole, o)))
				put(t, b, o, text.String())
			}
			f := &faulty{Bucket: b, kind: kind, left: calls}
			_, err := dataset.Compact(t.Context(), b.String(), upkeepOf(t, f, later, 0))
			hit = f.hit
			require.Equal(t, want, live(t, b), "%s at call %d", kind, calls)
			if err != nil {
				require.ErrorIs(t, err, errFault)
				release(t, b)
			}
			for range 2 {
				_, err = dataset.Compact(t.Context(), b.String(), upkeepOf(t, b, later, 0))
				require.NoError(t, err, "%s at call %d", kind, calls)
			}
			require.Equal(t, want, live(t, b), "%s at call %d", kind, calls)
			for _, name := range names(t, b) {
				require.NotContains(t, name, "/_", "%s at call %d", kind, calls)
			}
		}
		assert.Greater(t, calls, 30, "the fault was at calls of every kind")
	}
}

func size(t *testing.T, b *Bucket, name string) int64 {
	list, err := b.List(t.Context(), name)
	require.NoError(t, err)
	return list[0].Bytes
}

// release removes claims, as if they were old.
func release(t *testing.T, b *Bucket) {
	list, err := b.List(t.Context(), "v1/_tmp/_upkeep/")
	require.NoError(t, err)
	for _, o := range list {
		require.NoError(t, b.Remove(t.Context(), o.Name))
	}
}

// Two machines do not work on one bucket at once.
func TestUpkeepIsAlone(t *testing.T) {
	b := onDisk(t, t.TempDir())
	history(t, b, 3)
	inside, asked := upkeepOf(t, b, later, 0), 0
	inside.Done = func(string, string) {
		asked++
		_, err := dataset.Compact(t.Context(), b.String(), upkeepOf(t, b, later, 0))
		assert.ErrorContains(t, err, "is going on")
	}
	_, err := dataset.Compact(t.Context(), b.String(), inside)
	require.NoError(t, err)
	assert.Positive(t, asked)
}

// slow is a bucket in which somebody is forgotten while a commit is under way.
type slow struct {
	kept
	puts int
	hook func()
}

func (s *slow) List(ctx context.Context, prefix string) ([]dataset.Object, error) {
	list, err := s.kept.List(ctx, prefix)
	if s.puts > 0 && strings.Contains(prefix, "_forgotten") { // the marker is there, the mark is not
		s.puts = 0
		s.hook()
	}
	return list, err
}

// A commit that did not see the mark is waited for; one that does begins again.
func TestForgetDuringACommit(t *testing.T) {
	b := onDisk(t, t.TempDir())
	user := some(1, 1)[0]
	user.UserID = "u-1"
	first := writer(t, kept{b}, noon)
	_, err := first.Write(t.Context(), some(5, 1), nil)
	require.NoError(t, err)

	done := make(chan error, 1)
	s := &slow{kept: kept{b}}
	w := writer(t, s, noon)
	_, err = w.Write(t.Context(), some(6, 1), nil)
	require.NoError(t, err)
	s.puts = 1
	s.hook = func() {
		go func() {
			out, err := dataset.Forget(t.Context(), b.String(), dataset.Person{User: "u-1"}, upkeepOf(t, b, noon.Add(time.Hour), 0))
			if err == nil && !out.Trajectories[user.ID] {
				err = fmt.Errorf("%v instead of %s", out.IDs(), user.ID)
			}
			done <- err
		}()
		require.Eventually(t, func() bool {
			return slices.ContainsFunc(names(t, b), func(n string) bool { return strings.Contains(n, "_forgotten/") })
		}, 10*time.Second, time.Millisecond)
		time.Sleep(200 * time.Millisecond) // it waits for us
	}
	c, err := w.Write(t.Context(), []*trajectory.Trajectory{user}, nil)
	require.NoError(t, err)
	require.NoError(t, <-done)
	assert.Equal(t, 1, c.Trajectories)
	assert.NotContains(t, live(t, b), user.ID)

	c, err = first.Write(t.Context(), []*trajectory.Trajectory{user}, nil) // who knew of no mark
	require.NoError(t, err)
	assert.Equal(t, dataset.Commit{Forgotten: 1}, c)
	require.NoError(t, w.Close())
	require.NoError(t, first.Close())
}
