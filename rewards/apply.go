package rewards

import "github.com/tracegrad/tracegrad/internal/trajectory"

// Apply scores a trajectory that was just assembled, at a time in µs: its
// rewards are set, and it is not trainable where a rule that masks gave none.
func (e *Engine) Apply(t *trajectory.Trajectory, now int64) {
	t.Rewards = e.Score(t, t.Facts, now)
	for _, r := range t.Rewards {
		// A rule that waits for facts is judged when it is trained on.
		if !r.Provisional && e.Masks(r) {
			t.Reasons = append(t.Reasons, trajectory.ReasonRewardMissing)
			t.Trainable = false
			return
		}
	}
}
