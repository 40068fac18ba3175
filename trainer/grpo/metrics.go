package grpo

import "fmt"

// Metrics are sums over the tokens of a step; [Metrics.Add] merges them.
type Metrics struct {
	Rollouts  int            `json:"rollouts"`
	Tokens    int            `json:"tokens"`
	Loss      float64        `json:"loss_sum"`          // weighted, not normalised
	Moved     float64        `json:"moved_sum"`         // KL(old ‖ now), nats
	KL        float64        `json:"kl_sum"`            // from the reference, nats
	Clipped   int            `json:"clipped"`           // tokens that the loss clipped
	Truncated int            `json:"truncated"`         // tokens whose off-policy weight was cut
	Masked    int            `json:"masked"`            // tokens that the correction masked
	Refused   map[string]int `json:"refused,omitempty"` // rollouts of which no token counts, by reason
	Effective Effective      `json:"effective"`         // of the off-policy weights
}

// Add merges what other counted.
func (m *Metrics) Add(other Metrics) {
	m.Rollouts += other.Rollouts
	m.Tokens += other.Tokens
	m.Loss += other.Loss
	m.Moved += other.Moved
	m.KL += other.KL
	m.Clipped += other.Clipped
	m.Truncated += other.Truncated
	m.Masked += other.Masked
	for reason, n := range other.Refused {
		if m.Refused == nil {
			m.Refused = map[string]int{}
		}
		m.Refused[reason] += n
	}
	m.Effective.N += other.Effective.N
	m.Effective.Sum += other.Effective.Sum
	m.Effective.Squares += other.Effective.Squares
}

// MeanMoved is the mean KL(old ‖ now) in nats per token.
func (m Metrics) MeanMoved() float64 { return m.Moved / float64(max(m.Tokens, 1)) }

// MeanKL is the mean KL from the reference in nats per token.
func (m Metrics) MeanKL() float64 { return m.KL / float64(max(m.Tokens, 1)) }

// ClipFraction is the share of tokens that the loss clipped.
func (m Metrics) ClipFraction() float64 { return float64(m.Clipped) / float64(max(m.Tokens, 1)) }

// Limits say when an update stops before its end. 0 switches a limit off.
type Limits struct {
	MaxKL  float64 `json:"max_kl"`  // nats per token that the policy may move from where the update began
	MinESS float64 `json:"min_ess"` // least effective sample size, as a share
}

// The limits for a night of logged rollouts.
const (
	DefaultMaxKL  = 0.05
	DefaultMinESS = 0.3
)

// Stop says why an update must not go on after a step with these metrics; "" =
// it may. Metrics that are not finite always stop it.
func (l Limits) Stop(m Metrics) string {
	switch {
	case !finite([]float64{m.Loss, m.Moved, m.KL, m.Effective.Sum, m.Effective.Squares}):
		return "not_finite: the step's loss or KL is not a number"
	case l.MaxKL > 0 && m.MeanMoved() > l.MaxKL:
		return fmt.Sprintf("max_kl: the policy moved by %.4g nats per token, more than %.4g", m.MeanMoved(), l.MaxKL)
	case l.MinESS > 0 && m.Effective.Share() < l.MinESS:
		return fmt.Sprintf("min_ess: the effective sample size is %.3g of the tokens, less than %.3g", m.Effective.Share(), l.MinESS)
	}
	return ""
}
