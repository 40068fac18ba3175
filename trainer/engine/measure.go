package engine

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/tracegrad/tracegrad/trainer/grpo"
)

// measure finds out what the server does not say, with a model of its own that
// is closed again: whether the same request twice is one request, and what the
// summed losses of rows are divided by. Its optimizer steps have rate 0.
func (c *Client) measure(ctx context.Context, s Spec) (err error) {
	s.From = ""
	m, err := c.create(ctx, s)
	if err != nil {
		return fmt.Errorf("measure the engine: %w", err)
	}
	defer func() {
		if closed := m.Close(ctx); err == nil {
			err = closed
		}
	}()
	once, now, err := m.twice(ctx)
	if err != nil {
		return fmt.Errorf("measure the engine: %w", err)
	}
	c.mu.Lock()
	c.caps.Idempotent = c.caps.Idempotent || once
	c.mu.Unlock()
	how, err := m.divisor(ctx, now)
	if err != nil {
		return fmt.Errorf("measure how the engine at %s normalises: %w; set it by hand if you know it", c.base, err)
	}
	c.mu.Lock()
	c.caps.Normalize = how
	c.mu.Unlock()
	return nil
}

// twice sends one forward pass two times under one sequence number.
func (m *Model) twice(ctx context.Context) (once bool, now []float32, err error) {
	p := pass{model: m.ID, forward: true, loss: string(grpo.FnCrossEntropy)}
	row := []datum{probe(nil, 1, 1)}
	first, err := m.queue(ctx, p, row)
	if err != nil {
		return false, nil, err
	}
	m.sequence--
	second, err := m.queue(ctx, p, row)
	if err != nil {
		return false, nil, err
	}
	for _, q := range []queued{first, second} {
		_, err = m.collect(ctx, ticket{queued: q, data: row, rows: []Row{{Tokens: []int32{1, 2, 3}}}}, func(_ *Row, _ *datum, o *outputs) error {
			now = o.logprobs
			return nil
		})
		if err != nil {
			return false, nil, err
		}
	}
	if len(now) != 2 {
		return false, nil, fmt.Errorf("%d log-probabilities for 2 targets", len(now))
	}
	return first.ID == second.ID, now, nil
}

// probe is a row of three tokens whose first target alone has an advantage.
func probe(now []float32, weights ...float32) datum {
	d := datum{input: []int32{1, 2}, targets: []int32{2, 3}, weights: weights}
	if now != nil {
		d.logprobs, d.advantages = now, []float32{0.05, 0}
	}
	return d
}

// divisor compares the gradient of one row, g, with that of two rows whose
// losses are that of the first each, of which one has another token of weight 1:
// 2 g if nothing is divided, (1 + 1/2)/2 g if rows are divided by their weights
// and averaged.
func (m *Model) divisor(ctx context.Context, now []float32) (Normalization, error) {
	one, err := m.norm(ctx, []datum{probe(now, 1, 0)})
	if err != nil {
		return "", err
	}
	two, err := m.norm(ctx, []datum{probe(now, 1, 1), probe(now, 1, 0)})
	if err != nil {
		return "", err
	}
	return normalizes(two / one)
}

// normalizes names the normalization by the ratio of [Model.divisor]. A mean
// over tokens would be 2/3, one over rows without weights 1.
func normalizes(ratio float64) (Normalization, error) {
	switch {
	case math.Abs(ratio-2) < 0.02:
		return Sum, nil
	case math.Abs(ratio-0.75) < 0.02:
		return RowMean, nil
	default:
		return "", fmt.Errorf("two rows give %.4g times the gradient of one, which is neither a sum nor a mean over rows", ratio)
	}
}

// norm is the gradient norm of rows.
func (m *Model) norm(ctx context.Context, data []datum) (float64, error) {
	p := pass{model: m.ID, loss: string(grpo.FnImportance)}
	q, err := m.queue(ctx, p, data)
	if err != nil {
		return 0, err
	}
	rows := make([]Row, len(data))
	ignore := func(*Row, *datum, *outputs) error { return nil }
	if _, err := m.collect(ctx, ticket{queued: q, data: data, rows: rows}, ignore); err != nil {
		return 0, err
	}
	stepped, _, err := m.step(ctx, DefaultAdam(0))
	switch {
	case err != nil:
		return 0, err
	case stepped.GradNorm == nil:
		return 0, errors.New("it does not say the norm of a gradient")
	case !(*stepped.GradNorm > 0) || math.IsInf(*stepped.GradNorm, 0):
		return 0, fmt.Errorf("it says that the norm of a gradient is %v", *stepped.GradNorm)
	}
	return *stepped.GradNorm, nil
}
