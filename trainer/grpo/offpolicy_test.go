package grpo

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// By hand: weights 4, 1 and ½.
func TestCorrectionsByHand(t *testing.T) {
	old := []float64{-1, -1, -1}
	behaviour := []float64{-1 - math.Log(4), -1, -1 + math.Ln2}
	plus, minus := []float64{1, 1, 1}, []float64{-1, -1, -1}
	for name, c := range map[string]struct {
		by         Correction
		advantages []float64
		want       Weighed
	}{
		"none":                          {Correction{}, plus, Weighed{Weights: []float64{1, 1, 1}}},
		"truncated":                     {Correction{Cap: 2}, plus, Weighed{Weights: []float64{2, 1, 0.5}, Truncated: 1}},
		"band":                          {Correction{TokenLow: 0.75, TokenHigh: 5}, plus, Weighed{Weights: []float64{1, 1, 0}, Masked: 1}},
		"band and cap":                  {Correction{TokenLow: 0.75, TokenHigh: 5, Cap: 3}, plus, Weighed{Weights: []float64{3, 1, 0}, Truncated: 1, Masked: 1}},
		"no upper bound":                {Correction{TokenLow: 0.75}, plus, Weighed{Weights: []float64{1, 1, 0}, Masked: 1}},
		"geometric mean 2^(1/3) is in":  {Correction{SequenceLow: 0.5, SequenceHigh: 1.27}, plus, Weighed{Weights: []float64{1, 1, 1}}},
		"geometric mean 2^(1/3) is out": {Correction{SequenceHigh: 1.25}, plus, Weighed{Weights: []float64{0, 0, 0}, Masked: 3, Reason: ReasonSequenceMask}},
		"veto":                          {Correction{Veto: 0.6}, plus, Weighed{Weights: []float64{0, 0, 0}, Masked: 3, Reason: ReasonVeto}},
		"no veto":                       {Correction{Veto: 0.4}, plus, Weighed{Weights: []float64{1, 1, 1}}},
		"topr: positives count in full": {Correction{Tapered: true}, plus, Weighed{Weights: []float64{1, 1, 1}}},
		"topr: the product is 2, held":  {Correction{Tapered: true}, minus, Weighed{Weights: []float64{1, 1, 1}}},
		"stale: it has not moved away":  {Correction{Stale: 0.1}, minus, Weighed{Weights: []float64{1, 1, 1}}},
		"above the lower bound":         {Correction{SequenceLow: 1}, plus, Weighed{Weights: []float64{1, 1, 1}}},
	} {
		got := c.by.Weigh(Logs{Now: old, Behaviour: behaviour, Advantages: c.advantages})
		assert.InDeltaSlice(t, c.want.Weights, got.Weights, 1e-12, name)
		got.Weights, c.want.Weights = nil, nil
		assert.Equal(t, c.want, got, name)
	}
	// the other way round the product is ½, and the policy has moved away
	back := Logs{Now: behaviour, Behaviour: old, Advantages: []float64{-1, 1, -1}}
	got := Correction{Tapered: true}.Weigh(back)
	assert.InDeltaSlice(t, []float64{0.5, 1, 0.5}, got.Weights, 1e-12)
	assert.Equal(t, 2, got.Truncated)
	got = Correction{Stale: 0.2}.Weigh(back) // ln 2 / 3 = 0.23
	assert.Equal(t, Weighed{Weights: []float64{0, 1, 0}, Masked: 2}, got)
	assert.Equal(t, Weighed{Weights: []float64{1, 1, 1}}, Correction{Stale: 0.24}.Weigh(back))
}

func TestCorrectionsByName(t *testing.T) {
	for _, name := range []string{"none", "truncate", "icepop", "stale", "topr"} {
		_, err := CorrectionOf(name)
		require.NoError(t, err)
	}
	_, err := CorrectionOf("is")
	assert.ErrorContains(t, err, "use none, truncate")
}

func TestNothingIsCorrectedOnPolicy(t *testing.T) {
	for seed := range uint64(100) {
		x := randomLogs(rand.New(rand.NewPCG(seed, 11)))
		ones := make([]float64, len(x.Now))
		for i := range ones {
			ones[i] = 1
		}
		for _, behaviour := range [][]float64{nil, x.Now} {
			for name, c := range corrections {
				got := c.Weigh(Logs{Now: x.Now, Behaviour: behaviour, Advantages: x.Advantages})
				require.Equal(t, Weighed{Weights: ones}, got, name)
			}
		}
	}
}

func TestWeightsAreBounded(t *testing.T) {
	all := Correction{Cap: 2, TokenLow: 0.1, TokenHigh: 8, SequenceHigh: 3, Veto: 1e-4, Stale: 0.5}
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 12))
		x := randomLogs(r)
		x.Behaviour = near(r, x.Now, 2)
		for _, c := range []Correction{all, {Tapered: true}} {
			got := c.Weigh(x)
			zero := 0
			for _, w := range got.Weights {
				require.True(t, w >= 0 && w <= 2)
				if w == 0 {
					zero++
				}
			}
			require.Equal(t, got.Masked, zero)
		}
	}
}

func TestEffectiveSampleSize(t *testing.T) {
	var e Effective
	assert.InDelta(t, 1, e.Share(), 0)
	e.Add([]float64{0, 0}, []float64{0, 0})
	assert.InDelta(t, 1, e.Share(), 1e-12)
	e = Effective{}
	e.Add([]float64{0, 0}, []float64{-math.Log(3), 0}) // weights 3 and 1: 16 / (2 · 10)
	assert.InDelta(t, 0.8, e.Share(), 1e-12)
	e = Effective{}
	e.Add([]float64{0, -19, -19, -19}, []float64{-19, 0, 0, 0}) // one alone decides
	assert.InDelta(t, 0.25, e.Share(), 1e-6)
}

func TestReductions(t *testing.T) {
	tokens := [][]int{{2, 4}, {3}, {0}} // the last has none
	for how, want := range map[Reduction][][]float64{
		TokenMean:   {{1. / 9, 1. / 9}, {1. / 9}, {0}},
		RolloutMean: {{1. / 12, 1. / 12}, {1. / 6}, {0}},
		RowMean:     {{1. / 6, 1. / 12}, {1. / 9}, {0}},
		Constant:    {{1. / 20, 1. / 20}, {1. / 20}, {0}},
	} {
		got, err := how.Weights(tokens, 10)
		require.NoError(t, err)
		for i := range want {
			assert.InDeltaSlice(t, want[i], got[i], 1e-15, how)
		}
		_, err = how.Weights([][]int{{0}, {}}, 10)
		require.ErrorContains(t, err, "no token to train on")
	}
	_, err := Constant.Weights(tokens, 0)
	require.ErrorContains(t, err, "length above 0")
	_, err = Reduction("mean").Weights(tokens, 1)
	require.ErrorContains(t, err, `"mean" is not known`)
}
