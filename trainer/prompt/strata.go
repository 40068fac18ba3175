package prompt

import (
	"math"
	"slices"
	"strings"
)

// stratum holds the outcomes of trajectories that may be compared with each
// other, those that have the feature first.
type stratum struct {
	key  string
	y    []float64 // y[:with] have the feature
	with int
	mean float64 // of y
}

func (s *stratum) weight() float64 {
	n1, n0 := float64(s.with), float64(len(s.y)-s.with)
	return n1 * n0 / (n1 + n0)
}

// strata are those in which some trajectories have the feature and some have
// not, sorted by key.
type strata []stratum

// arm is one trajectory on its way into a stratum.
type arm struct {
	stratum string
	y       float64
	with    bool
}

func stratify(arms []arm) strata {
	cells := map[string]*[2][]float64{}
	for _, a := range arms {
		c := cells[a.stratum]
		if c == nil {
			c = new([2][]float64)
			cells[a.stratum] = c
		}
		side := 1
		if a.with {
			side = 0
		}
		c[side] = append(c[side], a.y)
	}
	var out strata
	for key, c := range cells {
		if len(c[0]) > 0 && len(c[1]) > 0 {
			y := slices.Concat(c[0], c[1])
			out = append(out, stratum{key: key, y: y, with: len(c[0]), mean: mean(y)})
		}
	}
	slices.SortFunc(out, func(a, b stratum) int { return strings.Compare(a.key, b.key) })
	return out
}

// counts returns the trajectories with and without the feature, and the matched
// pairs: the most pairs one can form without using a trajectory twice.
func (s strata) counts() (with, without, pairs int) {
	for i := range s {
		n1 := s[i].with
		n0 := len(s[i].y) - n1
		with, without, pairs = with+n1, without+n0, pairs+min(n1, n0)
	}
	return with, without, pairs
}

func (s strata) size() int {
	with, without, _ := s.counts()
	return with + without
}

func (s strata) weight() float64 {
	var w float64
	for i := range s {
		w += s[i].weight()
	}
	return w
}

// effect is Σ w d / Σ w. With S the sum over those that have the feature and m
// the mean of the stratum, w d = S - n1 m.
func (s strata) effect() float64 {
	var sum float64
	for i := range s {
		sum += s[i].excess(s[i].y[:s[i].with])
	}
	return sum / s.weight()
}

func (s *stratum) excess(chosen []float64) float64 {
	var sum float64
	for _, y := range chosen {
		sum += y - s.mean
	}
	return sum
}

// variance is the variance of effect when chance alone assigns the outcomes of
// each stratum: Σ w S² / (Σ w)², with S² the variance (n-1) within the stratum.
func (s strata) variance() float64 {
	var sum float64
	for i := range s {
		n := float64(len(s[i].y))
		sum += s[i].weight() * squares(s[i].y) / (n - 1)
	}
	w := s.weight()
	return sum / (w * w)
}

// residuals are the outcomes minus the mean of their cell, scaled by
// √(N / (N - cells)); and ± the deviation within strata (see the package doc).
func (s strata) residuals() []float64 {
	var out []float64
	var within float64
	for i := range s {
		within += squares(s[i].y)
		for _, cell := range [2][]float64{s[i].y[:s[i].with], s[i].y[s[i].with:]} {
			m := mean(cell)
			for _, y := range cell {
				out = append(out, y-m)
			}
		}
	}
	n, cells := float64(len(out)), float64(2*len(s))
	if n > cells {
		scale := math.Sqrt(n / (n - cells))
		for i := range out {
			out[i] *= scale
		}
	}
	deviation := math.Sqrt(within / (n - float64(len(s))))
	return append(out, deviation, -deviation)
}

func mean(values []float64) float64 {
	var sum float64
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// squares is the sum of squared deviations from the mean.
func squares(values []float64) float64 {
	m := mean(values)
	var sum float64
	for _, v := range values {
		sum += (v - m) * (v - m)
	}
	return sum
}
