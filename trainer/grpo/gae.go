package grpo

import "math"

// GAE turns rewards and a critic's values of one rollout's generated tokens,
// over all its rows in the order they were generated, into advantages, and into
// what the critic should have said:
//
//	δ_t = r_t + γ V_{t+1} - V_t        V after the last token = 0
//	A_t = δ_t + γ λ A_{t+1}
//	returns_t = A_t + V_t
//
// Schulman et al. 2016, arXiv:1506.02438, equation 16. Tokens that were not
// generated are no actions, so they are not in the lists (verl skips them alike).
// The reward of an attempt stands at its last token.
func GAE(rewards, values []float64, gamma, lambda float64) (advantages, returns []float64) {
	advantages, returns = make([]float64, len(rewards)), make([]float64, len(rewards))
	var next, after float64
	for t := len(rewards) - 1; t >= 0; t-- {
		delta := rewards[t] + gamma*after - values[t]
		next = delta + gamma*lambda*next
		after = values[t]
		advantages[t], returns[t] = next, next+values[t]
	}
	return advantages, returns
}

// Whiten centres values over all tokens of a batch and divides them by their
// standard deviation: (x - mean) / √(var + 1e-8), var with n-1, as TRL and verl
// do with the advantages of PPO. The input is not modified; fewer than two
// values, or values that are all equal, become 0.
func Whiten(batch [][]float64) [][]float64 {
	var all []float64
	for _, values := range batch {
		all = append(all, values...)
	}
	flat, squares := centred(all)
	if len(all) > 1 {
		scale(flat, 1/math.Sqrt(squares/float64(len(all)-1)+1e-8))
	}
	out := make([][]float64, len(batch))
	for i, values := range batch {
		out[i], flat = flat[:len(values):len(values)], flat[len(values):]
	}
	return out
}

// ValueLoss is PPO's loss of the critic per token, and its slope ∂loss/∂v:
//
//	½ max((v - returns)², (v' - returns)²)    v' = v held within old ± clip
//
// clip = 0 leaves out the second term. The clipping is that of OpenAI's
// baselines, which TRL and verl keep.
func ValueLoss(values, old, returns []float64, clip float64) (loss, slope []float64) {
	loss, slope = make([]float64, len(values)), make([]float64, len(values))
	for t, v := range values {
		d := v - returns[t]
		loss[t], slope[t] = d*d/2, d
		if clip <= 0 {
			continue
		}
		held := min(max(v, old[t]-clip), old[t]+clip)
		if e := held - returns[t]; e*e > d*d {
			loss[t], slope[t] = e*e/2, 0 // held ≠ v, or the squares were equal
		}
	}
	return loss, slope
}
