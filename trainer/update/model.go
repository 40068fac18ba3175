package update

import (
	"context"

	"github.com/tracegrad/tracegrad/trainer/engine"
	"github.com/tracegrad/tracegrad/trainer/grpo"
)

// Model is a policy on a server. It is used by one goroutine.
type Model interface {
	// Forward computes what the policy says of rows: one output per row.
	Forward(ctx context.Context, rows []engine.Row) ([]engine.Output, error)
	// Step takes one optimizer step along the sum of the passes' gradients.
	Step(ctx context.Context, passes []Pass, adam engine.Adam) error
	// Save keeps policy and optimizer under a name and says where. What it says
	// is what a model can be loaded from.
	Save(ctx context.Context, name string) (string, error)
}

// Pass is a batch and its loss.
type Pass struct {
	Loss grpo.Loss
	Rows []engine.Row
}
