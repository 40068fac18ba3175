package grpo

import "math"

// PerAgent computes the advantages of a group for each agent by itself: the
// steps of agent k in attempt i all get
//
//	A_ik = (R_i - μ_k) / (σ_k + ε)    μ_k = Σ_i n_ik R_i / N_k,  σ_k² = Σ_i n_ik (R_i - μ_k)² / (N_k - 1)
//
// with n_ik the steps of the agent in the attempt and N_k their sum: the mean
// and the standard deviation are over the agent's own steps. Agents that act
// often in attempts that fail are thus not measured against a mean of attempts
// that they hardly took part in. Dr. MAS, Feng et al. 2026, arXiv:2602.08847.
// Under LeaveOneOut the baseline is the mean over the agent's steps in the other
// attempts, A_ik = (R_i - μ_k) N_k / (N_k - n_ik); under None and BatchStd
// nothing is divided by.
//
// steps has one map per return, from agent to its number of steps; an agent with
// none is absent or 0. The result has one map per return with the agents that
// got an advantage. Agents that took part in one attempt only, or whose returns
// are all equal, get none and stand in the second result with the reason.
// Under Std, None and BatchStd Σ_i n_ik A_ik = 0 for every agent.
func PerAgent(returns []float64, steps []map[string]int, opt Options) ([]map[string]float64, map[string]Signal) {
	out := make([]map[string]float64, len(returns))
	took := map[string][]int{} // agent → attempts
	for i := range returns {
		out[i] = map[string]float64{}
		for agent, n := range steps[i] {
			if n > 0 {
				took[agent] = append(took[agent], i)
			}
		}
	}
	dropped := map[string]Signal{}
	for agent, attempts := range took {
		own, weights := make([]float64, len(attempts)), make([]float64, len(attempts))
		for j, i := range attempts {
			own[j], weights[j] = returns[i], float64(steps[i][agent])
		}
		if s := SignalOf(own); s != Informative {
			dropped[agent] = s
			continue
		}
		for j, a := range weighted(own, weights, opt) {
			out[attempts[j]][agent] = a
		}
	}
	return out, dropped
}

// weighted is [Advantages] with each return counted weights times.
func weighted(returns, weights []float64, opt Options) []float64 {
	var n, centre, rest, squares float64
	for _, w := range weights {
		n += w
	}
	for i, r := range returns {
		centre += r * (weights[i] / n)
	}
	for i, r := range returns { // what rounding left, see mean
		rest += (r - centre) * (weights[i] / n)
	}
	centre += rest
	out := make([]float64, len(returns))
	for i, r := range returns {
		out[i] = r - centre
		squares += weights[i] * out[i] * out[i]
	}
	switch opt.Normalize {
	case None, BatchStd:
	case LeaveOneOut:
		for i := range out {
			out[i] *= n / (n - weights[i])
		}
	default:
		scale(out, 1/(math.Sqrt(squares/(n-1))+opt.epsilon()))
	}
	return out
}
