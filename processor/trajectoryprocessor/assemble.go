package trajectoryprocessor

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/buffer"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// assemble puts trajectories into the outbox.
func (a *assembler) assemble(ctx context.Context, closed []buffer.Closed, now time.Time) {
	if len(closed) == 0 {
		return
	}
	w := newWriter(nil)
	for i := range closed {
		c := &closed[i]
		t := a.trajectory(c, now)
		a.hub.countTrajectory(ctx, t)
		if a.hub.cfg.Emit == emitSpans {
			w.spans(c, t)
		} else {
			w.trajectory(t)
		}
		if w.bytes >= batchBytes {
			a.out.push(w.batch)
			w = newWriter(w.scratch)
		}
	}
	if w.trajectories > 0 {
		a.out.push(w.batch)
	}
}

// trajectory assembles and scores.
func (a *assembler) trajectory(c *buffer.Closed, now time.Time) *trajectory.Trajectory {
	opt := c.Options
	opt.Writer = a.hub.writer
	t := trajectory.Assemble(c.Spans, opt)
	if a.hub.engine == nil {
		return t
	}
	t.Rewards = a.hub.engine.Score(t, t.Facts, now.UnixMicro())
	for _, r := range t.Rewards {
		// A rule that waits for facts is judged when it is trained on.
		if !r.Provisional && a.hub.engine.Masks(r) {
			t.Reasons = append(t.Reasons, trajectory.ReasonRewardMissing)
			t.Trainable = false
			break
		}
	}
	return t
}

// writer fills one batch.
type writer struct {
	batch
	scratch   []byte                         // for encoding
	byService map[string]ptrace.SpanSlice    // emit: trajectories
	byScope   map[*rawScope]ptrace.SpanSlice // emit: spans
}

func newWriter(scratch []byte) *writer {
	return &writer{
		scratch:   scratch,
		batch:     batch{td: ptrace.NewTraces()},
		byService: map[string]ptrace.SpanSlice{},
		byScope:   map[*rawScope]ptrace.SpanSlice{},
	}
}
