package prompt

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
)

// maxExact is the number of compared trajectories up to which p values and
// intervals are resampled; above it the normal limit is as good and the cost
// would not be bounded.
const maxExact = 2000

// source is the stream of randomness for one question: equal seeds and names
// give equal results, whatever else was asked before.
func source(seed uint64, name string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// permutation returns the share of assignments, among n random ones and the
// real one, whose effect is at least as large as the real one (upper) and as
// far from zero (both).
func (s strata) permutation(r *rand.Rand, n int) (upper, both float64) {
	effect := s.effect()
	if s.size() > maxExact {
		z := effect / math.Sqrt(s.variance())
		upper = math.Erfc(z/math.Sqrt2) / 2
		return upper, math.Erfc(math.Abs(z) / math.Sqrt2)
	}
	y := make([][]float64, len(s))
	for i := range s {
		y[i] = slices.Clone(s[i].y)
	}
	w := s.weight()
	slack := 1e-9 * max(math.Abs(effect), 1e-9)
	above, beyond := 1, 1
	for range n {
		var sum float64
		for i := range s {
			choose(r, y[i], s[i].with)
			sum += s[i].excess(y[i][:s[i].with])
		}
		if sum/w >= effect-slack {
			above++
		}
		if math.Abs(sum/w) >= math.Abs(effect)-slack {
			beyond++
		}
	}
	return float64(above) / float64(n+1), float64(beyond) / float64(n+1)
}

// choose moves k random values to the front.
func choose(r *rand.Rand, values []float64, k int) {
	for i := range k {
		j := i + r.IntN(len(values)-i)
		values[i], values[j] = values[j], values[i]
	}
}

// Interval is an estimate with its two-sided interval.
type Interval struct {
	Estimate   float64 `json:"estimate"`
	Low        float64 `json:"low"`
	High       float64 `json:"high"`
	Confidence float64 `json:"confidence"`
}

// Shown is the interval as a pointer, which is how optional ones are passed; nil
// if it was never computed.
func (i Interval) Shown() *Interval {
	if i.Low == 0 && i.High == 0 {
		return nil
	}
	return &i
}

// interval resamples residuals n times.
func (s strata) interval(r *rand.Rand, n int, confidence float64) Interval {
	out := Interval{Estimate: s.effect(), Confidence: confidence}
	residuals := s.residuals()
	if len(residuals) > maxExact {
		half := quantileNormal(1-(1-confidence)/2) * math.Sqrt(squares(residuals)/float64(len(residuals))/s.weight())
		out.Low, out.High = out.Estimate-half, out.Estimate+half
		return out
	}
	w := s.weight()
	effects := make([]float64, n)
	for k := range effects {
		var sum float64
		for i := range s {
			sum += s[i].weight() * (draw(r, residuals, s[i].with) - draw(r, residuals, len(s[i].y)-s[i].with))
		}
		effects[k] = out.Estimate + sum/w
	}
	slices.Sort(effects)
	tail := (1 - confidence) / 2
	out.Low = effects[int(math.Floor(tail*float64(n-1)))]
	out.High = effects[int(math.Ceil((1-tail)*float64(n-1)))]
	return out
}

// draw is the mean of k residuals drawn with replacement.
func draw(r *rand.Rand, residuals []float64, k int) float64 {
	var sum float64
	for range k {
		sum += residuals[r.IntN(len(residuals))]
	}
	return sum / float64(k)
}

func quantileNormal(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }
