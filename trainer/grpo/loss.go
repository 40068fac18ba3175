package grpo

import "math"

// Fn is a loss function of the Tinker training protocol.
type Fn string

// The loss functions. Not every server has every one (docs/algorithms.md).
const (
	FnCrossEntropy Fn = "cross_entropy"
	FnImportance   Fn = "importance_sampling"
	FnPPO          Fn = "ppo"
	FnGSPO         Fn = "gspo"
	FnCISPO        Fn = "cispo"
	FnCritic       Fn = "ppo_critic" // an extension: the value head's, see [ValueLoss]
)

// Loss is a policy loss: a function and the range of the ratio, in absolute
// ratios (0.8 and 1.2, not 0.2), as the protocol has it.
type Loss struct {
	Fn   Fn      `json:"loss_fn"`
	Low  float64 `json:"clip_low_threshold,omitempty"`
	High float64 `json:"clip_high_threshold,omitempty"`
}

// Config is the loss_fn_config of the protocol; nil for functions without a
// range.
func (l Loss) Config() map[string]float64 {
	switch l.Fn {
	case FnPPO, FnGSPO, FnCISPO:
		return map[string]float64{"clip_low_threshold": l.Low, "clip_high_threshold": l.High}
	}
	return nil
}

// span bounds the logarithm of a ratio, as verl does: beyond e^20 nothing is
// learned from its size, and nothing overflows.
const span = 20

// ratio is π/π' of log-probabilities in nats.
func ratio(log, other float64) float64 { return math.Exp(min(max(log-other, -span), span)) }

// Tokens are the loss of each generated token of one rollout and its slope, the
// derivative of their sum by the token's log-probability. now, old and
// advantages are lists of one length over all the rollout's generated tokens;
// log-probabilities are in nats. Nothing is normalised ([Reduction]). With
// r = exp(now - old), A the advantage, and clip(r) = r held within Low and High:
//
//	cross_entropy        -A now               slope -A
//	importance_sampling  -r A                 slope -r A
//	ppo                  -min(r A, clip(r) A) slope -r A where that is the smaller one, else 0
//	gspo                 ppo with s = exp(mean(now - old)) in the place of r
//	cispo                -clip(r) A now, where clip(r) counts as a constant
//
// GSPO's sequence is the rollout: all its rows, however many there are.
func (l Loss) Tokens(now, old, advantages []float64) (loss, slope []float64) {
	loss, slope = make([]float64, len(now)), make([]float64, len(now))
	if l.Fn == FnGSPO {
		l.sequence(now, old, advantages, loss, slope)
		return loss, slope
	}
	for t, a := range advantages {
		switch r := ratio(now[t], old[t]); l.Fn {
		case FnCrossEntropy:
			loss[t], slope[t] = -a*now[t], -a
		case FnCISPO:
			held := min(max(r, l.Low), l.High)
			loss[t], slope[t] = -held*a*now[t], -held*a
		case FnPPO:
			loss[t], slope[t] = l.clipped(r, a)
		default:
			loss[t], slope[t] = -r*a, -r*a
		}
	}
	return loss, slope
}

func (l Loss) clipped(r, a float64) (loss, slope float64) {
	free, held := r*a, min(max(r, l.Low), l.High)*a
	if free <= held {
		return -free, -free
	}
	return -held, 0
}

// sequence is gspo: every token's log-probability moves the ratio of all.
func (l Loss) sequence(now, old, advantages, loss, slope []float64) {
	if len(now) == 0 {
		return
	}
	s := ratio(meanDifference(now, old), 0)
	var pull float64
	for t, a := range advantages {
		var own float64
		loss[t], own = l.clipped(s, a)
		pull += own / float64(len(now))
	}
	for t := range slope {
		slope[t] = pull
	}
}

// clips counts the tokens whose ratio the loss cut: where it has no slope
// although there is an advantage (for cispo, where the ratio was held).
func (l Loss) clips(now, old, advantages []float64) int {
	var n int
	switch l.Fn {
	case FnPPO:
		for t, a := range advantages {
			if _, slope := l.clipped(ratio(now[t], old[t]), a); slope == 0 && a != 0 {
				n++
			}
		}
	case FnGSPO:
		s := ratio(meanDifference(now, old), 0)
		for _, a := range advantages {
			if _, slope := l.clipped(s, a); slope == 0 && a != 0 {
				n++
			}
		}
	case FnCISPO:
		for t, a := range advantages {
			if r := ratio(now[t], old[t]); a != 0 && (r < l.Low || r > l.High) {
				n++
			}
		}
	}
	return n
}

// meanDifference is mean(a - b), 0 for empty lists.
func meanDifference(a, b []float64) float64 {
	var sum float64
	for t := range a {
		sum += a[t] - b[t]
	}
	return sum / float64(max(len(a), 1))
}
