package buffer

import "github.com/tracegrad/tracegrad/internal/trajectory"

// Whole is a trace that became whole: most likely no more of its spans come,
// and once its grace is over it is handed out as it is.
//
// That is the best moment to do what needs its spans, while they are in the
// processor's caches anyway: see [Buffer.Prepare].
type Whole struct {
	Trace trajectory.TraceID

	// Spans are all of the trace; nil if it may still become something else than
	// a trajectory of its own. They must not be changed.
	Spans []*trajectory.Span

	// Options are those it will be handed out with, but for the revision.
	trajectory.Options
}

// Rested returns the traces that became whole since it was last called. The
// list is valid until the next call of any method.
func (b *Buffer) Rested() []Whole {
	list := b.rested
	b.rested = b.rested[:0]
	return list
}

// Prepare leaves what was made of a whole trace, of so many bytes. It comes back
// as Closed.Prepared, without the spans, if the trace is handed out as it is;
// if anything changes it is dropped. It may be called at any later time.
func (b *Buffer) Prepare(w Whole, made any, size int64) {
	t := b.traces[w.Trace]
	if t == nil || t.part != nil || t.prepared != nil || t.folded.None() || t.straggled || t.unit == nil || t.unit.state != opened {
		return
	}
	t.prepared, t.preparedSize = made, size
	b.grow(t, size)
}

func (b *Buffer) unprepare(t *trace) {
	if t.prepared != nil {
		b.grow(t, -t.preparedSize)
		t.prepared, t.preparedSize = nil, 0
	}
}

// preparedPart is the one part of a unit that is handed out as it was prepared.
func (u *unit) preparedPart(reason trajectory.CloseReason) ([]part, bool) {
	if len(u.traces) != 1 || reason != trajectory.CloseComplete {
		return nil, false
	}
	t := u.traces[0]
	if t.prepared == nil || t.part != nil {
		return nil, false
	}
	return []part{{traces: u.traces, prepared: t.prepared, count: t.spanCount, print: t.print}}, true
}
