package prompt

import (
	"cmp"
	"slices"
)

// adjust turns p values into q values (Benjamini and Hochberg): calling all with
// q ≤ x discoveries keeps the expected share of false ones below x.
func adjust(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	q := make([]float64, len(p))
	smallest := 1.0
	for rank := len(order); rank >= 1; rank-- {
		i := order[rank-1]
		smallest = min(smallest, p[i]*float64(len(p))/float64(rank))
		q[i] = smallest
	}
	return q
}
