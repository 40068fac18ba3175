package buffer

import (
	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/processor/trajectoryprocessor/internal/pack"
)

// foldedCost is what a folded span holds beside its text: its place in the set
// of known ids.
const foldedCost = 24

// fold makes a trace that was handed out small. Few come back from their late
// window, and all of them are in memory for it. Fragments are not folded: later
// ones are compared with them.
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
	t.spans = t.folded.Unpack()
	t.folded = pack.Spans{}
	b.grow(t, t.unfolded-t.bytes)
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
