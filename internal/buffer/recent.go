package buffer

import (
	"encoding/binary"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// recentWays spans are remembered of traces that share one of recentSets sets.
const (
	recentSets = 1 << 13
	recentWays = 8
)

// recent remembers the last spans that went by, in fixed memory (about 4 MB
// once used): agents' traces can begin with a span that does not look like one,
// and requests can arrive in any order. A span takes the place of the oldest in
// its set.
type recent struct {
	spans *[recentSets][recentWays]passed
	next  *[recentSets]uint8
}

type passed struct {
	trace      trajectory.TraceID
	span       trajectory.SpanID
	parent     trajectory.SpanID
	start, end int64
	remote     bool
}

func (r *recent) set(id trajectory.TraceID) int {
	// Trace ids are random in their last 8 bytes at least.
	h := binary.LittleEndian.Uint64(id[8:]) * 0x9E3779B97F4A7C15
	return int(h >> (64 - 13))
}

func (r *recent) note(p passed) {
	if r.spans == nil {
		r.spans, r.next = new([recentSets][recentWays]passed), new([recentSets]uint8)
	}
	set := r.set(p.trace)
	r.spans[set][r.next[set]] = p
	r.next[set] = (r.next[set] + 1) % recentWays
}

func (r *recent) of(id trajectory.TraceID, visit func(*passed)) {
	if r.spans == nil {
		return
	}
	set := &r.spans[r.set(id)]
	for i := range set {
		if set[i].trace == id {
			visit(&set[i])
		}
	}
}

func (p *passed) asSpan(seq uint64) *trajectory.Span {
	return &trajectory.Span{TraceID: p.trace, SpanID: p.span, ParentID: p.parent, Start: p.start, End: p.end, Remote: p.remote, Seq: seq}
}

// Passed calls visit for the spans of a trace that went by not long ago, if no
// span of the trace is held.
func (b *Buffer) Passed(id trajectory.TraceID, visit func(span, parent trajectory.SpanID, remote bool, start, end int64)) {
	if !b.Knows(id) {
		b.recent.of(id, func(p *passed) { visit(p.span, p.parent, p.remote, p.start, p.end) })
	}
}
