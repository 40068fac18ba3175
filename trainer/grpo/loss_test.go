package grpo

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func losses() []Loss {
	return []Loss{{Fn: FnCrossEntropy}, {Fn: FnImportance}, {FnPPO, 0.8, 1.28}, {FnGSPO, 0.9, 1.1}, {FnCISPO, 0.5, 2}}
}

// near is log-probabilities about as far off as an update moves them.
func near(r *rand.Rand, from []float64, by float64) []float64 {
	return transform(from, func(v float64) float64 { return min(v+by*r.NormFloat64(), 0) })
}

func randomLogs(r *rand.Rand) Logs {
	n := 1 + r.IntN(12)
	now := make([]float64, n)
	for t := range now {
		now[t] = -r.ExpFloat64() - 0.01
	}
	x := Logs{Now: now, Old: near(r, now, 0.3), Behaviour: near(r, now, 0.4), Reference: near(r, now, 0.2), Advantages: make([]float64, n)}
	for t := range x.Advantages {
		x.Advantages[t] = r.NormFloat64()
	}
	return x
}

func sum(values []float64) (s float64) {
	for _, v := range values {
		s += v
	}
	return s
}

// The slope is the derivative of the sum of the losses; for cispo with the ratio
// held still.
func TestSlopesAreDerivatives(t *testing.T) {
	const h = 1e-6
	for seed := range uint64(300) {
		x := randomLogs(rand.New(rand.NewPCG(seed, 8)))
		for _, l := range losses() {
			_, slope := l.Tokens(x.Now, x.Old, x.Advantages)
			for i := range x.Now {
				at := func(d float64) float64 {
					now := slices.Clone(x.Now)
					now[i] += d
					if l.Fn == FnCISPO {
						held := min(max(math.Exp(x.Now[i]-x.Old[i]), l.Low), l.High)
						return -held * x.Advantages[i] * now[i]
					}
					loss, _ := l.Tokens(now, x.Old, x.Advantages)
					return sum(loss)
				}
				require.InDelta(t, (at(h)-at(-h))/(2*h), slope[i], 1e-5, "%s token %d", l.Fn, i)
			}
		}
	}
}

// By hand: ratios 2, 1 and ½.
func TestLossesByHand(t *testing.T) {
	now, old := []float64{-1, -1, -1}, []float64{-1 - math.Ln2, -1, -1 + math.Ln2}
	for _, c := range []struct {
		loss        Loss
		advantages  []float64
		want, slope []float64
		clipped     int
	}{
		{Loss{Fn: FnCrossEntropy}, []float64{1, 1, 0}, []float64{1, 1, 0}, []float64{-1, -1, 0}, 0},
		{Loss{Fn: FnImportance}, []float64{1, -1, 2}, []float64{-2, 1, -1}, []float64{-2, 1, -1}, 0},
		{Loss{FnPPO, 0.8, 1.2}, []float64{1, 1, 1}, []float64{-1.2, -1, -0.5}, []float64{0, -1, -0.5}, 1},
		{Loss{FnPPO, 0.8, 1.2}, []float64{-1, -1, -1}, []float64{2, 1, 0.8}, []float64{2, 1, 0}, 1},
		{Loss{FnCISPO, 0.8, 1.2}, []float64{1, 1, 1}, []float64{1.2, 1, 0.8}, []float64{-1.2, -1, -0.8}, 2},
		{Loss{FnGSPO, 0.8, 1.2}, []float64{1, 1, 1}, []float64{-1, -1, -1}, []float64{-1, -1, -1}, 0}, // the geometric mean is 1
	} {
		loss, slope := c.loss.Tokens(now, old, c.advantages)
		assert.InDeltaSlice(t, c.want, loss, 1e-12, c.loss.Fn)
		assert.InDeltaSlice(t, c.slope, slope, 1e-12, c.loss.Fn)
		assert.Equal(t, c.clipped, c.loss.clips(now, old, c.advantages), c.loss.Fn)
	}
}

func TestLossesAreLinearInTheAdvantages(t *testing.T) {
	for seed := range uint64(100) {
		x := randomLogs(rand.New(rand.NewPCG(seed, 9)))
		for _, l := range losses() {
			_, one := l.Tokens(x.Now, x.Old, x.Advantages)
			_, third := l.Tokens(x.Now, x.Old, transform(x.Advantages, func(a float64) float64 { return a / 3 }))
			for i := range one {
				require.InDelta(t, one[i]/3, third[i], 1e-12, l.Fn) // so 1/Z may be put into the advantages
			}
		}
	}
}

func TestFarPoliciesDoNotOverflow(t *testing.T) {
	for _, l := range losses() {
		for _, d := range []float64{1e6, -1e6} {
			loss, slope := l.Tokens([]float64{-1}, []float64{-1 - d}, []float64{-1})
			assert.True(t, finite(loss) && finite(slope), l.Fn)
		}
		loss, _ := l.Tokens(nil, nil, nil)
		assert.Empty(t, loss)
	}
}

func TestKL(t *testing.T) {
	now, ref := []float64{-1, -2}, []float64{-1 - math.Ln2, -2}
	value, pull := KL(K1, now, ref)
	assert.InDeltaSlice(t, []float64{math.Ln2, 0}, value, 1e-12)
	assert.Equal(t, value, pull)
	value, pull = KL(K2, now, ref)
	assert.InDeltaSlice(t, []float64{math.Ln2 * math.Ln2 / 2, 0}, value, 1e-12)
	assert.InDeltaSlice(t, []float64{math.Ln2, 0}, pull, 1e-12)
	value, pull = KL(K3, now, ref)
	assert.InDeltaSlice(t, []float64{0.5 + math.Ln2 - 1, 0}, value, 1e-12)
	assert.InDeltaSlice(t, []float64{0.5, 0}, pull, 1e-12)
	const h = 1e-6
	for seed := range uint64(200) {
		x := randomLogs(rand.New(rand.NewPCG(seed, 10)))
		up, down := transform(x.Now, func(v float64) float64 { return v + h }), transform(x.Now, func(v float64) float64 { return v - h })
		for _, e := range []Estimator{K2, K3} {
			_, pull := KL(e, x.Now, x.Reference)
			a, _ := KL(e, up, x.Reference)
			b, _ := KL(e, down, x.Reference)
			for i := range pull {
				require.InDelta(t, (a[i]-b[i])/(2*h), pull[i], 1e-5)
				require.GreaterOrEqual(t, a[i], 0.)
			}
		}
		_, pull := CorrectedKL(x.Now, x.Old, x.Reference)
		a, _ := CorrectedKL(up, x.Old, x.Reference)
		b, _ := CorrectedKL(down, x.Old, x.Reference)
		for i := range pull {
			require.InDelta(t, (a[i]-b[i])/(2*h), pull[i], 1e-5)
		}
	}
}

func TestFold(t *testing.T) {
	a, pull := [][]float64{{1, 1}, {0}}, [][]float64{{0.5, 0}, {-0.2}}
	got := Fold(a, pull, 0.1, false)
	assert.InDeltaSlice(t, []float64{0.95, 1}, got[0], 1e-12)
	got = Fold(a, pull, 0.1, true) // the mean is 0.1
	assert.InDeltaSlice(t, []float64{0.96, 1.01}, got[0], 1e-12)
	assert.InDeltaSlice(t, []float64{0.03}, got[1], 1e-12)
	assert.Equal(t, []float64{1, 1}, a[0])
}
