package grpo

import (
	"bufio"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testdata/advantages.jsonl was computed with the statistics module of Python
// (fmean, stdev), which sums exactly.
func TestAdvantagesAgreeWithPython(t *testing.T) {
	file, err := os.Open("testdata/advantages.jsonl")
	require.NoError(t, err)
	defer file.Close()
	lines := 0
	for scan := bufio.NewScanner(file); scan.Scan(); lines++ {
		var c struct {
			Normalize Normalization `json:"normalize"`
			Returns   []float64     `json:"returns"`
			Want      []float64     `json:"want"` // null: no signal
		}
		require.NoError(t, json.Unmarshal(scan.Bytes(), &c))
		got, ok := Advantages(c.Returns, Options{Normalize: c.Normalize})
		require.Equal(t, c.Want != nil, ok, scan.Text())
		require.Len(t, got, len(c.Want))
		for i := range got {
			assert.InDelta(t, c.Want[i], got[i], 1e-12, scan.Text())
		}
	}
	require.GreaterOrEqual(t, lines, 10)
}

func randomReturns(r *rand.Rand) []float64 {
	returns := make([]float64, 2+r.IntN(30))
	for i := range returns {
		returns[i] = r.NormFloat64() * 3
		if r.IntN(3) == 0 {
			returns[i] = float64(r.IntN(2))
		}
	}
	returns[0], returns[1] = 0, 1
	return returns
}

func each(t *testing.T, check func(t *testing.T, r *rand.Rand, returns []float64, opt Options)) {
	t.Helper()
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 1))
		for _, n := range []Normalization{Std, None} {
			check(t, r, randomReturns(r), Options{Normalize: n})
		}
	}
}

func TestAdvantagesSumToZero(t *testing.T) {
	each(t, func(t *testing.T, _ *rand.Rand, returns []float64, opt Options) {
		t.Helper()
		got, ok := Advantages(returns, opt)
		require.True(t, ok)
		var sum float64
		for _, a := range got {
			sum += a
		}
		require.InDelta(t, 0, sum, 1e-9)
	})
}

func TestAdvantagesIgnoreAShift(t *testing.T) {
	each(t, func(t *testing.T, r *rand.Rand, returns []float64, opt Options) {
		t.Helper()
		shift := r.NormFloat64() * 100
		want, _ := Advantages(returns, opt)
		got, ok := Advantages(transform(returns, func(v float64) float64 { return v + shift }), opt)
		require.True(t, ok)
		require.InDeltaSlice(t, want, got, 1e-9)
	})
}

func TestAdvantagesFollowTheScale(t *testing.T) {
	each(t, func(t *testing.T, r *rand.Rand, returns []float64, opt Options) {
		t.Helper()
		scale := math.Exp(r.NormFloat64())
		want, _ := Advantages(returns, opt)
		if opt.Normalize == None {
			want = transform(want, func(v float64) float64 { return v * scale })
		}
		got, ok := Advantages(transform(returns, func(v float64) float64 { return v * scale }), opt)
		require.True(t, ok)
		require.InDeltaSlice(t, want, got, 1e-4) // ε is not scaled
	})
}

func TestAdvantagesHaveUnitVarianceUnderStd(t *testing.T) {
	each(t, func(t *testing.T, _ *rand.Rand, returns []float64, opt Options) {
		t.Helper()
		if opt.Normalize != Std {
			return
		}
		got, _ := Advantages(returns, opt)
		var squares float64
		for _, a := range got {
			squares += a * a
		}
		require.InDelta(t, 1, squares/float64(len(got)-1), 1e-4)
	})
}

func TestAdvantagesKeepOrderAndPermute(t *testing.T) {
	each(t, func(t *testing.T, r *rand.Rand, returns []float64, opt Options) {
		t.Helper()
		want, _ := Advantages(returns, opt)
		perm := r.Perm(len(returns))
		shuffled := make([]float64, len(returns))
		for to, from := range perm {
			shuffled[to] = returns[from]
		}
		got, _ := Advantages(shuffled, opt)
		for to, from := range perm {
			require.InDelta(t, want[from], got[to], 1e-9)
		}
		for i := range returns {
			for j := range returns {
				if returns[i] < returns[j]-1e-9 {
					require.Less(t, want[i], want[j])
				}
			}
		}
	})
}

func TestSignalOf(t *testing.T) {
	for _, c := range []struct {
		returns []float64
		want    Signal
	}{
		{nil, Single},
		{[]float64{1}, Single},
		{[]float64{1, 1, 1}, ZeroVariance},
		{[]float64{0, 0}, ZeroVariance},
		{[]float64{0.1 + 0.2, 0.3}, ZeroVariance},
		{[]float64{1, math.NaN()}, NotFinite},
		{[]float64{math.Inf(1), 1}, NotFinite},
		{[]float64{1e-300, 2e-300}, Informative},
		{[]float64{-math.MaxFloat64, math.MaxFloat64}, Informative},
		{[]float64{0, 1}, Informative},
	} {
		assert.Equal(t, c.want, SignalOf(c.returns), "%v", c.returns)
	}
}

func TestBatchDropsAndCounts(t *testing.T) {
	got, dropped := Batch([][]float64{{1, 0}, {1}, {2, 2}, {math.NaN(), 1}, {}}, Options{Normalize: None})
	assert.Equal(t, [][]float64{{0.5, -0.5}, nil, nil, nil, nil}, got)
	assert.Equal(t, Dropped{Single: 2, ZeroVariance: 1, NotFinite: 1}, dropped)
	assert.Equal(t, 4, dropped.Total())
}

func TestAdvantagesLeaveTheInputAlone(t *testing.T) {
	returns := []float64{1, 2, 4}
	Advantages(returns, Options{})
	assert.Equal(t, []float64{1, 2, 4}, returns)
}

func transform(values []float64, f func(float64) float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = f(v)
	}
	return out
}
