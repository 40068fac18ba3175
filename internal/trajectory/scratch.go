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

// results is what steps and messages of an assembled trajectory are made of.
type results struct {
	steps    []Step
	calls    []ModelCall
	runs     []ToolRun
	parents  []int
	messages []Message
	indices  []int32
}

// Assembler assembles one trajectory after the other in the same room. The zero
// value is ready. It is not safe for concurrent use.
type Assembler struct{ results results }

// reset takes back what the last trajectory was made of.
func (r *results) reset() {
	if cap(r.steps) > maxScratch || cap(r.messages) > maxScratch || cap(r.indices) > maxScratch*maxScratch {
		*r = results{}
		return
	}
	clear(r.steps)
	clear(r.calls)
	clear(r.runs)
	clear(r.messages)
	r.indices = r.indices[:0]
}

// ints is a list of n indices.
func (r *results) ints(n int) []int32 {
	if cap(r.indices)-len(r.indices) < n {
		r.indices = make([]int32, 0, max(2*cap(r.indices), n, 64))
	}
	from := len(r.indices)
	r.indices = r.indices[:from+n]
	return r.indices[from : from+n : from+n]
}

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
