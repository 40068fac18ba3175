package grpo

import "math"

// Dropped counts the groups that carry no signal, by reason.
type Dropped struct {
	Single       int `json:"group_of_one"`
	ZeroVariance int `json:"zero_variance"`
	NotFinite    int `json:"not_finite"`
}

// Total is the number of dropped groups.
func (d Dropped) Total() int { return d.Single + d.ZeroVariance + d.NotFinite }

func (d *Dropped) add(s Signal) {
	switch s {
	case Single:
		d.Single++
	case ZeroVariance:
		d.ZeroVariance++
	case NotFinite:
		d.NotFinite++
	case Informative:
	}
}

// Batch computes the advantages of many groups. The result has one entry per
// group in the same order; it is nil for a dropped group. Groups do not
// influence each other, but under BatchStd, which divides all by
//
//	√(Σ (R - mean of its group)² / (N - 1)) + ε    over the N returns of all groups kept
//
// (REINFORCE++-baseline, arXiv:2501.03262, section 3.2).
func Batch(groups [][]float64, opt Options) ([][]float64, Dropped) {
	out := make([][]float64, len(groups))
	var dropped Dropped
	var squares, n float64
	for i, returns := range groups {
		a, ok := Advantages(returns, opt)
		if !ok {
			dropped.add(SignalOf(returns))
			continue
		}
		out[i] = a
		n += float64(len(a))
		for _, v := range a {
			squares += v * v
		}
	}
	if opt.Normalize == BatchStd && n > 0 {
		by := 1 / (math.Sqrt(squares/(n-1)) + opt.epsilon())
		for _, a := range out {
			scale(a, by)
		}
	}
	return out, dropped
}
