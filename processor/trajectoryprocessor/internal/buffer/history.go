package buffer

import (
	"slices"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// maxTies bounds how many calls with one and the same prompt are compared when
// nothing unique tells them apart; more are ambiguous.
const maxTies = 16

// fragment is the place of a trace in the message history of others. Fragments
// are linked one by one, later to earlier; what is linked is one unit. Links
// depend on the set of fragments only, not on the order in which they came.
type fragment struct {
	pred      *trace   // whose messages and reply this one's prompt begins with
	succ      []*trace // whose pred this is
	ambiguous bool     // several fit
	slots     []slot   // its entries in the index; nil = not in it
	prefixes  []uint64
	turns     []*trajectory.Message
}

// link puts a fragment into the history and joins it with what it continues
// and with what continues it.
func (b *Buffer) link(t *trace) {
	if t.slots != nil {
		return
	}
	var keys []uint64
	var later []*trace
	if t.call.Role == trajectory.RoleToolSpan {
		keys = b.toolKeys(t)
	} else if t.call.Call != nil {
		keys, later = b.callKeys(t)
	}
	b.enter(t, keys)
	b.follow(t)
	for _, l := range later {
		if l.pred == nil || l.call.Role == trajectory.RoleToolSpan || len(l.pred.turns) <= len(t.turns) {
			b.follow(l)
		}
	}
}

// unlink takes a trace out of the history.
func (b *Buffer) unlink(t *trace) {
	if t.slots == nil {
		return
	}
	b.grow(t, -int64(len(t.slots))*slotCost)
	for i := range t.slots {
		s := &t.slots[i]
		list := b.story[s.key]
		last := len(list) - 1
		list[s.at] = list[last]
		list[s.at].at = s.at
		list[last] = nil
		if last == 0 {
			delete(b.story, s.key)
		} else {
			b.story[s.key] = list[:last]
		}
	}
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
	if t.pred != nil {
		if i := slices.Index(t.pred.succ, t); i >= 0 {
			t.pred.succ = slices.Delete(t.pred.succ, i, i+1)
		}
	}
	t.pred = p
	if p != nil {
		p.succ = append(p.succ, t)
	}
}

// follow finds what a fragment continues, anew.
func (b *Buffer) follow(t *trace) {
	var p *trace
	if t.call.Role == trajectory.RoleToolSpan {
		p, t.ambiguous = b.asker(t), false
	} else {
		p, t.ambiguous = b.predecessor(t)
	}
	old := t.pred
	if p == old {
		return
	}
	t.setPred(p)
	switch {
	case old != nil:
		b.rebuild(t.unit)
		if p != nil {
			b.wind(b.merge(t.unit, p.unit))
		}
	case p != nil:
		b.wind(b.merge(t.unit, p.unit))
	}
}

// predecessor finds the call that t continues: of those whose prompt and reply
// its prompt begins with the longest; on a tie the one that surely fits, then
// the one that had ended when t started. Several that are left in different
// units are ambiguous.
func (b *Buffer) predecessor(t *trace) (pred *trace, ambiguous bool) {
	for i := len(t.prefixes) - 2; i >= 0; i-- {
		reply := answer(t.turns[i+1:])
		if len(reply) == 0 {
			continue
		}
		fits, crowd := b.fitting(t, t.prefixes[i], reply)
		if len(fits) > 0 {
			return decide(t, fits)
		}
		if crowd {
			return nil, true
		}
	}
	return nil, false
}

// fitting returns the calls with the given prompt whose reply fits best. crowd
// says that there were too many to compare.
func (b *Buffer) fitting(t *trace, prefix uint64, reply []*trajectory.Message) (fits []*trace, crowd bool) {
	best := trajectory.FitNo
	for _, sign := range signs(reply) {
		list := b.story[b.key(t, earlierCall, prefix, sign)]
		if sign == anySign && len(list) > maxTies {
			return fits, len(fits) == 0
		}
		for _, s := range list {
			c := s.trace
			if c == t || slices.Contains(fits, c) {
				continue
			}
			fit := trajectory.Follows(c.call.Call, t.call.Call)
			if fit > best {
				best, fits = fit, fits[:0]
			}
			if fit != trajectory.FitNo && fit == best {
				fits = append(fits, c)
			}
		}
	}
	return fits, false
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
// more than one.
func (b *Buffer) asker(t *trace) *trace {
	if t.call.Tool == nil || t.call.Tool.CallID == "" {
		return nil
	}
	var found *trace
	for _, s := range b.story[b.key(t, askedTool, 0, text(t.call.Tool.CallID))] {
		if found != nil && s.trace != found {
			return nil
		}
		found = s.trace
	}
	return found
}
