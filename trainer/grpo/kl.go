package grpo

import "math"

// Estimator is a way to estimate the KL divergence of the policy from another
// from the log-probabilities of tokens that the policy generated (Schulman,
// "Approximating KL divergence", 2020). With d = now - reference:
//
//	k1  d                  unbiased, can be negative
//	k2  d²/2               biased, never negative
//	k3  e^-d + d - 1       unbiased, never negative (GRPO's)
type Estimator string

// The estimators.
const (
	K1 Estimator = "k1"
	K2 Estimator = "k2"
	K3 Estimator = "k3"
)

// KL is the divergence per token in nats and its pull: what β times which is
// taken off the token's advantage has the gradient of β KL ([Fold]).
//
//	k1  pull d             as a penalty in the reward: its derivative as a loss is 1, which teaches nothing
//	k2  pull d             the derivative
//	k3  pull 1 - e^-d      the derivative
//
// As penalties k1 and k2 are the same (arXiv:2510.01555); they are the unbiased
// choice. k3 is what GRPO's papers and TRL have.
func KL(e Estimator, now, reference []float64) (value, pull []float64) {
	value, pull = make([]float64, len(now)), make([]float64, len(now))
	for t := range now {
		d := min(max(now[t]-reference[t], -span), span)
		switch e {
		case K1:
			value[t], pull[t] = d, d
		case K2:
			value[t], pull[t] = d*d/2, d
		default:
			value[t], pull[t] = math.Exp(-d)+d-1, 1-math.Exp(-d)
		}
	}
	return value, pull
}

// CorrectedKL is k3 times the ratio of now to old: unbiased also for tokens that
// an older policy generated (DeepSeek-V3.2, arXiv:2512.02556, section 3.1; TRL's
// use_bias_correction_kl). The pull is its derivative, r (k3 + 1 - e^-d).
func CorrectedKL(now, old, reference []float64) (value, pull []float64) {
	value, pull = KL(K3, now, reference)
	for t := range now {
		r := ratio(now[t], old[t])
		value[t], pull[t] = r*value[t], r*(value[t]+pull[t])
	}
	return value, pull
}

// Fold takes the penalty off the advantages of a batch: A_t - β (pull_t - c).
// c is 0, or, if centre, the mean of pull over all tokens of the batch: then
// the penalty pushes no token for being a token, only for being further off
// than others (tinker-cookbook folds k1 so). The inputs are not modified.
func Fold(advantages, pull [][]float64, beta float64, centre bool) [][]float64 {
	var c float64
	if centre {
		var all []float64
		for _, p := range pull {
			all = append(all, p...)
		}
		c = mean(all)
	}
	out := make([][]float64, len(advantages))
	for i, a := range advantages {
		out[i] = make([]float64, len(a))
		for t := range a {
			out[i][t] = a[t] - beta*(pull[i][t]-c)
		}
	}
	return out
}
