package bucket

import (
	"fmt"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

type key struct {
	id       string
	revision int64
	batch    string
}

// whole checks that no trajectory can be seen in part, and gives how often each
// can be seen.
func whole(t *testing.T, set dataset.Set) map[string]int {
	steps, messages := map[key]int{}, map[key]int{}
	for _, r := range set.Steps {
		steps[key{r.TrajectoryID, r.Revision, r.Batch}]++
	}
	for _, r := range set.Messages {
		messages[key{r.TrajectoryID, r.Revision, r.Batch}]++
	}
	want := map[string][2]int{}
	for _, tr := range append(some(1, 4), some(2, 4)...) {
		want[tr.ID] = [2]int{len(tr.Steps), len(tr.Messages)}
	}
	seen := map[string]int{}
	for _, r := range set.Trajectories {
		k := key{r.TrajectoryID, r.Revision, r.Batch}
		assert.Equal(t, [2]int{steps[k], messages[k]}, want[k.id], "steps and messages of %v", k)
		seen[k.id]++
	}
	return seen
}

// A fault at any call of a commit leaves nothing that can be seen in part; what
// was written again is there; and what the fault left is gone after a while.
func TestFaultsAtEveryCall(t *testing.T) {
	for _, kind := range faults {
		calls := 0
		for hit := true; hit; calls++ {
			t.Run(fmt.Sprint(kind, " at call ", calls), func(t *testing.T) { hit = faultAt(t, kind, calls) })
		}
		assert.Greater(t, calls, 10, "the fault was at calls of every kind")
	}
}

func faultAt(t *testing.T, kind string, call int) bool {
	b := onDisk(t, t.TempDir())
	f := &faulty{Bucket: b, kind: kind, left: 1 << 30}
	w := writer(t, f, noon)
	_, err := w.Write(t.Context(), some(1, 4), nil)
	require.NoError(t, err)

	f.left = call
	_, err = w.Write(t.Context(), some(2, 4), nil)
	seen := whole(t, rows(t, b))
	for _, tr := range some(1, 4) {
		assert.Equal(t, 1, seen[tr.ID])
	}
	if err != nil {
		require.ErrorIs(t, err, errFault)
		if kind == dies { // the next one under the same name, later
			require.NoError(t, w.Close())
			w = writer(t, onDisk(t, b.at.open), noon.Add(3*time.Hour))
		}
		_, err = w.Write(t.Context(), some(2, 4), nil)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	seen = whole(t, rows(t, onDisk(t, b.at.open)))
	for _, tr := range some(2, 4) {
		assert.NotZero(t, seen[tr.ID])
	}

	require.NoError(t, writer(t, onDisk(t, b.at.open), noon.Add(9*time.Hour)).Close())
	noLeftovers(t, onDisk(t, b.at.open))
	assert.Equal(t, seen, whole(t, rows(t, onDisk(t, b.at.open))), "nothing that could be seen was removed")
	return f.hit
}

// noLeftovers checks that every file belongs to a commit.
func noLeftovers(t *testing.T, b *Bucket) {
	list := names(t, b)
	committed := map[string]bool{}
	for _, name := range list {
		if day, ok := strings.CutPrefix(name, "v1/trajectories/"); ok {
			committed[day] = true
		}
	}
	for _, name := range list {
		table, day, _ := strings.Cut(strings.TrimPrefix(name, "v1/"), "/")
		if table != dataset.TableFacts {
			assert.True(t, committed[day], name)
		}
	}
}

// A set that may still be under way is left alone, whoever starts under its name.
func TestYoungLeftoversStay(t *testing.T) {
	dir := t.TempDir()
	f := &faulty{Bucket: onDisk(t, dir), kind: dies, left: 5}
	w := writer(t, f, noon)
	_, err := w.Write(t.Context(), some(1, 4), nil)
	require.ErrorIs(t, err, errFault)
	require.NoError(t, w.Close())
	left := names(t, onDisk(t, dir))
	require.NotEmpty(t, left)

	now := noon.Add(time.Hour)
	next, err := dataset.NewWriter("", "a", dataset.Options{Bucket: onDisk(t, dir), Staging: t.TempDir(), Clock: func() time.Time { return now }})
	require.NoError(t, err)
	assert.Equal(t, left, names(t, onDisk(t, dir)))
	now = noon.Add(3*time.Hour + time.Minute) // the same process looks again
	_, err = next.WriteFacts(t.Context(), []trajectory.Fact{{ID: "f", Name: "n", ObservedAt: noon.UnixMicro()}})
	require.NoError(t, err)
	c, err := next.Write(t.Context(), some(2, 4), nil)
	require.NoError(t, err)
	require.NoError(t, next.Close())
	noLeftovers(t, onDisk(t, dir))
	assert.Equal(t, "s3://disk/some/where/v1/trajectories/date=2026-03-15/"+path.Base(c.Files[0].Path), c.Files[len(c.Files)-1].Path)
}

// A bucket that does not answer does not keep a writer from opening.
func TestDeadBucketAtStart(t *testing.T) {
	dir := t.TempDir()
	f := &faulty{Bucket: onDisk(t, dir), kind: dies}
	w := writer(t, f, noon)
	require.ErrorIs(t, w.Warning(), errFault)
	_, err := w.Write(t.Context(), some(1, 4), nil)
	require.ErrorIs(t, err, errFault)
	f.left = 1 << 30
	_, err = w.Write(t.Context(), some(1, 4), nil)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	for id, n := range whole(t, rows(t, onDisk(t, dir))) {
		assert.Equal(t, 1, n, id)
	}
}

// Two writers of one name on one machine are told, as in a folder.
func TestANameIsUsedOnce(t *testing.T) {
	dir, staging := t.TempDir(), t.TempDir()
	w, err := dataset.NewWriter("", "a", dataset.Options{Bucket: onDisk(t, dir), Staging: staging})
	require.NoError(t, err)
	_, err = dataset.NewWriter("", "a", dataset.Options{Bucket: onDisk(t, dir), Staging: staging})
	require.ErrorContains(t, err, `writer "a" is in use by another process or component`)
	require.NoError(t, w.Close())
}
