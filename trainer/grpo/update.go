package grpo

import (
	"errors"
	"fmt"
	"math"
)

// Penalty is a KL penalty towards the reference policy (with an adapter: the
// base model).
type Penalty struct {
	Beta      float64   `json:"beta,omitempty"`      // 0 = none
	Estimator Estimator `json:"estimator,omitempty"` // "" = K3
	Corrected bool      `json:"corrected,omitempty"` // CorrectedKL; with K3 only
}

// Rule is everything that turns log-probabilities into the gradient of one
// optimizer step.
type Rule struct {
	Loss       Loss       `json:"loss"`
	Correction Correction `json:"off_policy"`
	Penalty    Penalty    `json:"kl"`
}

// Logs are the log-probabilities, in nats, of one rollout's generated tokens
// over all its rows, under up to four policies, and the tokens' advantages. The
// lists are of one length.
type Logs struct {
	Now        []float64 // the policy as it is now, from a forward pass
	Old        []float64 // the policy before the first step of this update; nil = Now: the first step
	Behaviour  []float64 // the policy that generated the tokens; nil = Old, nothing to correct
	Recorded   []bool    // where Behaviour is known, not taken to be Old; nil = everywhere
	Reference  []float64 // nil = no penalty
	Advantages []float64
}

// Coefficients are what each token's ∇ log π is multiplied with in the ascent
// direction of the rule, so that on any server of the protocol
//
//	forward_backward(importance_sampling, logprobs: now, advantages: coefficients / Z)
//
// has exactly the gradient of the rule's loss: there the ratio is 1 in value and
// the gradient is Σ coefficient ∇ log π. It costs a forward pass per step, and
// buys every loss, weight and mask on servers that have none of them.
//
//	c_t = - w_t slope_t - β pull_t    w of [Correction.Weigh], slope of [Loss.Tokens], pull of [KL]
//
// The ratio in the loss compares Now with Old; the truncated weights compare
// what Old is with Behaviour (the decoupled form of three policies).
func (r Rule) Coefficients(x Logs) ([]float64, Metrics, error) {
	if err := r.check(x); err != nil {
		return nil, Metrics{}, err
	}
	old, by := x.old(), r.Loss
	if r.Correction.Tapered {
		by = Loss{Fn: FnCrossEntropy}
	}
	loss, slope := by.Tokens(x.Now, old, x.Advantages)
	weighed := r.Correction.Weigh(x)
	m := Metrics{Rollouts: 1, Tokens: len(x.Now), Clipped: by.clips(x.Now, old, x.Advantages), Truncated: weighed.Truncated, Masked: weighed.Masked}
	if weighed.Reason != "" {
		m.Refused = map[string]int{weighed.Reason: 1}
	}
	out := make([]float64, len(x.Now))
	for t, w := range weighed.Weights {
		out[t] = -w * slope[t]
		m.Loss += w * loss[t]
		d := old[t] - x.Now[t] // k3 of KL(old ‖ now), the tokens taken as old's
		m.Moved += math.Exp(min(-d, span)) + d - 1
	}
	m.Effective.Add(x.recorded(old))
	r.penalise(x, old, out, &m)
	return out, m, nil
}

// old is the policy before the first step.
func (x Logs) old() []float64 {
	if x.Old == nil {
		return x.Now
	}
	return x.Old
}

// recorded are old and behaviour where the latter is known: only there do weights
// say how far the two are apart.
func (x Logs) recorded(old []float64) (_, behaviour []float64) {
	if x.Behaviour == nil {
		return nil, nil
	}
	if x.Recorded == nil {
		return old, x.Behaviour
	}
	var then []float64
	for t, known := range x.Recorded {
		if known {
			then, behaviour = append(then, old[t]), append(behaviour, x.Behaviour[t])
		}
	}
	return then, behaviour
}

func (r Rule) penalise(x Logs, old, out []float64, m *Metrics) {
	if r.Penalty.Beta == 0 || x.Reference == nil {
		return
	}
	value, pull := KL(r.Penalty.Estimator, x.Now, x.Reference)
	if r.Penalty.Corrected {
		value, pull = CorrectedKL(x.Now, old, x.Reference)
	}
	for t := range out {
		out[t] -= r.Penalty.Beta * pull[t]
		m.Loss += r.Penalty.Beta * value[t]
		m.KL += value[t]
	}
}

// check refuses what would give a wrong gradient.
func (r Rule) check(x Logs) error {
	n := len(x.Now)
	for _, list := range []struct {
		name     string
		values   []float64
		optional bool
	}{
		{"now", x.Now, false}, {"advantages", x.Advantages, false},
		{"old", x.Old, true}, {"behaviour", x.Behaviour, true}, {"reference", x.Reference, true},
	} {
		switch {
		case list.values == nil && list.optional:
		case len(list.values) != n:
			return fmt.Errorf("compute coefficients: %s has %d values for %d tokens", list.name, len(list.values), n)
		case !finite(list.values):
			return fmt.Errorf("compute coefficients: %s has a value that is not a number", list.name)
		}
	}
	if x.Recorded != nil && len(x.Recorded) != n {
		return fmt.Errorf("compute coefficients: recorded has %d values for %d tokens", len(x.Recorded), n)
	}
	if r.Penalty.Beta != 0 && x.Reference == nil {
		return errors.New("compute coefficients: a KL penalty needs the log-probabilities of the reference")
	}
	return nil
}
