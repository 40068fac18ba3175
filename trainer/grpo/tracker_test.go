package grpo

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func value(t *testing.T, tr *Tracker, task string) float64 {
	t.Helper()
	v, ok := tr.Value(task)
	require.True(t, ok)
	return v
}

// By hand: D = 0 keeps 0.96, D = 0.03 would keep 2^-½ = 0.71 and is held at
// 0.875, D = 0.006 keeps 2^-0.1 = 0.933.
func TestTrackerByHand(t *testing.T) {
	tr := NewTracker()
	_, ok := tr.Value("a")
	assert.False(t, ok)
	require.NoError(t, tr.Observe("a", []float64{1, 1, 0}))
	assert.InDelta(t, 2./3, value(t, tr, "a"), 1e-12)
	require.NoError(t, tr.Observe("a", []float64{0}))
	assert.InDelta(t, 0.96*2/(0.96*3+1), value(t, tr, "a"), 1e-12)

	tr = NewTracker()
	require.NoError(t, tr.Observe("a", []float64{1, 0}))
	tr.Advance(0.03)
	require.NoError(t, tr.Observe("a", []float64{1}))
	assert.InDelta(t, (0.875+1)/(0.875*2+1), value(t, tr, "a"), 1e-12)
	tr.Advance(0.004)
	tr.Advance(0.002)
	require.NoError(t, tr.Observe("a", []float64{0}))
	keep := math.Exp2(-0.1)
	assert.InDelta(t, keep*1.875/(keep*2.75+1), value(t, tr, "a"), 1e-12)
}

func TestTrackerIsAMeanInAnyUnit(t *testing.T) {
	tr := NewTracker()
	require.NoError(t, tr.Observe("a", []float64{-3, 12, 6}))
	assert.InDelta(t, 5, value(t, tr, "a"), 1e-12)
}

func TestTrackerRefusesWhatIsNoNumber(t *testing.T) {
	tr := NewTracker()
	require.Error(t, tr.Observe("a", []float64{1, math.NaN()}))
	require.Error(t, tr.Observe("a", []float64{math.Inf(1)}))
	require.NoError(t, tr.Observe("a", nil))
	assert.Zero(t, tr.Len())
	tr.Advance(math.NaN())
	tr.Advance(-1)
	tr.Advance(math.Inf(1))
	text, err := json.Marshal(tr)
	require.NoError(t, err)
	assert.JSONEq(t, `{"version":1,"night":3,"drift":0,"tasks":{}}`, string(text))
}

func TestTrackerSurvivesAFile(t *testing.T) {
	tr := NewTracker()
	for i := range 20 {
		require.NoError(t, tr.Observe(fmt.Sprint(i%7), []float64{float64(i % 3)}))
		tr.Advance(0.01)
	}
	text, err := json.Marshal(tr)
	require.NoError(t, err)
	back, err := ReadTracker(text)
	require.NoError(t, err)
	assert.Equal(t, tr, back)
	again, err := json.Marshal(back.Clone())
	require.NoError(t, err)
	assert.Equal(t, string(text), string(again))

	clone := tr.Clone()
	require.NoError(t, clone.Observe("0", []float64{1}))
	assert.Equal(t, tr, back, "a clone is another")
}

func TestTrackerPrunesTheOldest(t *testing.T) {
	tr := NewTracker()
	for _, k := range []string{"a", "b", "c"} {
		require.NoError(t, tr.Observe(k, []float64{1}))
		tr.Advance(0)
	}
	require.NoError(t, tr.Observe("a", []float64{1}))
	assert.Equal(t, 0, tr.Prune(3))
	assert.Equal(t, 1, tr.Prune(2))
	_, ok := tr.Value("b")
	assert.False(t, ok)
}

func TestTrackersThatCannotBeAreRefused(t *testing.T) {
	for _, text := range []string{
		``, `{}`, `[]`, `{"version":2}`, `{"version":1,"night":-1}`, `{"version":1,"drift":-1}`, `{"version":1,"else":1}`,
		`{"version":1,"tasks":{"a":{"a":1,"b":-1}}}`, `{"version":1,"tasks":{"a":{"a":1,"b":1,"d":3}}}`,
		`{"version":1,"tasks":{"a":{"a":1,"b":1,"n":3}}}`, `{"version":1,"tasks":{"a":{"a":1e308,"b":1e308}}}`,
	} {
		_, err := ReadTracker([]byte(text))
		assert.ErrorContains(t, err, "read tracker: ", text)
	}
	empty, err := ReadTracker([]byte(`{"version":1}`))
	require.NoError(t, err)
	require.NoError(t, empty.Observe("a", []float64{1}))
}

func FuzzReadTracker(f *testing.F) {
	f.Add([]byte(`{"version":1,"night":1,"drift":0.5,"tasks":{"a":{"a":1,"b":2,"d":0.1,"n":1}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		tr, err := ReadTracker(text)
		if err != nil {
			return
		}
		for k := range tr.tasks {
			if v := value(t, tr, k); math.IsNaN(v) || math.IsInf(v, 0) {
				t.Fatalf("task %q is worth %v", k, v)
			}
		}
		if _, err := json.Marshal(tr); err != nil {
			t.Fatal(err)
		}
	})
}
