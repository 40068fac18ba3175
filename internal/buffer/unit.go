package buffer

import (
	"strings"

	"github.com/tracegrad/tracegrad/internal/pack"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

type state uint8

const (
	opened    state = iota
	closed          // handed out, in its late window
	truncated       // handed out at its byte cap, takes nothing more
)

// unit is what waits and closes as one: a trace, or traces that were joined.
type unit struct {
	serial    uint64 // of creation: breaks ties
	key       string // in Buffer.units; "" = none
	traces    []*trace
	state     state
	since     int64 // when it was opened or reopened
	last      int64 // arrival of its last new span
	bytes     int64
	open      int // traces that are not whole
	couplings int // traces that span links or sessions tie to another
	sessions  int // traces that stand for the records of a session
	gone      bool
	torn      bool // lost a link; is about to be rebuilt

	prev, next *unit // in Buffer.open or Buffer.closed
	due        int64 // when the clock must look at it
	ringsAt    int64 // when the clock will; never after due
	slot       int   // in the clock's heap; -1 = not in it
}

// fragments says whether the unit holds fragments, which may be several
// trajectories. A rollout id, configured attributes or span links say that it is
// one.
func (u *unit) fragments() bool {
	return strings.HasPrefix(u.key, keyConversation) || u.sessions > 0 && (u.key == "" || strings.HasPrefix(u.key, keyConversation)) || u.key == "" && u.couplings == 0 && u.traces[0].isFragment()
}

// ended says whether every trace is whole. Where attributes join, more traces
// can follow at any time.
func (u *unit) ended() bool {
	return u.open == 0 && !strings.HasPrefix(u.key, keyAttributes) && !strings.HasPrefix(u.key, keyLate)
}

func (b *Buffer) newUnit(key string) *unit {
	b.seq++
	u := &unit{serial: b.seq, key: key, since: b.now, last: b.now, slot: -1}
	b.open.pushBack(u)
	return u
}

func (b *Buffer) join(t *trace, u *unit) {
	t.unit = u
	u.traces = append(u.traces, t)
	u.bytes += t.bytes
	if u.state != opened {
		b.residue += t.bytes
	}
	if t.cause != nil {
		u.couplings++
	}
	if t.session != nil {
		u.sessions++
	}
	t.whole = t.ended()
	if !t.whole {
		u.open++
	}
}

// settle brings the unit's count of open traces up to date.
func (u *unit) settle(t *trace) {
	if whole := t.ended(); whole != t.whole {
		t.whole = whole
		if whole {
			u.open--
		} else {
			u.open++
		}
	}
}

// leave takes a trace out of its unit. A unit without traces is gone.
func (b *Buffer) leave(t *trace) {
	u := t.unit
	if u == nil {
		return
	}
	for i, x := range u.traces {
		if x == t {
			u.traces = append(u.traces[:i], u.traces[i+1:]...)
			break
		}
	}
	u.bytes -= t.bytes
	if u.state != opened {
		b.residue -= t.bytes
	}
	if !t.whole {
		u.open--
	}
	if t.cause != nil {
		u.couplings--
	}
	if t.session != nil {
		u.sessions--
	}
	t.unit = nil
	if len(u.traces) == 0 {
		b.drop(u)
	}
}

// drop forgets a unit, not its traces.
func (b *Buffer) drop(u *unit) {
	if u.state == opened {
		b.open.remove(u)
	} else {
		b.closed.remove(u)
	}
	b.clock.remove(u)
	u.gone = true
	if b.units[u.key] == u { // not if it was truncated and another took its place
		delete(b.units, u.key)
	}
}

// merge joins two units into one and returns it.
func (b *Buffer) merge(x, y *unit) *unit {
	if x == y {
		return x
	}
	b.reopen(x)
	b.reopen(y)
	if len(x.traces) < len(y.traces) {
		x, y = y, x
	}
	for _, t := range y.traces {
		t.unit = x
	}
	x.traces = append(x.traces, y.traces...)
	x.bytes += y.bytes
	x.open += y.open
	x.couplings += y.couplings
	x.sessions += y.sessions
	x.since, x.last = min(x.since, y.since), max(x.last, y.last)
	b.drop(y)
	return x
}

// rebuild splits a unit into what is still tied together: fragments by their
// messages, traces by span links.
func (b *Buffer) rebuild(u *unit) {
	if u.state != opened {
		b.residue -= u.bytes
	}
	b.drop(u)
	for _, t := range u.traces {
		n := b.newUnit("")
		n.since, n.last = u.since, u.last
		b.join(t, n)
	}
	for _, t := range u.traces {
		if t.pred != nil {
			b.merge(t.unit, t.pred.unit)
		}
		if t.cause != nil {
			b.merge(t.unit, t.cause.unit)
		}
	}
	for _, t := range u.traces {
		b.wind(t.unit)
	}
}

// reopen makes a closed unit wait again.
func (b *Buffer) reopen(u *unit) {
	if u.state != closed {
		return
	}
	b.tally.Reopened++
	b.closed.remove(u)
	b.residue -= u.bytes
	u.state, u.since = opened, b.now
	b.open.pushBack(u)
}

// truncate closes a unit at its byte cap. It takes nothing more. A conversation
// goes on with its next trace; a rollout or key does not: it is one trajectory.
func (b *Buffer) truncate(u *unit) {
	b.close(u, trajectory.CloseTruncated)
	if b.cfg.LateWindow <= 0 {
		return // forgotten already
	}
	u.state = truncated
	if strings.HasPrefix(u.key, keyConversation) {
		delete(b.units, u.key)
	}
	for _, t := range u.traces {
		b.empty(t)
	}
}

// empty drops what a trace of a truncated unit holds, but for its name.
func (b *Buffer) empty(t *trace) {
	b.unlink(t)
	b.unprepare(t)
	b.grow(t, traceCost-t.bytes)
	t.spans, t.folded, t.fresh, t.unended, t.known, t.missing, t.call = nil, pack.Spans{}, nil, nil, idSet{}, idSet{}, nil
}

// expire forgets a unit after its late window; its traces are remembered by id.
func (b *Buffer) expire(u *unit) {
	for _, t := range u.traces {
		b.unlink(t)
		if t.part == nil && t.session == nil {
			b.tally.NoAttempt += int64(len(t.all()))
		}
		switch {
		case t.continues != "":
			b.past.add(t.id, t.continues)
		case t.part != nil:
			b.past.add(t.id, t.part.id)
			if t.rollout != "" && !b.cfg.ByKey {
				b.past.add(rolloutAlias(t), t.part.id)
			}
		}
		b.stopWaiting(t)
		b.dismiss(t)
		delete(b.traces, t.id)
		b.release(t)
		b.bytes -= t.bytes
		t.unit = nil
	}
	b.residue -= u.bytes
	b.drop(u)
}
