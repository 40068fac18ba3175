package sequence

import (
	"context"
	"errors"
	"fmt"

	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/trainer/engine"
)

// Build turns one trajectory into rows. What is wrong with the trajectory is in
// the rollout (Skipped, LeftOut); an error means that the tokenizer failed or ctx
// is done, and says nothing of the trajectory.
//
// Advantages and Weight of the rows are 0; Logprobs hold what was recorded.
func Build(ctx context.Context, t *trajectory.Trajectory, o Options) (*Rollout, error) {
	b := &builder{t: t, o: o, out: &Rollout{ID: t.ID, LeftOut: map[string]int{}}}
	if err := t.Valid(); err != nil {
		return b.skip(SkipInvalid), nil
	}
	if !t.Trainable {
		return b.skip(SkipNotTrainable), nil
	}
	calls, reason := b.calls()
	if reason != "" {
		return b.skip(reason), nil
	}
	if err := b.render(ctx, calls); err != nil {
		return nil, fmt.Errorf("build sequences of trajectory %s: %w", t.ID, err)
	}
	if reason := b.place(calls); reason != "" {
		return b.skip(reason), nil
	}
	b.finish()
	if len(b.out.Rows) == 0 {
		return b.skip(SkipNothing), nil
	}
	return b.out, nil
}

// errAnswers says that a tokenizer broke its contract.
var errAnswers = errors.New("the tokenizer answered another number of chats than it was asked for")

type builder struct {
	t      *trajectory.Trajectory
	o      Options
	out    *Rollout
	rows   []engine.Row
	ends   index
	placed map[int]place // step → where its prompt and reply end
	tokens int           // in all rows
}

// place is a position in a row: its tokens before it.
type place struct{ row, end int }

func (b *builder) skip(reason string) *Rollout {
	b.out.Skipped, b.out.Rows, b.out.Spans, b.out.Recorded = reason, nil, nil, nil
	return b.out
}

func (b *builder) left(reason string) { b.out.LeftOut[reason]++ }

// finish drops rows that only are context.
func (b *builder) finish() {
	keep := make([]bool, len(b.rows))
	for _, s := range b.out.Spans {
		keep[s.Row] = true
	}
	to := make([]int, len(b.rows))
	for i, row := range b.rows {
		if keep[i] {
			to[i] = len(b.out.Rows)
			row.Rollout = b.out.ID
			row.Advantages = make([]float32, len(row.Tokens))
			b.out.Rows = append(b.out.Rows, row)
		}
	}
	for i := range b.out.Spans {
		b.out.Spans[i].Row = to[b.out.Spans[i].Row]
	}
}
