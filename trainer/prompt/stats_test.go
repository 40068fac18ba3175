package prompt

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func armsOf(key string, with, without []float64) []arm {
	var out []arm
	for _, y := range with {
		out = append(out, arm{key, y, true})
	}
	for _, y := range without {
		out = append(out, arm{key, y, false})
	}
	return out
}

func TestEffectIsTheWeightedDifference(t *testing.T) {
	s := stratify(append(append(
		armsOf("a", []float64{1, 1, 0}, []float64{0, 0}), // d = 2/3, w = 6/5
		armsOf("b", []float64{5}, []float64{4, 2})...),   // d = 2, w = 2/3
		armsOf("c", []float64{9, 9}, nil)...)) // no say
	require.Len(t, s, 2)
	assert.InDelta(t, (2.0/3*6/5+2*2.0/3)/(6.0/5+2.0/3), s.effect(), 1e-12)
	with, without, pairs := s.counts()
	assert.Equal(t, []int{4, 4, 3}, []int{with, without, pairs})
}

// The weights make the effect the least squares coefficient of the feature with
// one intercept per stratum (Frisch-Waugh: regress on what is left of the
// feature once stratum means are taken out).
func TestEffectIsTheRegressionCoefficient(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 9))
		var arms []arm
		var xy, xx float64
		for _, key := range []string{"a", "b", "c"} {
			n, share := 3+r.IntN(8), 0.0
			from := len(arms)
			for range n {
				a := arm{key, r.NormFloat64(), r.IntN(2) == 0}
				if a.with {
					share += 1 / float64(n)
				}
				arms = append(arms, a)
			}
			for _, a := range arms[from:] {
				x := -share
				if a.with {
					x++
				}
				xy, xx = xy+x*a.y, xx+x*x
			}
		}
		if s := stratify(arms); len(s) > 0 {
			require.InDelta(t, xy/xx, s.effect(), 1e-9)
		}
	}
}

func TestPermutationAgreesWithEnumeration(t *testing.T) {
	// Two strata of 2+2 and 1+3: 6 × 4 assignments.
	a, b := []float64{3, 5, 1, 2}, []float64{7, 1, 2, 4}
	s := stratify(append(armsOf("a", a[:2], a[2:]), armsOf("b", b[:1], b[1:])...))
	effect, above, beyond, total := s.effect(), 0.0, 0.0, 0.0
	for i := range 4 {
		for j := i + 1; j < 4; j++ {
			for k := range 4 {
				e := (s[0].excess([]float64{s[0].y[i], s[0].y[j]}) + s[1].excess([]float64{s[1].y[k]})) / s.weight()
				total++
				if e >= effect-1e-9 {
					above++
				}
				if math.Abs(e) >= math.Abs(effect)-1e-9 {
					beyond++
				}
			}
		}
	}
	require.Equal(t, 24.0, total)
	upper, both := s.permutation(source(1, "test"), 20000)
	assert.InDelta(t, above/total, upper, 0.01)
	assert.InDelta(t, beyond/total, both, 0.01)
}

func TestVarianceIsThatOfPermutations(t *testing.T) {
	s := stratify(append(armsOf("a", []float64{3, 5, 1}, []float64{2, 8}), armsOf("b", []float64{7}, []float64{1, 2, 4})...))
	r := source(3, "test")
	var sum float64
	const n = 50000
	for range n {
		var e float64
		for i := range s {
			choose(r, s[i].y, s[i].with)
			e += s[i].excess(s[i].y[:s[i].with])
		}
		e /= s.weight()
		sum += e * e
	}
	assert.InEpsilon(t, s.variance(), sum/n, 0.03)
}

// Resampled and limiting results must meet where one hands over to the other.
func TestLargeSamplesUseTheLimit(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	draw := func(n int) strata {
		var arms []arm
		for i := range n {
			with := r.IntN(2) == 0
			y := r.NormFloat64()
			if with {
				y += 0.05
			}
			arms = append(arms, arm{string(rune('a' + i%5)), y, with})
		}
		return stratify(arms)
	}
	small := draw(maxExact - 100)
	_, exact := small.permutation(source(1, "p"), 4000)
	z := small.effect() / math.Sqrt(small.variance())
	assert.InDelta(t, math.Erfc(math.Abs(z)/math.Sqrt2), exact, 0.03)
	resampled := small.interval(source(1, "i"), 4000, 0.95)
	residuals := small.residuals()
	half := quantileNormal(0.975) * math.Sqrt(squares(residuals)/float64(len(residuals))/small.weight())
	assert.InEpsilon(t, 2*half, resampled.High-resampled.Low, 0.06)

	large := draw(4 * maxExact)
	i := large.interval(source(1, "i"), 10, 0.95)
	assert.Less(t, i.Low, i.Estimate)
	assert.Greater(t, i.High, i.Estimate)
	upper, both := large.permutation(source(1, "p"), 10)
	assert.InDelta(t, both, 2*min(upper, 1-upper), 1e-9)
}

func TestIntervalCovers(t *testing.T) {
	for name, w := range map[string]world{
		"smooth": {tasks: 5, attempts: 8, lookup: 0.3},
		"tiny":   {tasks: 12, attempts: 3, lookup: 0.3},
		"binary": {tasks: 5, attempts: 12, lookup: 0.3, binary: true},
	} {
		t.Run(name, func(t *testing.T) {
			covered, n := 0, 0
			for seed := range uint64(400) {
				var arms []arm
				for _, s := range w.samples(seed) {
					arms = append(arms, arm{s.stratum(), s.Return, len(s.Called) == 2})
				}
				s := stratify(arms)
				if len(s) == 0 {
					continue
				}
				i := s.interval(source(seed, "cover"), 400, 0.95)
				require.LessOrEqual(t, i.Low, i.High)
				n++
				if i.Low <= w.lookup && w.lookup <= i.High {
					covered++
				}
			}
			// 3.3 standard errors below 95 %, and one point for the resampling.
			assert.GreaterOrEqual(t, float64(covered)/float64(n), 0.90, "%d of %d", covered, n)
		})
	}
}

func TestPerfectSeparationIsNotCertainty(t *testing.T) {
	s := stratify(armsOf("a", []float64{1, 1, 1}, []float64{0, 0, 0}))
	i := s.interval(source(1, "x"), 2000, 0.95)
	assert.Equal(t, 1.0, i.Estimate)
	assert.Less(t, i.Low, 0.9)
	more := stratify(armsOf("a", []float64{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, []float64{0, 0, 0, 0, 0, 0, 0, 0, 0, 0})).interval(source(1, "x"), 2000, 0.95)
	assert.Greater(t, more.Low, i.Low)
}

func TestAdjust(t *testing.T) {
	// The worked values of R's p.adjust(c(0.01, 0.04, 0.03, 0.005, 0.9), "BH").
	got := adjust([]float64{0.01, 0.04, 0.03, 0.005, 0.9})
	assert.InDeltaSlice(t, []float64{0.025, 0.05, 0.05, 0.025, 0.9}, got, 1e-12)
	assert.Empty(t, adjust(nil))
}
