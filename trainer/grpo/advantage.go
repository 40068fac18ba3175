package grpo

import "math"

// Normalization says what centred returns are divided by.
type Normalization string

// The normalizations.
const (
	Std         Normalization = "std"           // GRPO: the standard deviation of the group
	None        Normalization = "none"          // Dr.GRPO: nothing
	LeaveOneOut Normalization = "leave_one_out" // RLOO: (n-1)/n, so that the baseline is the mean of the others
	BatchStd    Normalization = "batch_std"     // REINFORCE++ with a group baseline: the standard deviation of all centred returns of the batch
)

// DefaultEpsilon is added to the standard deviation when Options.Epsilon is 0.
const DefaultEpsilon = 1e-6

// Options choose the formula. The zero value is GRPO.
type Options struct {
	Normalize Normalization // "" = Std
	Epsilon   float64       // 0 = DefaultEpsilon; used by Std and BatchStd only
}

func (o Options) epsilon() float64 {
	if o.Epsilon == 0 {
		return DefaultEpsilon
	}
	return o.Epsilon
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
	if !finite(returns) {
		return NotFinite
	}
	low, high := returns[0], returns[0]
	for _, r := range returns {
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
// by c under None and LeaveOneOut and changes nothing beyond ε under Std.
// BatchStd is a matter of the batch ([Batch]); for one group it is None. The
// input is not modified.
func Advantages(returns []float64, opt Options) ([]float64, bool) {
	if SignalOf(returns) != Informative {
		return nil, false
	}
	out, squares := centred(returns)
	n := float64(len(returns))
	switch opt.Normalize {
	case None, BatchStd:
	case LeaveOneOut:
		scale(out, n/(n-1))
	default:
		scale(out, 1/(math.Sqrt(squares/(n-1))+opt.epsilon()))
	}
	return out, true
}

// centred are the values less their mean, and the sum of their squares.
func centred(values []float64) (out []float64, squares float64) {
	centre := mean(values)
	out = make([]float64, len(values))
	for i, v := range values {
		out[i] = v - centre
		squares += out[i] * out[i]
	}
	return out, squares
}

func scale(values []float64, by float64) {
	for i := range values {
		values[i] *= by
	}
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

func finite(values []float64) bool {
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}
