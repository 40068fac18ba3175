package grpo

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDiscount(t *testing.T) {
	assert.Equal(t, []float64{1 + 0.5*(2+0.5*4), 2 + 0.5*4, 4}, Discount([]float64{1, 2, 4}, 0.5))
	assert.Equal(t, []float64{7, 6, 4}, Discount([]float64{1, 2, 4}, 1))
	assert.Equal(t, []float64{1, 2, 4}, Discount([]float64{1, 2, 4}, 0))
	assert.Empty(t, Discount(nil, 1))
}

// By hand: rewards 1, -, -1 and 0: mean 0, standard deviation 1.
func TestProcessByHand(t *testing.T) {
	plus, minus, zero := 1., -1., 0.
	rewards := [][]*float64{{&plus, nil, &minus}, {&zero}, {}}
	got, signal := Process(rewards, 1, Options{})
	require.Equal(t, Informative, signal)
	assert.InDeltaSlice(t, []float64{0, -1, -1}, got[0], 1e-5)
	assert.InDeltaSlice(t, []float64{0}, got[1], 1e-5)
	assert.Empty(t, got[2])
	got, _ = Process(rewards, 0.5, Options{Normalize: None})
	assert.Equal(t, []float64{0.75, -0.5, -1}, got[0])

	for i := range rewards { // a shift of all rewards
		for j, r := range rewards[i] {
			if r != nil {
				v := *r + 5
				rewards[i][j] = &v
			}
		}
	}
	shifted, _ := Process(rewards, 0.5, Options{Normalize: None})
	assert.InDeltaSlice(t, got[0], shifted[0], 1e-12)
	_, signal = Process([][]*float64{{nil}, {&plus}}, 1, Options{})
	assert.Equal(t, Single, signal)
	nan := math.NaN()
	_, signal = Process([][]*float64{{&nan}, {&plus}}, 1, Options{})
	assert.Equal(t, NotFinite, signal)
}

func TestAnchors(t *testing.T) {
	steps := [][]Anchored{{{"start", 1}, {"menu", 5}, {"alone", 3}}, {{"start", 0}, {"menu", 5}}, {{"start", 0}}}
	got := Anchors(steps, Options{Normalize: None})
	assert.InDeltaSlice(t, []float64{2. / 3, 0, 0}, got[0], 1e-12)
	assert.InDeltaSlice(t, []float64{-1. / 3, 0}, got[1], 1e-12)
	assert.InDeltaSlice(t, []float64{-1. / 3}, got[2], 1e-12)
	assert.Nil(t, Anchors([][]Anchored{{{"a", math.NaN()}}}, Options{}))
}

// By hand: agent a took 1 step in the attempt of return 1 and 3 in that of 0:
// μ = 1/4, squares (9/16 + 3/16) / 3 = 1/4, so σ = 1/2.
func TestPerAgentByHand(t *testing.T) {
	got, dropped := PerAgent([]float64{1, 0, 0}, []map[string]int{{"a": 1, "b": 2}, {"a": 3, "c": 1}, {"c": 2}}, Options{})
	assert.InDelta(t, 1.5, got[0]["a"], 1e-5)
	assert.InDelta(t, -0.5, got[1]["a"], 1e-5)
	assert.Equal(t, map[string]Signal{"b": Single, "c": ZeroVariance}, dropped)
	assert.NotContains(t, got[2], "a")
	got, _ = PerAgent([]float64{1, 0}, []map[string]int{{"a": 1}, {"a": 3}}, Options{Normalize: LeaveOneOut})
	assert.InDelta(t, 1, got[0]["a"], 1e-12) // the others' mean is 0
	assert.InDelta(t, -1, got[1]["a"], 1e-12)
}

func TestPerAgentIsGRPOWhereAllTakeOneStep(t *testing.T) {
	each(t, func(t *testing.T, r *rand.Rand, returns []float64, opt Options) {
		t.Helper()
		steps := make([]map[string]int, len(returns))
		for i := range steps {
			steps[i] = map[string]int{"a": 1}
		}
		want, _ := Advantages(returns, opt)
		got, _ := PerAgent(returns, steps, opt)
		for i := range want {
			require.InDelta(t, want[i], got[i]["a"], 1e-9)
		}
		// and with any number of steps they sum to 0 and ignore a shift
		for i := range steps {
			steps[i] = map[string]int{"a": r.IntN(4), "b": r.IntN(3)}
		}
		got, _ = PerAgent(returns, steps, opt)
		moved, _ := PerAgent(transform(returns, func(v float64) float64 { return v + 7 }), steps, opt)
		sums := map[string]float64{}
		for i := range got {
			for agent, a := range got[i] {
				sums[agent] += a * float64(steps[i][agent])
				require.InDelta(t, a, moved[i][agent], 1e-8)
			}
		}
		for _, sum := range sums {
			require.InDelta(t, 0, sum, 1e-8)
		}
	})
}

// gaeByDefinition is A_t = Σ_l (γλ)^l δ_{t+l}.
func gaeByDefinition(rewards, values []float64, gamma, lambda float64) []float64 {
	out := make([]float64, len(rewards))
	for t := range out {
		for l := t; l < len(rewards); l++ {
			after := 0.
			if l+1 < len(values) {
				after = values[l+1]
			}
			out[t] += math.Pow(gamma*lambda, float64(l-t)) * (rewards[l] + gamma*after - values[l])
		}
	}
	return out
}

func TestGAE(t *testing.T) {
	// By hand, γ = 0.5, λ = 0.5: δ = -1+0.5·2, -2+0.5·4, 8-4 = 0, 0, 4
	a, returns := GAE([]float64{0, 0, 8}, []float64{1, 2, 4}, 0.5, 0.5)
	assert.Equal(t, []float64{0.25, 1, 4}, a)
	assert.Equal(t, []float64{1.25, 3, 8}, returns)
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 6))
		rewards, values := make([]float64, 1+r.IntN(20)), make([]float64, 0, 20)
		for i := range rewards {
			rewards[i] = r.NormFloat64()
			values = append(values, r.NormFloat64())
		}
		gamma, lambda := r.Float64(), r.Float64()
		got, _ := GAE(rewards, values, gamma, lambda)
		require.InDeltaSlice(t, gaeByDefinition(rewards, values, gamma, lambda), got, 1e-9)
		// λ = 1: what follows, less the value; λ = 0: the error of one step
		mc, returns := GAE(rewards, values, gamma, 1)
		require.InDeltaSlice(t, Discount(rewards, gamma), returns, 1e-9)
		require.InDelta(t, Discount(rewards, gamma)[0]-values[0], mc[0], 1e-9)
	}
}

func TestWhiten(t *testing.T) {
	got := Whiten([][]float64{{1}, {}, {2, 3}})
	assert.InDeltaSlice(t, []float64{-1}, got[0], 1e-7)
	assert.Empty(t, got[1])
	assert.InDeltaSlice(t, []float64{0, 1}, got[2], 1e-7)
	assert.Equal(t, [][]float64{{0}}, Whiten([][]float64{{5}}))
	assert.Equal(t, [][]float64{{0, 0}}, Whiten([][]float64{{5, 5}}))
}

func TestValueLossByHandAndByDifferences(t *testing.T) {
	loss, slope := ValueLoss([]float64{3, 3, 1.1}, []float64{1, 2.9, 1}, []float64{0, 0, 5}, 0.2)
	// clipping 3 to 1.2 is smaller, so the free loss holds; 1.1 is in range
	assert.InDeltaSlice(t, []float64{4.5, 4.5, 0.5 * 3.9 * 3.9}, loss, 1e-12)
	assert.InDeltaSlice(t, []float64{3, 3, -3.9}, slope, 1e-12)
	loss, slope = ValueLoss([]float64{0}, []float64{2}, []float64{1}, 0.5) // held at 1.5, nearer
	assert.Equal(t, []float64{0.5, -1}, []float64{loss[0], slope[0]})
	loss, slope = ValueLoss([]float64{1.2}, []float64{2}, []float64{1}, 0.5) // held at 1.5, further: no slope
	assert.InDelta(t, 0.125, loss[0], 1e-12)
	assert.Zero(t, slope[0])
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 7))
		v, old, want, clip := r.NormFloat64(), r.NormFloat64(), r.NormFloat64(), r.Float64()
		f := func(v float64) float64 {
			loss, _ := ValueLoss([]float64{v}, []float64{old}, []float64{want}, clip)
			return loss[0]
		}
		_, slope := ValueLoss([]float64{v}, []float64{old}, []float64{want}, clip)
		require.InDelta(t, (f(v+1e-6)-f(v-1e-6))/2e-6, slope[0], 1e-4)
	}
}
