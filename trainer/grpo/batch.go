package grpo

// Dropped counts the groups that carry no signal, by reason.
type Dropped struct {
	Single       int `json:"group_of_one"`
	ZeroVariance int `json:"zero_variance"`
	NotFinite    int `json:"not_finite"`
}

// Total is the number of dropped groups.
func (d Dropped) Total() int { return d.Single + d.ZeroVariance + d.NotFinite }

// Batch computes the advantages of many groups. The result has one entry per
// group in the same order; it is nil for a dropped group. Groups do not
// influence each other.
func Batch(groups [][]float64, opt Options) ([][]float64, Dropped) {
	out := make([][]float64, len(groups))
	var dropped Dropped
	for i, returns := range groups {
		switch SignalOf(returns) {
		case Single:
			dropped.Single++
		case ZeroVariance:
			dropped.ZeroVariance++
		case NotFinite:
			dropped.NotFinite++
		default:
			out[i], _ = Advantages(returns, opt)
		}
	}
	return out, dropped
}
