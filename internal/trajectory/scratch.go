package trajectory

import "sync"

// scratch is what an assembly needs while it works and no longer: nothing of it is
// in the trajectory. It is used again.
type scratch struct {
	builder builder
	spans   []*Span
	parent  []int
	nodes   []node
	hashes  []uint64
	texts   []uint64
	known   map[*Message]int32
	facts   []messageFact
}

var scratches = sync.Pool{New: func() any { return &scratch{known: map[*Message]int32{}} }}

// maxScratch is the size, in spans or messages, of the largest assembly whose scratch
// is kept.
const maxScratch = 1024

// done gives it back, without a trace of what was assembled.
func (r *scratch) done() {
	b := &r.builder
	if len(b.tree.spans) > maxScratch || len(b.table.facts) > maxScratch {
		return
	}
	r.spans, r.parent, r.texts, r.facts = b.tree.spans, b.tree.parent, b.table.hashes, b.table.facts
	clear(r.spans)
	clear(r.nodes)
	clear(r.known)
	r.builder = builder{}
	scratches.Put(r)
}

// sized returns a slice of n zero elements, in place of s if that is large
// enough. s must be clear.
func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/2)
	}
	return s[:n]
}
