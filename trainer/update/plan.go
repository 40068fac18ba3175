package update

import (
	"math/rand/v2"

	"github.com/tracegrad/tracegrad/trainer/engine"
	"github.com/tracegrad/tracegrad/trainer/grpo"
	"github.com/tracegrad/tracegrad/trainer/sequence"
)

// Plan says how a night's rollouts become optimizer steps.
type Plan struct {
	Rule         grpo.Rule      `json:"rule"`
	Reduce       grpo.Reduction `json:"reduce"`
	Length       int            `json:"length"` // of grpo.Constant, in tokens
	Limits       grpo.Limits    `json:"limits"`
	Adam         engine.Adam    `json:"adam"`
	ValueClip    float64        `json:"value_clip,omitempty"` // of the critic's loss
	Critic       bool           `json:"critic,omitempty"`
	Epochs       int            `json:"epochs"`
	StepRollouts int            `json:"step_rollouts"` // most rollouts of a step
	SaveEvery    int            `json:"save_every"`    // steps between checkpoints; the last step always has one
	Seed         uint64         `json:"seed"`          // of the order
}

// Item is a rollout to learn from. The lists are flat ([sequence.Rollout]).
type Item struct {
	Rollout    *sequence.Rollout
	Advantages []float64
	Old        []float64 // log-probabilities before the first step
	Reference  []float64 // of the base model; nil = no penalty
	Values     []float64 // of the critic before the first step; nil = no critic
	Returns    []float64 // what it should have said
}

// Schedule is the rollouts of every step, as indices below n: each epoch has all
// of them in an order of its own, in steps of sizes that differ by one at most.
func (p Plan) Schedule(n int) [][]int {
	if n == 0 {
		return nil
	}
	perEpoch := (n + p.StepRollouts - 1) / p.StepRollouts
	var out [][]int
	for epoch := range p.Epochs {
		order := rand.New(rand.NewPCG(p.Seed, uint64(epoch))).Perm(n) //nolint:gosec // an order, not a secret
		for i := range perEpoch {
			out = append(out, order[i*n/perEpoch:(i+1)*n/perEpoch])
		}
	}
	return out
}
