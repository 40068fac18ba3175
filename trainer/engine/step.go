package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
)

// Adam are the settings of one optimizer step. Servers on Megatron and FSDP take
// the rate only and keep the rest as they were started with.
type Adam struct {
	Rate        float64 `json:"learning_rate"`
	Beta1       float64 `json:"beta1"`
	Beta2       float64 `json:"beta2"`
	Epsilon     float64 `json:"eps"`
	WeightDecay float64 `json:"weight_decay"`
	Clip        float64 `json:"grad_clip_norm,omitempty"` // largest norm of the gradient; 0 = any; our worker only
}

// DefaultAdam is the protocol's Adam with a learning rate.
func DefaultAdam(rate float64) Adam { return Adam{Rate: rate, Beta1: 0.9, Beta2: 0.95, Epsilon: 1e-12} }

// Stepped is what an optimizer step came to.
type Stepped struct {
	GradNorm *float64           `json:"-"` // of the step's gradient as the server has it; nil = it did not say
	Metrics  map[string]float64 `json:"metrics"`
}

// OptimStep applies the gradients that wait. Without any it is an error, for
// servers take such a step without a word.
func (m *Model) OptimStep(ctx context.Context, a Adam) (Stepped, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.broken != nil:
		return Stepped{}, fmt.Errorf("optimizer step: %w", m.broken)
	case m.pending == 0:
		return Stepped{}, errors.New("optimizer step: no gradients wait for it")
	case a.Clip != 0 && !m.c.Capabilities().Worker:
		return Stepped{}, errors.New("optimizer step: only the worker clips the gradient to a norm that the client chooses; leave it out")
	}
	if err := a.valid(); err != nil {
		return Stepped{}, fmt.Errorf("optimizer step: %w", err)
	}
	out, landed, err := m.step(ctx, a)
	if err != nil {
		return Stepped{}, fmt.Errorf("optimizer step: %w", m.fail(err, landed))
	}
	m.pending = 0
	return out, nil
}

func (a Adam) valid() error {
	for name, v := range map[string]float64{"learning_rate": a.Rate, "beta1": a.Beta1, "beta2": a.Beta2, "eps": a.Epsilon, "weight_decay": a.WeightDecay, "grad_clip_norm": a.Clip} {
		if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
			return fmt.Errorf("%s is %v", name, v)
		}
	}
	return nil
}

// step says beside its error whether the server may have taken the step.
func (m *Model) step(ctx context.Context, a Adam) (out Stepped, landed bool, err error) {
	m.sequence++
	request := jsonCall("optim_step", struct {
		Model    string `json:"model_id"`
		Adam     Adam   `json:"adam_params"`
		Sequence int    `json:"seq_id"`
	}{m.ID, a, m.sequence})
	request.again = m.c.Capabilities().Idempotent
	ticket, err := m.c.submit(ctx, request)
	if err != nil {
		return out, false, err
	}
	got, err := m.c.result(ctx, request.path, ticket.ID, small)
	if err != nil {
		return out, true, err
	}
	err = decode(request.path, got, &out)
	for _, name := range []string{"skyrl.ai/grad_norm", "grad_norm"} {
		if v, ok := out.Metrics[name]; ok && out.GradNorm == nil {
			out.GradNorm = &v
		}
	}
	return out, true, err
}
