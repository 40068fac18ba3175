package paired

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestIdenticalPoliciesDifferByNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		pairs := make([]Pair, 1+random.IntN(60))
		for i := range pairs {
			v := random.NormFloat64()
			pairs[i] = Pair{v, v}
		}
		r := Compare(pairs, 0.95, random.Uint64())
		assert.Zero(t, r.Difference)
		assert.Zero(t, r.Low)
		assert.Zero(t, r.High)
		assert.Zero(t, r.Better+r.Worse)
		assert.Equal(t, len(pairs), r.Support)
	}
}

func TestTheOrderOfPromptsDoesNotMatter(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 10 {
		pairs := make([]Pair, 2+random.IntN(40))
		for i := range pairs {
			pairs[i] = Pair{float64(random.IntN(3)) / 3, float64(random.IntN(3)) / 3}
		}
		want := Compare(pairs, 0.9, 7)
		mixed := slices.Clone(pairs)
		random.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		assert.Equal(t, want, Compare(mixed, 0.9, 7))
	}
}

func TestSwappedPoliciesMirrorTheInterval(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	pairs, swapped := make([]Pair, 30), make([]Pair, 30)
	for i := range pairs {
		pairs[i] = Pair{random.Float64(), random.Float64() + 0.2}
		swapped[i] = Pair{pairs[i].Candidate, pairs[i].Base}
	}
	a, b := Compare(pairs, 0.95, 1), Compare(swapped, 0.95, 1)
	assert.InDelta(t, a.Difference, -b.Difference, 1e-12)
	assert.InDelta(t, a.Low, -b.High, 0.03*(a.High-a.Low), "but for chance")
	assert.Equal(t, a.Better, b.Worse)
	moved := make([]Pair, 30)
	for i, p := range pairs {
		moved[i] = Pair{p.Base, p.Candidate + 1}
	}
	c := Compare(moved, 0.95, 1)
	assert.InDelta(t, a.Low+1, c.Low, 1e-9, "a shift of the candidate shifts the interval")
	assert.InDelta(t, a.High+1, c.High, 1e-9)
}

func TestFewPrompts(t *testing.T) {
	assert.Equal(t, Result{Confidence: 0.95}, Compare(nil, 0.95, 1))
	one := Compare([]Pair{{0, 1}}, 0.95, 1)
	assert.Equal(t, 1.0, one.Low)
	assert.Equal(t, 1, one.Support)
	narrow, wide := Compare([]Pair{{0, 0}, {0, 1}, {0, 0}, {0, 1}}, 0.5, 1), Compare([]Pair{{0, 0}, {0, 1}, {0, 0}, {0, 1}}, 0.99, 1)
	assert.LessOrEqual(t, wide.Low, narrow.Low)
	assert.GreaterOrEqual(t, wide.High, narrow.High)
}

// The interval holds the true difference about as often as it says, for returns
// as they come: right or wrong, a few attempts a prompt, prompts of all kinds of
// difficulty.
func TestCoverage(t *testing.T) {
	const runs, confidence, gain = 400, 0.95, 0.1
	random := rand.New(rand.NewPCG(8, 9))
	attempt := func(p float64) (mean float64) {
		for range 4 {
			if random.Float64() < p {
				mean += 0.25
			}
		}
		return mean
	}
	for _, prompts := range []int{8, 20, 60} {
		held := 0
		for range runs {
			pairs := make([]Pair, prompts)
			for i := range pairs {
				p := 0.8 * random.Float64()
				pairs[i] = Pair{attempt(p), attempt(p + gain)}
			}
			if r := Compare(pairs, confidence, random.Uint64()); r.Low <= gain && gain <= r.High {
				held++
			}
		}
		coverage := float64(held) / runs
		slack := 3 * math.Sqrt(confidence*(1-confidence)/runs)
		assert.GreaterOrEqual(t, coverage, confidence-slack, "%d prompts", prompts)
		t.Logf("%d prompts: %.3f of the intervals hold the truth", prompts, coverage)
	}
}

func TestStudent(t *testing.T) {
	for degrees, want := range map[int]float64{4: -2.776, 7: -2.365, 10: -2.228, 30: -2.042, 1000: -1.962} {
		assert.InEpsilon(t, want, student(0.025, degrees), 0.01, "%d degrees", degrees)
	}
}
