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
	w := a.writer(now)
	for i := range closed {
		c := &closed[i]
		w.note(c)
		if p, ok := c.Prepared.(*prepared); ok {
			a.hub.countTrajectory(ctx, &p.head)
			w.prepared(p, c.Revision)
			w = a.pushFull(w, now)
			continue
		}
		t := a.trajectory(new(trajectory.Assembler), c.Spans, c.Options, now.UnixMicro())
		a.hub.countTrajectory(ctx, t)
		if a.hub.cfg.Emit == emitSpans {
			w.spans(c, t)
		} else {
			w.trajectory(t)
		}
		w = a.pushFull(w, now)
	}
	switch {
	case w.trajectories == 0:
		a.unused(w)
	case a.durable != nil:
		a.fill(w, now)
	default:
		a.out.push(w.batch)
	}
}

// pushFull puts a batch that is full into the outbox and begins the next.
func (a *assembler) pushFull(w *writer, now time.Time) *writer {
	full := int64(batchBytes)
	if a.durable != nil {
		full = a.most() / 2
	}
	if w.bytes < full {
		return w
	}
	a.out.push(w.batch)
	if a.durable != nil {
		a.durable.filling = nil
		a.out.waiting.Store(0)
	}
	return a.writer(now)
}

// writer is for trajectories that are handed out now. With storage it goes on
// with the batch that is not full yet.
func (a *assembler) writer(now time.Time) *writer {
	d := a.durable
	if d == nil {
		return newWriter(nil)
	}
	w := d.filling
	if w == nil {
		w = newWriter(nil)
	}
	w.handed = append(w.handed, newHanded(d.store.reserve(), now.UnixNano()))
	return w
}

// unused gives the number back that an empty batch has reserved.
func (a *assembler) unused(w *writer) {
	for _, h := range w.handed {
		a.durable.free = append(a.durable.free, h.number)
	}
}

// fill leaves a batch to be filled further.
func (a *assembler) fill(w *writer, now time.Time) {
	d := a.durable
	if d.filling == nil {
		d.since = now
	}
	d.filling = w
	a.out.waiting.Store(w.bytes)
}

// flushOld puts the batch into the outbox that is not full and has waited for
// long.
func (a *assembler) flushOld(now time.Time) {
	if d := a.durable; d != nil && d.filling != nil && now.Sub(d.since) >= a.hub.cfg.FlushInterval {
		a.pushFilling()
	}
}

func (a *assembler) pushFilling() {
	if d := a.durable; d.filling != nil {
		a.out.push(d.filling.batch)
		d.filling = nil
		a.out.waiting.Store(0)
	}
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

// note lists a trajectory among those that were handed out now, where somebody
// keeps the list.
func (w *writer) note(c *buffer.Closed) {
	if n := len(w.handed); n > 0 {
		w.handed[n-1].add(c)
	}
}

func newWriter(scratch []byte) *writer {
	return &writer{
		scratch:   scratch,
		batch:     batch{td: ptrace.NewTraces()},
		byService: map[string]ptrace.SpanSlice{},
		byScope:   map[*rawScope]ptrace.SpanSlice{},
	}
}
