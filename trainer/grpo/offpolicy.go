package grpo

import (
	"fmt"
	"math"
)

// Correction says how tokens are weighed that another policy generated. With
// w_t = exp(old_t - behaviour_t) per token, old the policy before the first step
// of the update, and W = exp(mean_t(old_t - behaviour_t)), their geometric mean
// over the rollout, each part that is set multiplies its factor in. The zero
// value leaves all weights at 1.
//
// Sequences are rollouts: all rows together. Weights of masked tokens are 0; what
// a batch is divided by does not change with them, so masking makes a step
// smaller, never the remaining tokens louder.
type Correction struct {
	// Cap: min(w_t, Cap). Truncated importance sampling (Ionides 2008; Espeholt
	// et al. 2018, arXiv:1802.01561); 2 is a common choice.
	Cap float64 `json:"cap,omitempty"`

	// TokenLow, TokenHigh: 0 for a token whose w_t lies outside. IcePop,
	// arXiv:2510.18855: 0.5 and 5. A High of 0 is no bound.
	TokenLow  float64 `json:"token_low,omitempty"`
	TokenHigh float64 `json:"token_high,omitempty"`

	// SequenceLow, SequenceHigh: 0 for a rollout whose W lies outside (geometric
	// sequence masking, as in verl and SkyRL). A High of 0 is no bound.
	SequenceLow  float64 `json:"sequence_low,omitempty"`
	SequenceHigh float64 `json:"sequence_high,omitempty"`

	// Veto: 0 for a rollout with a token whose w_t lies below: it did something
	// that the policy would as good as never do (verl: 1e-4).
	Veto float64 `json:"veto,omitempty"`

	// Stale: 0 for tokens with a negative advantage in a rollout where
	// mean_t(behaviour_t - now_t) > Stale, nats per token: what the policy has
	// moved away from is not pushed further (DeepSeek-V3.2, arXiv:2512.02556;
	// TRL's off_policy_mask_threshold). now is the policy of this very step.
	Stale float64 `json:"stale,omitempty"`

	// Tapered: 1 for tokens with an advantage ≥ 0, and for the others
	// min(1, Π_t exp(now_t - behaviour_t)). TOPR, arXiv:2503.14286: works wholly
	// offline. It stands in the place of Cap and of the loss's ratio: the
	// loss becomes -A now.
	Tapered bool `json:"tapered,omitempty"`
}

// corrections have names for configuration files.
var corrections = map[string]Correction{
	"none":     {},
	"truncate": {Cap: 2, Veto: 1e-4},
	"icepop":   {TokenLow: 0.5, TokenHigh: 5},
	"stale":    {Stale: 0.5},
	"topr":     {Tapered: true},
}

// CorrectionOf is a correction with the constants of its papers, by name: none,
// truncate, icepop, stale or topr.
func CorrectionOf(name string) (Correction, error) {
	c, ok := corrections[name]
	if !ok {
		return c, fmt.Errorf("off-policy correction %q is not known; use none, truncate, icepop, stale or topr", name)
	}
	return c, nil
}

// Weighed is what a correction did to a rollout.
type Weighed struct {
	Weights   []float64 // one per token
	Truncated int       // tokens at the cap, or tapered
	Masked    int       // tokens at 0
	Reason    string    // why all are: sequence_mask or veto; "" = not all for one reason
}

// Reasons why no token of a rollout counts.
const (
	ReasonSequenceMask = "sequence_mask"
	ReasonVeto         = "veto"
)

// Weigh computes the weights of one rollout's generated tokens. Where no
// behaviour is known all weights are 1.
func (c Correction) Weigh(x Logs) Weighed {
	out := Weighed{Weights: make([]float64, len(x.Now))}
	if x.Behaviour == nil {
		for t := range out.Weights {
			out.Weights[t] = 1
		}
		return out
	}
	old := x.old()
	if out.Reason = c.refuse(old, x.Behaviour); out.Reason != "" {
		out.Masked = len(x.Now)
		return out
	}
	away := -meanDifference(x.Now, x.Behaviour)
	taper := ratio(min(-away*float64(len(x.Now)), 0), 0)
	for t, a := range x.Advantages {
		w := ratio(old[t], x.Behaviour[t])
		switch {
		case !within(w, c.TokenLow, c.TokenHigh), c.Stale > 0 && a < 0 && away > c.Stale:
			out.Masked++
			continue
		case c.Tapered && a < 0:
			out.Weights[t] = taper
		case c.Tapered || c.Cap <= 0:
			out.Weights[t] = 1
		default:
			out.Weights[t] = min(w, c.Cap)
		}
		if (c.Tapered && a < 0 && taper < 1) || (!c.Tapered && c.Cap > 0 && w > c.Cap) {
			out.Truncated++
		}
	}
	return out
}

// refuse says why no token of the rollout counts.
func (c Correction) refuse(old, behaviour []float64) string {
	if !within(ratio(meanDifference(old, behaviour), 0), c.SequenceLow, c.SequenceHigh) {
		return ReasonSequenceMask
	}
	for t := range old {
		if c.Veto > 0 && old[t]-behaviour[t] < math.Log(c.Veto) {
			return ReasonVeto
		}
	}
	return ""
}

// within is false for w outside the bounds; a high of 0 is none.
func within(w, low, high float64) bool { return w >= low && (high <= 0 || w <= high) }

// Effective is the effective sample size of importance weights, as a share of
// their number n:
//
//	(Σ w)² / (n Σ w²)
//
// 1 = all count alike; 1/n = one alone decides (Kish 1965). The zero value has
// seen none.
type Effective struct {
	N            int     `json:"n"`
	Sum, Squares float64 `json:"-"`
}

// Add adds the weights of tokens by the log-probabilities of the two policies.
func (e *Effective) Add(now, behaviour []float64) {
	for t := range now {
		w := ratio(now[t], behaviour[t])
		e.N++
		e.Sum += w
		e.Squares += w * w
	}
}

// Share is the effective sample size as a share of n; 1 if nothing was added.
func (e Effective) Share() float64 {
	if e.N == 0 {
		return 1
	}
	return e.Sum * e.Sum / (float64(e.N) * e.Squares)
}
