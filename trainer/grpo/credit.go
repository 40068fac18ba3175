package grpo

// Discount turns the rewards of consecutive steps into what each step led to:
//
//	G_t = r_t + γ G_{t+1}
//
// γ = 1 adds up what follows, γ = 0 leaves the rewards as they are.
func Discount(rewards []float64, gamma float64) []float64 {
	out := make([]float64, len(rewards))
	var next float64
	for t := len(rewards) - 1; t >= 0; t-- {
		next = rewards[t] + gamma*next
		out[t] = next
	}
	return out
}

// Process turns the step rewards of a group's attempts into one advantage per
// step: each reward is normalised with the mean and the standard deviation of
// all step rewards of the group, and a step is credited with its own and all
// that follow,
//
//	r̃ = (r - mean) / (std + ε)      A_t = r̃_t + γ A_{t+1}
//
// GRPO with process supervision, arXiv:2402.03300, section 4.1.3, where γ = 1.
// A step without a reward (nil) has no r̃ of its own and is credited with what
// follows. Adding a constant to all step rewards changes nothing. Where step
// rewards are credited so, they do not count again in the return.
//
// The result has the shape of rewards; it is nil, with the reason, if they carry
// no signal. Attempts without steps are allowed.
func Process(rewards [][]*float64, gamma float64, opt Options) ([][]float64, Signal) {
	var all []float64
	for _, attempt := range rewards {
		for _, r := range attempt {
			if r != nil {
				all = append(all, *r)
			}
		}
	}
	normal, ok := Advantages(all, opt)
	if !ok {
		return nil, SignalOf(all)
	}
	out := make([][]float64, len(rewards))
	for i, attempt := range rewards {
		own := make([]float64, len(attempt))
		for t, r := range attempt {
			if r != nil {
				own[t], normal = normal[0], normal[1:]
			}
		}
		out[i] = Discount(own, gamma)
	}
	return out, Informative
}

// Anchored is a step as GiGPO sees it.
type Anchored struct {
	State  string  // what the agent saw before it acted: steps with equal states are compared
	Return float64 // what the step led to, see [Discount]
}

// Anchors gives steps of a group that were taken in the same state an advantage
// over each other: step groups inside the group. Steps in states met only once,
// or after which all returned the same, get 0. It is added, with a weight ω
// (1 in the paper), to the advantage of the attempt:
//
//	A_t = A_attempt + ω A_step
//
// GiGPO, Feng et al. 2025, arXiv:2505.10978. The result has the shape of steps;
// it is nil if a return is not finite. In each state the advantages sum to 0.
func Anchors(steps [][]Anchored, opt Options) [][]float64 {
	type place struct{ i, t int }
	places, returns := map[string][]place{}, map[string][]float64{}
	out := make([][]float64, len(steps))
	for i, attempt := range steps {
		out[i] = make([]float64, len(attempt))
		for t, s := range attempt {
			if !finite([]float64{s.Return}) {
				return nil
			}
			places[s.State] = append(places[s.State], place{i, t})
			returns[s.State] = append(returns[s.State], s.Return)
		}
	}
	for state, at := range places {
		advantages, _ := Advantages(returns[state], opt) // nil: nothing to compare
		for j, a := range advantages {
			out[at[j].i][at[j].t] = a
		}
	}
	return out
}
