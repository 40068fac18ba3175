package grpo

import (
	"math"
	"slices"
)

// Best marks the best attempts of a group with 1 and the others with 0: the
// weights of supervised training on the best (rejection sampling fine-tuning,
// RAFT, arXiv:2304.06767). All attempts that tie for the best are marked.
//
// Without an absolute standard (least is nil) a group must show better and
// worse; else nil, as for [Advantages]. With one, attempts below it are never
// marked, a group of one or of equals can be marked, and a group without any
// attempt that meets it is nil.
func Best(returns []float64, least *float64) []float64 {
	signal := SignalOf(returns)
	if len(returns) == 0 || !finite(returns) || (least == nil && signal != Informative) {
		return nil
	}
	top := slices.Max(returns)
	if least != nil && top < *least {
		return nil
	}
	out := make([]float64, len(returns))
	for i, r := range returns {
		if top-r <= tie*max(math.Abs(top), math.Abs(r)) {
			out[i] = 1
		}
	}
	return out
}
