package measure

import "math"

// Linear is 1 at good, 0 at bad, straight between and flat beyond. good may be
// greater or less than bad. It is 0 or 1 where they are equal.
func Linear(x, good, bad float64) float64 {
	if good == bad {
		return truth(x <= good)
	}
	return Clip((bad-x)/(bad-good), 0, 1)
}

// Decay is ½^(x/half): 1 at 0, one half at half. Negative x counts as 0. NaN if
// half is not above 0.
func Decay(x, half float64) float64 {
	if !(half > 0) {
		return math.NaN()
	}
	return math.Exp2(-max(x, 0) / half)
}

// Clip is x, but at least low and at most high. NaN stays NaN.
func Clip(x, low, high float64) float64 { return math.Min(math.Max(x, low), high) }

// Overlong is the soft overlong punishment of DAPO (Yu et al., 2025, eq. 13): 0
// up to limit - cushion, then down in a straight line to -1 at limit, and -1
// beyond. NaN if cushion is not above 0.
func Overlong(length, limit, cushion float64) float64 {
	switch {
	case !(cushion > 0):
		return math.NaN()
	case length <= limit-cushion:
		return 0
	case length >= limit:
		return -1
	}
	return (limit - cushion - length) / cushion
}
