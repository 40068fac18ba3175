package rescore

import (
	"cmp"
	"math"
	"slices"
)

// Summary is how values spread.
type Summary struct {
	Count  int     `json:"count"`
	Mean   float64 `json:"mean"`
	Std    float64 `json:"std"` // of the sample; 0 for one value
	Low    float64 `json:"min"`
	Median float64 `json:"median"`
	High   float64 `json:"max"`
}

// summarise gives nil for no values. It sorts them.
func summarise(values []float64) *Summary {
	n := len(values)
	if n == 0 {
		return nil
	}
	slices.Sort(values)
	s := &Summary{Count: n, Low: values[0], High: values[n-1], Median: (values[(n-1)/2] + values[n/2]) / 2}
	for _, v := range values {
		s.Mean += v / float64(n)
	}
	if n > 1 {
		square := 0.0
		for _, v := range values {
			square += (v - s.Mean) * (v - s.Mean)
		}
		s.Std = math.Sqrt(square / float64(n-1))
	}
	return s
}

// ranks are the positions in order, from 0; equal values share the mean of theirs.
func ranks(values []float64) []float64 {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(values[a], values[b]) })
	out := make([]float64, len(values))
	for from := 0; from < len(order); {
		to := from + 1
		for to < len(order) && values[order[to]] == values[order[from]] {
			to++
		}
		for _, i := range order[from:to] {
			out[i] = float64(from+to-1) / 2
		}
		from = to
	}
	return out
}

// spearman is the correlation of the ranks; nil for fewer than three pairs, or
// where one side never varies.
func spearman(a, b []float64) *float64 {
	if len(a) < 3 {
		return nil
	}
	return pearson(ranks(a), ranks(b))
}

func pearson(a, b []float64) *float64 {
	n := float64(len(a))
	var ma, mb float64
	for i := range a {
		ma, mb = ma+a[i]/n, mb+b[i]/n
	}
	var ab, aa, bb float64
	for i := range a {
		ab, aa, bb = ab+(a[i]-ma)*(b[i]-mb), aa+(a[i]-ma)*(a[i]-ma), bb+(b[i]-mb)*(b[i]-mb)
	}
	if aa == 0 || bb == 0 {
		return nil
	}
	r := ab / math.Sqrt(aa*bb)
	return &r
}

// pairs counts the pairs of elements: those that both sides order, alike or the
// other way round, and those that only one side orders or none.
type pairs struct {
	alike, flipped, tied int
}

// pairsOf counts in n log n (Knight, 1966): sorted by a, then by b, the flipped
// pairs are the inversions of b.
func pairsOf(a, b []float64) pairs {
	n := len(a)
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Or(cmp.Compare(a[i], a[j]), cmp.Compare(b[i], b[j])) })
	tiedA, tiedBoth := 0, 0
	sorted := make([]float64, n)
	runA, runBoth := 0, 0
	for at, i := range order {
		sorted[at] = b[i]
		if at > 0 {
			last := order[at-1]
			if a[i] != a[last] {
				runA = 0
			}
			if a[i] != a[last] || b[i] != b[last] {
				runBoth = 0
			}
		}
		tiedA, tiedBoth = tiedA+runA, tiedBoth+runBoth
		runA, runBoth = runA+1, runBoth+1
	}
	flipped := inversions(sorted, make([]float64, n))
	tiedB, runB := 0, 0
	for i := 1; i < n; i++ { // inversions has sorted it
		if sorted[i] == sorted[i-1] {
			runB++
			tiedB += runB
		} else {
			runB = 0
		}
	}
	all := n * (n - 1) / 2
	tied := tiedA + tiedB - tiedBoth
	return pairs{alike: all - tied - flipped, flipped: flipped, tied: tied}
}

// inversions counts the pairs that stand in the wrong order, and sorts v.
func inversions(v, spare []float64) int {
	if len(v) < 2 {
		return 0
	}
	mid := len(v) / 2
	n := inversions(v[:mid], spare[:mid]) + inversions(v[mid:], spare[mid:])
	copy(spare, v)
	left, right := spare[:mid], spare[mid:]
	for at := range v {
		if len(right) == 0 || len(left) > 0 && left[0] <= right[0] {
			v[at], left = left[0], left[1:]
			continue
		}
		n += len(left)
		v[at], right = right[0], right[1:]
	}
	return n
}
