package buffer

import (
	"github.com/tracegrad/tracegrad/internal/pack"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// foldedCost is what a folded span holds beside its text: its place in the set
// of known ids.
const foldedCost = 24

// foldWhole makes a trace small that is whole and waits for stragglers, while it
// is in the processor's caches anyway. If one comes it stays as it is.
func (b *Buffer) foldWhole(t *trace) {
	if t.whole && !t.straggled && !t.unit.fragments() {
		spans := t.spans
		if b.fold(t); t.folded.None() {
			return
		}
		w := Whole{Trace: t.id}
		if t.unit.key == "" && t.part == nil && t.continues == "" && !t.records && !t.ambiguous && t.link == nil && !t.coupled() && attempt(spans) {
			t.spanCount, t.print = len(spans), fingerprint(spans)
			w.Spans, w.Options = spans, trajectory.Options{
				ID: trajectory.IDOf(t.id.String()), CloseReason: trajectory.CloseComplete, FirstSeenAt: t.firstSeen / 1000,
			}
		}
		b.rested = append(b.rested, w)
	}
}

// fold makes a trace small: it waits, or was handed out. Few come back from
// their late window, and all of them are in memory for it. Fragments are not
// folded: later ones are compared with them.
func (b *Buffer) fold(t *trace) {
	if len(t.spans) == 0 || len(t.fresh) > 0 || t.call != nil || len(t.unended) > 0 {
		return
	}
	t.folded, t.unfolded = b.packer.Pack(t.spans), t.bytes
	b.grow(t, traceCost+foldedCost*int64(len(t.spans))+t.folded.Size()-t.bytes)
	t.spans = nil
}

// unfold takes the spans of a trace out again.
func (b *Buffer) unfold(t *trace) {
	if t.folded.None() {
		return
	}
	b.unprepare(t)
	t.spans, t.straggled = t.folded.Unpack(), true
	t.folded = pack.Spans{}
	b.grow(t, t.unfolded-t.bytes)
}

// all is the spans of a trace, which stays folded.
func (t *trace) all() []*trajectory.Span {
	if t.folded.None() {
		return t.spans
	}
	return t.folded.Unpack()
}

// unfolding is how many bytes more the trace takes once it is unfolded; for the
// items of one request it is asked for each, and answers once.
func (b *Buffer) unfolding(t *trace) int64 {
	if t == nil || t.folded.None() || t.asked == b.request {
		return 0
	}
	t.asked = b.request
	return t.unfolded - t.bytes
}

// foldAll folds the traces of a unit that begins its late window.
func (b *Buffer) foldAll(u *unit, reason trajectory.CloseReason) {
	if reason == trajectory.CloseTruncated || b.flushing {
		return // nothing is kept
	}
	for _, t := range u.traces {
		b.fold(t)
	}
}
