package buffer

import (
	"github.com/tracegrad/tracegrad/internal/pack"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// Bytes held beside what Span.Size says, roughly.
const (
	spanCost  = 480 // the Span, its slots in slices and id sets
	traceCost = 640 // a trace, its unit, map entries
	slotCost  = 96  // one entry of the history index
	turnCost  = 16  // one message of a prompt: its hash, its place in lists
)

// cost is what an item holds. Sizes below zero (a decoder may share what it
// counted before) hold nothing.
func cost(it *Item) int64 { return spanSize(it.Span) + int64(max(it.Size, 0)) }

func spanSize(s *trajectory.Span) int64 {
	size := spanCost + int64(max(s.Size, 0))
	if s.Call != nil {
		size += turnCost * int64(len(s.Call.Prompt)+len(s.Call.Reply))
	}
	return size
}

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
	unended   map[trajectory.SpanID]unended
	firstSeen int64
	lastSeen  int64
	bytes     int64
	continues string // id of the trajectory that closed for good before
	touched   bool
	asked     uint64 // the last request for which unfolding answered
	straggled bool   // a span came when it was folded
	overflow  bool   // a byte cap was hit
	records   bool   // has log records

	rollout, conversation, tenant, key string

	piece  bool             // says itself that it is a piece of its session
	agent  bool             // has an agent or workflow span
	root   bool             // has a root that is no call
	state  bool             // has a root that is structure and shows a conversation
	remote bool             // has a span called from another process that is no call
	rooted bool             // has a span without a parent, or one called from another process
	call   *trajectory.Span // root that is a model call or a tool run, with its records
	whole  bool             // ended, as far as the tree can tell; see ended

	logs []uint64 // entries of the owner's log that hold its spans

	session *session            // whose records it stands for; nil = it is a trace
	seats   []seat              // its places in sessions
	parts   map[string]*emitted // trajectories of nothing but records that were handed out

	fragment            // its place in the message history
	coupling            // its place among what span links tie together
	part     *emitted   // the trajectory that it was last handed out in
	out      []*emitted // all of them that stand

	prepared     any // by Prepare; nil = nothing
	preparedSize int64
	spanCount    int    // of what is prepared
	print        uint64 // as well: fingerprint

	revision int64 // the last of all trajectories that are named after it
}

// indexCost is what a fragment holds for its place in the history.
func (t *trace) indexCost() int64 {
	return slotCost*int64(len(t.slots)) + turnCost*int64(len(t.prefixes))
}

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
		if t.unended == nil {
			t.unended = map[trajectory.SpanID]unended{}
		}
		t.unended[s.SpanID] = unended{len(t.spans) - 1, len(t.fresh) - 1}
	}
	t.learn(s)
}

// learn takes from a span what it tells about its trace.
func (t *trace) learn(s *trajectory.Span) {
	setFirst(&t.rollout, s.Rollout)
	setFirst(&t.conversation, s.Conversation)
	setFirst(&t.tenant, s.Tenant)
	if s.Record != trajectory.RecordNone {
		t.records = true
		if s.ParentID != (trajectory.SpanID{}) && !t.known.has(s.ParentID) {
			t.missing.add(s.ParentID)
		}
		return
	}
	t.piece = t.piece || s.Piece
	t.agent = t.agent || s.Role == trajectory.RoleAgentSpan
	if s.Link != nil && (t.link == nil || s.Start < t.link.Start) && t.cause == nil && !t.waits {
		t.link = s
	}
	t.rooted = t.rooted || s.ParentID == (trajectory.SpanID{}) || s.Remote
	switch {
	case s.ParentID == (trajectory.SpanID{}):
		if trajectory.ShowsState(s) {
			t.state = true
		} else if !isCall(s) {
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

// unended is a span that was sent before it ended.
type unended struct {
	at    int // in trace.spans
	fresh int // in trace.fresh, where it came with Raw and was not handed out yet
}

// unfinished is the form in which a span was sent before it ended and what it
// holds, nil if s is no news.
func (t *trace) unfinished(s *trajectory.Span) (old *trajectory.Span, holds int64) {
	u, ok := t.unended[s.SpanID]
	if !ok || s.End == 0 {
		return nil, 0
	}
	old = t.spans[u.at]
	if raw := t.raw(u, old); raw != nil {
		holds = int64(max(raw.Size, 0))
	}
	return old, holds + spanSize(old)
}

func (t *trace) raw(u unended, of *trajectory.Span) *Item {
	if u.fresh >= 0 && u.fresh < len(t.fresh) && t.fresh[u.fresh].Span == of {
		return &t.fresh[u.fresh]
	}
	return nil
}

// finish swaps a span for its final form. Without Raw what it had stays.
func (t *trace) finish(old *trajectory.Span, it *Item, now int64) {
	s := it.Span
	s.Seq = old.Seq
	u := t.unended[s.SpanID]
	delete(t.unended, s.SpanID)
	t.spans[u.at] = s
	t.lastSeen = now
	switch raw := t.raw(u, old); {
	case raw != nil && it.Raw == nil:
		raw.Span = s
	case raw != nil:
		*raw = *it
	case it.Raw != nil:
		t.fresh = append(t.fresh, *it)
	}
	if t.call == old {
		t.call = nil
	}
	t.learn(s)
}

// held is what the trace's unit holds, or the trace where it has none yet.
func (t *trace) held() int64 {
	if t.unit != nil {
		return t.unit.bytes
	}
	return t.bytes
}

// isFragment says whether the trace may be a part of a trajectory: its root is
// a call itself, and nothing in it tells where the trajectory begins and ends;
// or it says so.
func (t *trace) isFragment() bool {
	switch {
	case (t.piece || t.session != nil) && t.conversation != "":
		return true
	case t.state:
		return t.conversation != "" && t.known.len() == 1
	}
	return t.call != nil && !t.agent && !t.root
}

// ended says whether the trace can be taken as whole: its root, or the span
// that another process called, has ended and no child is open. An open child is
// a parent that is named by a span and has not come itself. A parent that is
// missing and not remote is most likely still running, so it is waited for.
func (t *trace) ended() bool {
	return t.missing.len() == 0 && len(t.unended) == 0 && (t.root || t.state && !t.isFragment() || t.remote && t.call == nil)
}

// strip returns the structure of a span without what it says: it is too large
// to be held.
func strip(s *trajectory.Span) *trajectory.Span {
	bare := *s
	bare.Call, bare.Tool, bare.Facts, bare.In, bare.Out, bare.Attributes, bare.Size = nil, nil, nil, "", "", nil, 0
	bare.Missing = append(bare.Missing[:len(bare.Missing):len(bare.Missing)], trajectory.ReasonTruncated)
	return &bare
}
