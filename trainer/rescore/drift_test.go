package rescore

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/rewards"
)

const day = int64(24 * time.Hour / time.Microsecond)

// drift makes 40 days of 60 trajectories of six tasks, the last ten of which are
// recent. attempt says what the answer's length and the user's verdict are.
func drift(t *testing.T, attempt func(r *rand.Rand, task int, recent bool) (length int, verdict float64), tasks func(r *rand.Rand, recent bool) int) *Drifted {
	e, err := rewards.Parse("rewards.yaml", []byte("rewards:\n  - {name: long, expr: 'len(output) / 100', missing: skip}\n"))
	require.NoError(t, err)
	d := &Drift{Engine: e, Recent: 10 * 24 * time.Hour, Baseline: 30 * 24 * time.Hour}
	r := rand.New(rand.NewPCG(7, 8))
	for i := range 40 * 60 {
		at := int64(i/60)*day + int64(i%60)
		recent := at > 39*day+59-10*day
		task := tasks(r, recent)
		length, verdict := attempt(r, task, recent)
		x := &trajectory.Trajectory{ID: fmt.Sprint(i), TaskKey: fmt.Sprint("task-", task), EndedAt: at + 1, Output: strings.Repeat("é", length), ModelCalls: 1 + r.IntN(3)}
		s := &Scored{Trajectory: x}
		if i%2 == 0 {
			s.Known = []trajectory.Fact{{ID: "f", Name: "solved", Source: "feedback", Value: &verdict}}
		}
		s.Rewards = [][]trajectory.Reward{e.Score(x, s.Known, 1)}
		d.Add(s)
	}
	return d.Report()
}

func even(r *rand.Rand, _ bool) int { return r.IntN(6) }

func moved(r *Drifted) map[string]int {
	out := map[string]int{}
	for _, m := range r.Measures {
		if m.Moved != 0 {
			out[m.Measure] = m.Moved
		}
	}
	return out
}

// TestNoDrift: nothing moves where nothing changed.
func TestNoDrift(t *testing.T) {
	r := drift(t, func(r *rand.Rand, task int, _ bool) (int, float64) { return 50*task + r.IntN(40), float64(r.IntN(2)) }, even)
	assert.Equal(t, [2]int{1800, 600}, r.Trajectories)
	assert.Equal(t, 6, r.Tasks)
	assert.Empty(t, moved(r))
	assert.Empty(t, r.Warnings)
	assert.Len(t, r.Measures[0].Course, courseBins)
}

// TestHackedReward: answers grow because length is paid for, and users like
// them less.
func TestHackedReward(t *testing.T) {
	r := drift(t, func(r *rand.Rand, task int, recent bool) (int, float64) {
		length := 50*task + r.IntN(40)
		if recent {
			return length + 60, float64(r.IntN(5) / 4)
		}
		return length, float64(r.IntN(2))
	}, even)
	assert.Equal(t, map[string]int{"return": 1, "rule long": 1, "output characters": 1, "feedback solved": -1}, moved(r))
	require.Len(t, r.Warnings, 2)
	assert.Contains(t, r.Warnings[0], "feedback solved fell")
	assert.Contains(t, r.Warnings[1], "output characters rose")
	assert.InDelta(t, 0.6, *r.Measures[0].Change, 0.05)
}

// TestFeedbackStays: a gain that users do not see.
func TestFeedbackStays(t *testing.T) {
	r := drift(t, func(r *rand.Rand, _ int, recent bool) (int, float64) {
		if recent {
			return 200, float64(r.IntN(2))
		}
		return 100 + r.IntN(9), float64(r.IntN(2))
	}, even)
	assert.Contains(t, strings.Join(r.Warnings, "\n"), "feedback solved did not")
}

// TestAnotherMix: more of the tasks that have long answers anyway is no drift.
func TestAnotherMix(t *testing.T) {
	r := drift(t, func(r *rand.Rand, task int, _ bool) (int, float64) { return 50*task + r.IntN(40), float64(r.IntN(2)) },
		func(r *rand.Rand, recent bool) int {
			if recent {
				return max(r.IntN(6), r.IntN(6))
			}
			return r.IntN(6)
		})
	assert.Greater(t, r.Measures[0].Mean[1], r.Measures[0].Mean[0]+0.3, "the means differ")
	assert.Empty(t, r.Warnings)
}

// TestOtherTasks: windows without common tasks are compared as a whole.
func TestOtherTasks(t *testing.T) {
	r := drift(t, func(r *rand.Rand, task int, _ bool) (int, float64) {
		return 50*(task%7) + r.IntN(40), float64(r.IntN(2))
	},
		func(r *rand.Rand, recent bool) int {
			if recent {
				return 100 + r.IntN(6)
			}
			return r.IntN(6)
		})
	assert.Zero(t, r.Tasks)
	assert.NotNil(t, r.Measures[0].Change)
}

// TestAgreementFalls: the return said something of the verdict, and does not
// any more.
func TestAgreementFalls(t *testing.T) {
	r := drift(t, func(r *rand.Rand, _ int, recent bool) (int, float64) {
		length, verdict := 100+r.IntN(100), float64(r.IntN(2))
		if !recent && length > 150 {
			verdict = 1
		}
		return length, verdict
	}, even)
	require.Len(t, r.Agreement, 1)
	assert.True(t, r.Agreement[0].Fell)
	assert.Contains(t, strings.Join(r.Warnings, "\n"), "agrees less with feedback solved")
}

// TestTooFew: of few values nothing is said.
func TestTooFew(t *testing.T) {
	d := &Drift{Recent: time.Hour, Baseline: time.Hour}
	for i := range 20 {
		d.samples = append(d.samples, sample{at: int64(i) * int64(6*time.Minute/time.Microsecond), values: map[string]float64{MeasureReturn: float64(i)}})
	}
	r := d.Report()
	assert.Equal(t, [2]int{10, 10}, r.Trajectories)
	assert.Nil(t, r.Measures[0].Change)
	assert.Empty(t, r.Warnings)
}
