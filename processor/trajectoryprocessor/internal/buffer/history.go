package buffer

import (
	"slices"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

const (
	// maxTies bounds how many calls with the same prompt and the same sign of a
	// reply are compared. More are a crowd: nothing tells them apart.
	maxTies = 16

	// maxLater bounds how many later calls look again for what they continue
	// when one more call that they may continue comes after them.
	maxLater = 1024
)

// fragment is the place of a trace in the message history of others. Fragments
// are linked one by one, later to earlier; what is linked is one unit. Links
// depend on the set of fragments only, not on the order in which they came.
type fragment struct {
	match
	who
	at       int      // position in pred.succ
	succ     []*trace // whose pred this is
	slots    []slot   // its entries in the index; nil = not in it
	prefixes []uint64
	turns    []*trajectory.Message
	seen     uint64 // the round of Buffer.fresh in which it was seen last
}

// match is what a fragment continues.
type match struct {
	pred      *trace // whose messages and reply its prompt begins with; nil = none
	depth     int    // turns of that prompt; 0 = nothing fits
	fit       trajectory.Fit
	ambiguous bool // several fit
}

// link puts a fragment into the history and joins it with what it continues
// and with what continues it. The work does not depend on how many fragments
// say the same: see maxTies.
func (b *Buffer) link(t *trace) {
	of := whose(t.call, t.tenant)
	if t.slots != nil && t.who == of {
		return
	}
	b.unlink(t) // a span of the trace told more
	t.who = of
	b.enter(t, b.keys(t))
	b.follow(t)
	b.followAgain(b.successors(t))
}

// unlink takes a trace out of the history.
func (b *Buffer) unlink(t *trace) {
	if t.slots == nil {
		return
	}
	b.leaveIndex(t)
	t.setPred(nil)
	orphans := slices.Clone(t.succ)
	for _, s := range orphans {
		s.setPred(nil)
	}
	t.fragment = fragment{}
	if t.unit != nil && t.unit.state == opened && len(t.unit.traces) > 1 {
		b.rebuild(t.unit)
	}
	for _, s := range orphans {
		if s.unit != nil && s.unit.state == opened {
			b.follow(s)
		}
	}
}

// setPred changes a link.
func (t *trace) setPred(p *trace) {
	if old := t.pred; old != nil {
		last := len(old.succ) - 1
		old.succ[t.at] = old.succ[last]
		old.succ[t.at].at = t.at
		old.succ[last] = nil
		old.succ = old.succ[:last]
	}
	t.pred = p
	if p != nil {
		t.at = len(p.succ)
		p.succ = append(p.succ, t)
	}
}

// follow finds what a fragment continues, anew.
func (b *Buffer) follow(t *trace) {
	m := b.find(t)
	old := t.pred
	if m.pred != old {
		t.setPred(m.pred)
	}
	t.match = m
	if m.pred == old {
		return
	}
	if old != nil {
		b.rebuild(t.unit)
	}
	if m.pred != nil {
		b.wind(b.merge(t.unit, m.pred.unit))
	}
}

// followAgain does what follow does for several fragments; a unit that loses
// some of them is rebuilt once.
func (b *Buffer) followAgain(list []*trace) {
	var torn []*unit
	changed := list[:0]
	for _, t := range list {
		m := b.find(t)
		if m.pred == t.pred {
			t.match = m
			continue
		}
		changed = append(changed, t)
		if t.pred == nil {
			continue
		}
		t.setPred(nil)
		if !t.unit.torn {
			t.unit.torn = true
			torn = append(torn, t.unit)
		}
	}
	for _, u := range torn {
		b.rebuild(u)
	}
	for _, t := range changed {
		b.follow(t)
	}
}

func (b *Buffer) find(t *trace) match {
	if t.call.Role == trajectory.RoleToolSpan {
		return match{pred: b.asker(t)}
	}
	return b.predecessor(t)
}

// predecessor finds the call that t continues: of those whose prompt and reply
// its prompt begins with the longest; on a tie the one that surely fits, then
// the one that had ended when t started. Several that are left in different
// units are ambiguous.
func (b *Buffer) predecessor(t *trace) match {
	for i := len(t.prefixes) - 2; i >= 0; i-- {
		if t.turns[i].Role == trajectory.RoleAssistant {
			continue // no call ends here
		}
		reply := answer(t.turns[i+1:])
		if len(reply) == 0 {
			continue
		}
		fits, fit, crowd := b.fitting(t, t.prefixes[i], reply)
		if len(fits) > 0 {
			m := match{depth: i + 1, fit: fit}
			m.pred, m.ambiguous = decide(t, fits)
			return m
		}
		if crowd {
			return match{depth: i + 1, ambiguous: true}
		}
	}
	return match{}
}

// fitting returns the calls with the given prompt whose reply fits best, and
// how well. crowd says that there were too many to compare.
func (b *Buffer) fitting(t *trace, prefix uint64, reply []*trajectory.Message) (fits []*trace, best trajectory.Fit, crowd bool) {
	b.round++
	for _, sign := range signs(reply) {
		list := b.story[b.key(t, earlierCall, prefix, sign)]
		if len(list) > maxTies {
			crowd = true
			continue
		}
		for _, s := range list {
			c := s.trace
			if c == t || !b.fresh(c) {
				continue
			}
			fit := b.follows(c, t)
			if fit > best {
				best, fits = fit, fits[:0]
			}
			if fit != trajectory.FitNo && fit == best {
				fits = append(fits, c)
			}
		}
	}
	return fits, best, crowd
}

// fresh says whether a trace was not seen before in this round.
func (b *Buffer) fresh(t *trace) bool {
	if t.seen == b.round {
		return false
	}
	t.seen = b.round
	return true
}

func (b *Buffer) follows(earlier, later *trace) trajectory.Fit {
	b.compared++
	return trajectory.Follows(earlier.call.Call, later.call.Call)
}

// successors finds the fragments for which a new one may change what they
// continue: a call may be continued by later calls, its tool runs belong to it.
func (b *Buffer) successors(t *trace) []*trace {
	if !t.continuable() {
		return nil
	}
	b.round++
	var out []*trace
	depth := len(t.turns)
	for _, sign := range signs(t.call.Call.Reply) {
		earlier := len(b.story[b.key(t, earlierCall, t.prefixes[depth-1], sign)])
		later := b.story[b.key(t, laterCall, t.prefixes[depth-1], sign)]
		if earlier > maxTies+1 || len(later) > maxLater {
			continue // it was a crowd before
		}
		crowd := earlier == maxTies+1 // since now
		for _, s := range later {
			l := s.trace
			if l == t || l.depth > depth || l.seen == b.round {
				continue
			}
			if !crowd {
				if fit := b.follows(t, l); fit == trajectory.FitNo || l.depth == depth && l.fit > fit {
					continue
				}
			}
			l.seen = b.round
			out = append(out, l)
		}
	}
	for id := range t.asksFor {
		if len(b.story[b.key(t, askedTool, 0, id)]) > 2 {
			continue // nobody's, before and now
		}
		if ran := b.story[b.key(t, ranTool, 0, id)]; len(ran) <= maxLater {
			for _, s := range ran {
				if b.fresh(s.trace) {
					out = append(out, s.trace)
				}
			}
		}
	}
	return out
}

func decide(t *trace, fits []*trace) (pred *trace, ambiguous bool) {
	if len(fits) > 1 {
		ended := slices.DeleteFunc(slices.Clone(fits), func(c *trace) bool { return c.call.End > t.call.Start })
		if len(ended) > 0 {
			fits = ended
		}
	}
	for _, c := range fits[1:] {
		if c.unit != fits[0].unit {
			return nil, true
		}
	}
	return slices.MaxFunc(fits, func(x, y *trace) int { return compareStart(x.call, y.call) }), false
}

func compareStart(x, y *trajectory.Span) int {
	if x.Start != y.Start {
		if x.Start < y.Start {
			return -1
		}
		return 1
	}
	return slices.Compare(x.SpanID[:], y.SpanID[:])
}

// asker finds the one call that asked for a tool run, nil if there is none or
// more than one, or if another user's call asked.
func (b *Buffer) asker(t *trace) *trace {
	if t.call.Tool == nil || t.call.Tool.CallID == "" {
		return nil
	}
	list := b.story[b.key(t, askedTool, 0, text(t.call.Tool.CallID))]
	if len(list) != 1 {
		return nil
	}
	asker := list[0].trace
	if u := asker.call.User; u != "" && t.call.User != "" && u != t.call.User {
		return nil
	}
	return asker
}
