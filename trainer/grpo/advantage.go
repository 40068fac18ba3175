package grpo

import "math"

// Normalization says what centred returns are divided by.
type Normalization string

// The normalizations.
const (
	Std  Normalization = "std"  // GRPO: the standard deviation of the group
	None Normalization = "none" // Dr.GRPO: nothing
)

// DefaultEpsilon is added to the standard deviation when Options.Epsilon is 0.
const DefaultEpsilon = 1e-6

// Options choose the formula. The zero value is GRPO.
type Options struct {
	Normalize Normalization // "" = Std
	Epsilon   float64       // 0 = DefaultEpsilon; used by Std only
}

// Signal says whether a group's returns can teach anything.
type Signal string

// The signals.
const (
	Informative  Signal = ""              // there is better and worse
	Single       Signal = "group_of_one"  // nothing to compare with
	ZeroVariance Signal = "zero_variance" // all returns are equal
	NotFinite    Signal = "not_finite"    // a NaN or an infinity among the returns
)

// tie is the spread, relative to the largest magnitude, below which returns
// count as equal: sums of weighted rewards that are equal on paper differ by
// rounding.
const tie = 1e-9

// SignalOf says why the returns of a group carry no signal, or Informative.
func SignalOf(returns []float64) Signal {
	if len(returns) < 2 {
		return Single
	}
	low, high := returns[0], returns[0]
	for _, r := range returns {
		if math.IsNaN(r) || math.IsInf(r, 0) {
			return NotFinite
		}
		low, high = min(low, r), max(high, r)
	}
	// Halved, because the difference of two finite numbers can overflow.
	if high/2-low/2 <= tie*max(math.Abs(low), math.Abs(high))/2 {
		return ZeroVariance
	}
	return Informative
}

// Advantages returns one advantage per return, in the same order, and true; or
// nil and false when the group carries no signal ([SignalOf] says why).
//
// The advantages of a group sum to 0 up to rounding. Adding a constant to all
// returns changes nothing; multiplying them by c > 0 multiplies the advantages
// by c under None and changes nothing beyond ε under Std. The input is not
// modified.
func Advantages(returns []float64, opt Options) ([]float64, bool) {
	if SignalOf(returns) != Informative {
		return nil, false
	}
	centre := mean(returns)
	out := make([]float64, len(returns))
	var squares float64
	for i, r := range returns {
		out[i] = r - centre
		squares += out[i] * out[i]
	}
	if opt.Normalize == None {
		return out, true
	}
	epsilon := opt.Epsilon
	if epsilon == 0 {
		epsilon = DefaultEpsilon
	}
	scale := math.Sqrt(squares/float64(len(returns)-1)) + epsilon
	for i := range out {
		out[i] /= scale
	}
	return out, true
}

// mean runs twice over the values: the second pass takes out what rounding
// left, so that centred values sum to 0 as closely as they can.
func mean(values []float64) float64 {
	n := float64(len(values))
	var m float64
	for _, v := range values {
		m += v / n
	}
	var rest float64
	for _, v := range values {
		rest += (v - m) / n
	}
	return m + rest
}
