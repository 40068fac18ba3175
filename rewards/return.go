package rewards

import (
	"math"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// Masks reports whether this reward keeps its trajectory out of training: it
// is null and its rule says missing: mask. While the reward is Provisional, a
// fact that comes later may still fill it.
func (e *Engine) Masks(r trajectory.Reward) bool {
	if r.Value != nil || r.Reason == ReasonNotChosen {
		return false
	}
	for _, rule := range e.rules {
		if rule.Name == r.Name {
			return rule.Missing == MissingMask
		}
	}
	return false
}

// Return adds up the rewards of one trajectory under the current rules:
// Σ weight × (the trajectory's value, or the sum over its steps). Rewards of
// other names are ignored.
//
//   - masked: a rule with missing: mask is null, for the trajectory or for one
//     of its steps; value is nil.
//   - A null under missing: skip is left out of the sum.
//   - A rule with level step for which no step was chosen adds 0; a rule with
//     level trajectory that has no reward at all counts as null.
//   - A rule with level trajectory that was not chosen is left out, whatever
//     its missing says. If all are left out there is no value.
//   - value is nil if nothing could be added, or the sum is not finite.
func (e *Engine) Return(rewards []trajectory.Reward) (value *float64, masked bool) {
	total, counted := 0.0, false
	for _, r := range e.rules {
		sum, values, nulls, gated := 0.0, 0, 0, false
		for i := range rewards {
			switch {
			case rewards[i].Name != r.Name:
			case rewards[i].Value == nil && rewards[i].Reason == ReasonNotChosen:
				gated = true
			case rewards[i].Value == nil:
				nulls++
			default:
				sum, values = sum+*rewards[i].Value, values+1
			}
		}
		if r.Level == LevelTrajectory && values == 0 && !gated {
			nulls++
		}
		if nulls > 0 && r.Missing == MissingMask {
			return nil, true
		}
		if values > 0 || r.Level == LevelStep && nulls == 0 {
			total, counted = total+r.Weight*sum, true
		}
	}
	if !counted || math.IsInf(total, 0) || math.IsNaN(total) {
		return nil, false
	}
	return &total, false
}
