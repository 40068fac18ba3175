package rescore

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPairs: the fast count is the count of every pair.
func TestPairs(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		n := r.IntN(30)
		a, b := make([]float64, n), make([]float64, n)
		for i := range n {
			a[i], b[i] = float64(r.IntN(6)), float64(r.IntN(6))
		}
		var want pairs
		for i := range n {
			for j := range i {
				switch d := (a[i] - a[j]) * (b[i] - b[j]); {
				case d > 0:
					want.alike++
				case d < 0:
					want.flipped++
				default:
					want.tied++
				}
			}
		}
		require.Equal(t, want, pairsOf(a, b), "%v %v", a, b)
	}
}

// TestWidest: a flip that is shown is one, and in a group with a flip whose
// values all differ there is one to show.
func TestWidest(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for round := range 300 {
		n := 2 + r.IntN(12)
		a, b, rows := make([]float64, n), make([]float64, n), make([]*row, n)
		for i, at := range r.Perm(n) {
			a[i], b[i] = float64(i), float64(at)
			if round%2 == 0 {
				a[i], b[i] = float64(r.IntN(4)), float64(r.IntN(4))
			}
			rows[i] = &row{task: "\x00t", id: string(rune('a' + i))}
		}
		f, ok := widest(rows, a, b)
		if ok {
			require.Less(t, f.Rise[0], f.Fall[0])
			require.Greater(t, f.Rise[1], f.Fall[1])
			require.Positive(t, f.Shift)
		} else if round%2 == 1 {
			require.Zero(t, pairsOf(a, b).flipped)
		}
	}
}

func TestSummaries(t *testing.T) {
	assert.Nil(t, summarise(nil))
	assert.Equal(t, &Summary{Count: 1, Mean: 3, Low: 3, Median: 3, High: 3}, summarise([]float64{3}))
	s := summarise([]float64{4, 1, 3, 2})
	assert.Equal(t, []any{4, 2.5, 2.5, 1.0, 4.0}, []any{s.Count, s.Mean, s.Median, s.Low, s.High})
	assert.InDelta(t, 1.2909944, s.Std, 1e-6)

	assert.Equal(t, []float64{3, 0.5, 0.5, 2}, ranks([]float64{9, 1, 1, 4}))
	assert.Nil(t, spearman([]float64{1, 2}, []float64{1, 2}), "too few")
	assert.Nil(t, spearman([]float64{1, 1, 1}, []float64{1, 2, 3}), "nothing varies")
	assert.InDelta(t, 1, *spearman([]float64{1, 2, 30}, []float64{5, 6, 7}), 1e-12)
	assert.InDelta(t, -1, *spearman([]float64{1, 2, 30}, []float64{7, 6, 5}), 1e-12)
	assert.InDelta(t, 0.8, *spearman([]float64{1, 2, 3, 4}, []float64{1, 2, 4, 3}), 1e-12)

	list := []float64{5, 3, 3, 1}
	assert.Equal(t, 5, inversions(list, make([]float64, 4)))
	assert.True(t, slices.IsSorted(list))
}

func TestHistogramBins(t *testing.T) {
	h := Histogram{Low: -1, High: 1}
	assert.Equal(t, []int{0, 10, bins - 1}, []int{h.bin(-1), h.bin(0), h.bin(1)})
	h = Histogram{Low: 2, High: 2}
	assert.Zero(t, h.bin(2))
	h = Histogram{Low: -1.7e308, High: 1.7e308}
	assert.Zero(t, h.bin(0))
}
