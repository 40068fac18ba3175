package buffer

import (
	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/processor/trajectoryprocessor/internal/pack"
)

// Bytes held beside what Span.Size says, roughly.
const (
	spanCost  = 480 // the Span, its slots in slices and id sets
	traceCost = 640 // a trace, its unit, map entries
	slotCost  = 96  // one entry of the history index
)

func cost(it *Item) int64 { return spanCost + int64(it.Span.Size) + int64(it.Size) }

// trace is what is known of one trace.
type trace struct {
	id        trajectory.TraceID
	unit      *unit
	spans     []*trajectory.Span // nil while they are folded
	folded    pack.Spans
	unfolded  int64  // bytes when it was folded
	fresh     []Item // came with Raw and were not handed out yet
	known     idSet
	missing   idSet // parents that are named and not here
	unended   int
	firstSeen int64
	lastSeen  int64
	bytes     int64
	continues string // id of the trajectory that closed for good before
	touched   bool
	asked     uint64 // the last request for which unfolding answered
	overflow  bool   // a byte cap was hit

	rollout, conversation, tenant, key string

	agent  bool             // has an agent or workflow span
	root   bool             // has a root that is no call
	remote bool             // has a span called from another process that is no call
	call   *trajectory.Span // root that is a model call or a tool run
	whole  bool             // ended, as far as the tree can tell; see ended

	fragment          // its place in the message history
	part     *emitted // the trajectory that it was last handed out in
	revision int64    // the last of all trajectories that are named after it
}

// indexCost is what a fragment holds for its place in the history.
func (t *trace) indexCost() int64 { return int64(len(t.slots)) * slotCost }

func isCall(s *trajectory.Span) bool {
	return s.Role == trajectory.RoleModelSpan || s.Role == trajectory.RoleToolSpan
}

func (t *trace) add(it *Item, now int64) {
	s := it.Span
	t.spans = append(t.spans, s)
	if it.Raw != nil {
		t.fresh = append(t.fresh, *it)
	}
	t.lastSeen = now
	t.known.add(s.SpanID)
	t.missing.remove(s.SpanID)
	if s.End == 0 {
		t.unended++
	}
	t.agent = t.agent || s.Role == trajectory.RoleAgentSpan
	setFirst(&t.rollout, s.Rollout)
	setFirst(&t.conversation, s.Conversation)
	setFirst(&t.tenant, s.Tenant)
	switch {
	case s.ParentID == (trajectory.SpanID{}):
		if !isCall(s) {
			t.root = true
		} else if t.call == nil || s.Start < t.call.Start {
			t.call = s
		}
	case s.Remote:
		t.remote = t.remote || !isCall(s)
	case !t.known.has(s.ParentID):
		t.missing.add(s.ParentID)
	}
}

func setFirst(dst *string, v string) {
	if *dst == "" {
		*dst = v
	}
}

// replaceUnended swaps a span that was sent before it ended for its final form.
func (t *trace) replaceUnended(s *trajectory.Span) bool {
	if t.unended == 0 || s.End == 0 {
		return false
	}
	for i, old := range t.spans {
		if old.SpanID != s.SpanID {
			continue
		}
		if old.End != 0 {
			return false
		}
		s.Seq = old.Seq
		t.spans[i] = s
		t.unended--
		if t.call == old {
			t.call = s
		}
		return true
	}
	return false
}

// held is what the trace's unit holds, or the trace where it has none yet.
func (t *trace) held() int64 {
	if t.unit != nil {
		return t.unit.bytes
	}
	return t.bytes
}

// isFragment says whether the trace may be a part of a trajectory: its root is
// a call itself, and nothing in it tells where the trajectory begins and ends.
func (t *trace) isFragment() bool { return t.call != nil && !t.agent && !t.root }

// ended says whether the trace can be taken as whole: its root, or the span
// that another process called, has ended and no child is open. An open child is
// a parent that is named by a span and has not come itself. A parent that is
// missing and not remote is most likely still running, so it is waited for.
func (t *trace) ended() bool {
	return t.missing.len() == 0 && t.unended == 0 && (t.root || t.remote && t.call == nil)
}

// strip returns the structure of a span without what it says: it is too large
// to be held.
func strip(s *trajectory.Span) *trajectory.Span {
	bare := *s
	bare.Call, bare.Tool, bare.Facts, bare.In, bare.Out, bare.Attributes, bare.Size = nil, nil, nil, "", "", nil, 0
	bare.Missing = append(bare.Missing[:len(bare.Missing):len(bare.Missing)], trajectory.ReasonTruncated)
	return &bare
}
