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
