package buffer

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// Closed is one trajectory that is ready to be assembled.
type Closed struct {
	trajectory.Options // Writer is not set

	// Spans is the whole trajectory. The spans are shared with the Buffer and
	// must not be changed.
	Spans []*trajectory.Span

	// Prepared is what Prepare left for the trajectory: then Spans is nil.
	Prepared any

	// Print tells sets of spans apart: of two revisions with the same one nothing
	// was added. It is the same in every run; 0 for what was retired.
	Print uint64

	// Fresh holds the items that came with Raw and were not handed out before.
	Fresh []Item
}

// emitted is the memory of a trajectory that was handed out.
type emitted struct {
	id        string
	named     trajectory.TraceID // the trace that gave the id; zero for rollouts and late spans
	unit      *unit              // that handed it out last
	spans     int
	sum       uint64 // of the span ids, in any order
	revision  int64
	firstSeen int64
	early     bool // closed before it was whole

	stub *trajectory.Span // of records alone: that there was something
}

// part is one trajectory of a unit that is being handed out.
type part struct {
	spans  []*trajectory.Span
	traces []*trace // of the spans, by start
	was    *emitted // nil = never handed out
	id     string
	named  trajectory.TraceID

	prepared any // then spans is nil
	count    int // of spans
	print    uint64
}

// handOut makes a unit's trajectories ready: those that are new or changed
// since the unit was handed out last.
func (b *Buffer) handOut(u *unit, reason trajectory.CloseReason) {
	parts, ok := u.preparedPart(reason)
	if !ok {
		parts = slices.DeleteFunc(b.parts(u), func(p part) bool { return p.silent() })
	}
	claimed := map[*emitted]bool{}
	taken := map[string]bool{} // ids that must not be given anew
	for _, t := range u.traces {
		for _, e := range t.out {
			taken[e.id] = true
		}
	}
	for i := range parts {
		b.name(&parts[i], u, claimed, taken)
	}
	b.retire(u, parts, claimed, reason)
	b.retireRecords(u, parts, reason)
	for i := range parts {
		p := &parts[i]
		b.handOutPart(u, p, b.partReason(u, p, i == len(parts)-1, reason))
	}
}

// parts cuts a unit into trajectories.
func (b *Buffer) parts(u *unit) []part {
	var all []*trajectory.Span
	for _, t := range u.traces {
		all = append(all, t.all()...)
	}
	all = trajectory.Join(all)
	groups := [][]*trajectory.Span{all}
	switch {
	case u.sessions > 0 && u.fragments():
		groups = trajectory.CutSession(all)
	case u.fragments() && len(all) > 1:
		groups = trajectory.Cut(all)
	}
	parts := make([]part, 0, len(groups))
	for _, g := range groups {
		if len(g) == 0 {
			continue
		}
		p := part{spans: g, count: len(g), print: fingerprint(g)}
		slices.SortStableFunc(g, func(x, y *trajectory.Span) int {
			return cmp.Or(cmp.Compare(x.Start, y.Start), slices.Compare(x.SpanID[:], y.SpanID[:]))
		})
		seen := map[*trace]bool{}
		for _, s := range g {
			if t := b.traces[s.TraceID]; t != nil && !seen[t] {
				seen[t] = true
				p.traces = append(p.traces, t)
			}
		}
		if slices.ContainsFunc(p.traces, func(t *trace) bool { return t.session == nil }) {
			p.traces = slices.DeleteFunc(p.traces, func(t *trace) bool { return t.session != nil })
		}
		parts = append(parts, p)
	}
	return parts
}

// silent says whether the part is no attempt and nothing asks for its spans.
func (p *part) silent() bool {
	kept := slices.ContainsFunc(p.traces, func(t *trace) bool { return len(t.fresh) > 0 || t.part != nil || len(t.parts) > 0 })
	return !kept && !attempt(p.spans)
}

// attempt says whether spans show an attempt at anything: an agent at work, a
// call, something that was said or observed. An agent that was set up and not
// run, or messages between agents that nothing came of, are none.
func attempt(spans []*trajectory.Span) bool {
	return slices.ContainsFunc(spans, func(s *trajectory.Span) bool {
		return s.Role != trajectory.RoleOther || s.In != "" || s.Out != "" || s.Error != "" || s.Rollout != "" || len(s.Facts) > 0
	})
}

// mayClaim says whether u may hand out e again: e was u's, or its unit is gone,
// and the trace that it is named after is in no other unit.
func (b *Buffer) mayClaim(u *unit, e *emitted) bool {
	if e.unit != u && !e.unit.gone {
		return false
	}
	t := b.traces[e.named]
	return t == nil || t.unit == u
}

// name finds the id of a part that has none: the id under which one of its
// traces was handed out, else that of its first trace by start. A rollout has
// its own.
func (b *Buffer) name(p *part, u *unit, claimed map[*emitted]bool, taken map[string]bool) {
	first := p.traces[0]
	own := ""
	if first.session != nil {
		p.id = first.sessionPart(p.spans)
		p.was = first.parts[p.id]
		return
	}
	switch {
	case first.continues != "":
		own = trajectory.IDOf(first.continues + "/" + p.spans[0].SpanID.String())
	case strings.HasPrefix(u.key, keyRollout):
		own = first.rolloutID()
	}
	for _, t := range p.traces {
		for _, e := range t.out {
			if p.was == nil && !claimed[e] && b.mayClaim(u, e) && (own == "" || e.id == own || first.continues != "") {
				p.was, p.id = e, e.id
				claimed[e] = true
			}
		}
	}
	if p.id != "" {
		return
	}
	p.id = own
	for _, t := range p.traces {
		if id := trajectory.IDOf(t.id.String()); p.id == "" && !taken[id] {
			p.id, p.named = id, t.id
		}
	}
	if p.id == "" { // one trace in several parts
		p.named = first.id
		p.id = trajectory.IDOf(first.id.String() + "/" + p.spans[0].SpanID.String())
	}
	taken[p.id] = true
}

// retire hands out once more, as duplicates, what is now part of another
// trajectory: two that turned out to be one.
func (b *Buffer) retire(u *unit, parts []part, claimed map[*emitted]bool, reason trajectory.CloseReason) {
	gone := map[*emitted]int{} // → its entry in b.ready
	seen := map[*trace]bool{}  // one trace may be in several parts
	for i := range parts {
		p := &parts[i]
		for _, t := range p.traces {
			if seen[t] {
				continue
			}
			seen[t] = true
			t.out = slices.DeleteFunc(t.out, func(e *emitted) bool {
				if claimed[e] || !b.mayClaim(u, e) {
					return false
				}
				at, ok := gone[e]
				if !ok {
					at = len(b.ready)
					gone[e] = at
					b.ready = append(b.ready, Closed{Options: trajectory.Options{
						ID: e.id, Revision: b.revise(e, true), CloseReason: reason, Continues: p.id,
						FirstSeenAt: e.firstSeen / 1000, Reasons: []trajectory.Reason{trajectory.ReasonDuplicate},
					}})
				}
				b.ready[at].Spans = append(b.ready[at].Spans, t.all()...)
				return true
			})
		}
	}
}

// revise returns the next revision: the time in µs, forced to rise, also for
// another trajectory that takes the name of the same trace. Where no root was
// seen it is the time in ms: what is left of a run that was handed out before a
// restart must not outrank it. So it is with Config.Yields.
func (b *Buffer) revise(e *emitted, rooted bool) int64 {
	at := b.now / 1000
	if !rooted || b.cfg.Yields {
		at /= 1000
	}
	named := b.traces[e.named]
	if named != nil {
		e.revision = max(e.revision, named.revision)
	}
	e.revision = max(at, e.revision+1)
	if named != nil {
		named.revision = e.revision
	}
	return e.revision
}

// partReason is the close reason of one part. Of a conversation that is closed
// early only what is still going on is early.
func (b *Buffer) partReason(u *unit, p *part, last bool, reason trajectory.CloseReason) trajectory.CloseReason {
	if p.traces[0].continues != "" {
		return trajectory.CloseLate
	}
	if reason == trajectory.CloseIdle && u.sessions > 0 && u.key == "" && p.ended() {
		return trajectory.CloseComplete // only records of its session were waited for
	}
	if !early(reason) || !u.fragments() {
		return reason
	}
	if p.traces[0].session != nil && !last {
		return trajectory.CloseIdle // the next turn began
	}
	seen := int64(0)
	for _, t := range p.traces {
		if t.overflow {
			return reason
		}
		seen = max(seen, t.lastSeen)
	}
	switch {
	case seen+int64(b.cfg.Idle) <= b.now:
		return trajectory.CloseIdle
	case !last && seen+int64(b.cfg.RootGrace) <= b.now:
		return trajectory.CloseComplete
	}
	return reason
}

func early(r trajectory.CloseReason) bool {
	switch r {
	case trajectory.CloseMaxAge, trajectory.CloseTruncated, trajectory.CloseEvicted, trajectory.CloseShutdown:
		return true
	}
	return false
}

// ended says whether all traces of the part are whole.
func (p *part) ended() bool {
	return !slices.ContainsFunc(p.traces, func(t *trace) bool { return !t.whole })
}

func (p *part) rooted() bool {
	return slices.ContainsFunc(p.traces, func(t *trace) bool { return t.rooted })
}

// remember notes in what a trace was handed out.
func (b *Buffer) remember(t *trace, e *emitted, spans []*trajectory.Span) {
	if t.session == nil {
		t.part = e
		if !slices.Contains(t.out, e) {
			t.out = append(t.out, e)
		}
		return
	}
	if t.parts == nil {
		t.parts = map[string]*emitted{}
	}
	if t.parts[e.id] == nil {
		s := spans[0]
		e.stub = &trajectory.Span{
			TraceID: s.TraceID, SpanID: s.SpanID, Start: s.Start, End: s.End, Service: s.Service, Conversation: s.Conversation,
			Harness: trajectory.Harness{Told: true, Session: true},
		}
		t.parts[e.id] = e
		b.grow(t, spanCost)
	}
}

// handOutPart makes one trajectory ready, unless it was handed out as it is.
func (b *Buffer) handOutPart(u *unit, p *part, reason trajectory.CloseReason) {
	e := p.was
	if e == nil {
		e = &emitted{id: p.id, named: p.named, firstSeen: p.traces[0].firstSeen}
		for _, t := range p.traces {
			e.firstSeen = min(e.firstSeen, t.firstSeen)
		}
	}
	e.unit = u
	c := Closed{Spans: p.spans, Prepared: p.prepared}
	ambiguous := false
	for _, t := range p.traces {
		b.remember(t, e, p.spans)
		ambiguous = ambiguous || t.ambiguous
		for i := range t.fresh {
			b.grow(t, -int64(max(t.fresh[i].Size, 0)))
		}
		c.Fresh = append(c.Fresh, t.fresh...)
		t.fresh = nil
		b.unprepare(t)
	}
	sum := p.print
	if p.was != nil && e.sum == sum && e.spans == p.count && (!e.early || early(reason)) {
		return
	}
	e.sum, e.spans, e.early = sum, p.count, early(reason)
	c.Print = sum
	c.Options = trajectory.Options{
		ID: e.id, Revision: b.revise(e, p.rooted()), CloseReason: reason,
		Continues: p.traces[0].continues, FirstSeenAt: e.firstSeen / 1000,
	}
	if ambiguous {
		c.Reasons = []trajectory.Reason{trajectory.ReasonAmbiguous}
	}
	b.ready = append(b.ready, c)
}

// fingerprint identifies a set of spans.
func fingerprint(spans []*trajectory.Span) uint64 {
	sum := uint64(0)
	for _, s := range spans {
		h := binary.LittleEndian.Uint64(s.TraceID[:8]) ^ binary.LittleEndian.Uint64(s.TraceID[8:])*31
		h = mix(h, binary.LittleEndian.Uint64(s.SpanID[:])+s.Records)
		sum += mix(h, uint64(s.End))
	}
	return sum
}

// mix is one round of a 64-bit hash.
func mix(h, v uint64) uint64 {
	h ^= v + 0x9E3779B97F4A7C15 + h<<6 + h>>2
	h *= 0xBF58476D1CE4E5B9
	return h ^ h>>31
}
