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
		if p, ok := c.Prepared.(*prepared); ok {
			a.hub.countTrajectory(ctx, &p.head)
			w.prepared(p, c.Revision)
			w = a.pushFull(w)
			continue
		}
		t := a.trajectory(new(trajectory.Assembler), c.Spans, c.Options, now.UnixMicro())
		a.hub.countTrajectory(ctx, t)
		if a.hub.cfg.Emit == emitSpans {
			w.spans(c, t)
		} else {
			w.trajectory(t)
		}
		w = a.pushFull(w)
	}
	if w.trajectories > 0 {
		a.out.push(w.batch)
	}
}

// pushFull puts a batch that is full into the outbox and begins the next.
func (a *assembler) pushFull(w *writer) *writer {
	if w.bytes < batchBytes {
		return w
	}
	a.out.push(w.batch)
	return newWriter(w.scratch)
}

// trajectory assembles and scores at a time in µs.
func (a *assembler) trajectory(in *trajectory.Assembler, spans []*trajectory.Span, opt trajectory.Options, now int64) *trajectory.Trajectory {
	opt.Writer = a.hub.writer
	t := in.Assemble(spans, opt)
	if a.hub.engine != nil {
		a.hub.engine.Apply(t, now)
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
