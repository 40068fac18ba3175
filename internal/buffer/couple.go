package buffer

import "github.com/tracegrad/tracegrad/internal/trajectory"

// coupling is the place of a trace among those that span links tie together:
// agents that send each other messages, work that goes on in the background.
// What is coupled is one unit and one trajectory.
type coupling struct {
	link    *trajectory.Span // the root that links to another trace; nil = none
	cause   *trace           // that it is coupled to, in the same unit
	spot    int              // position in cause.effects, or in Buffer.waiting
	effects []*trace         // whose cause this is
	waits   bool             // is in Buffer.waiting
}

func (t *trace) coupled() bool { return t.cause != nil || len(t.effects) > 0 }

// loose says whether links may tie the trace to others: nothing that counts for
// more says what it belongs to.
func (t *trace) loose() bool { return t.unit != nil && t.unit.key == "" && t.unit.state != truncated }

// couple ties a trace to the one that its root goes on from, and those to it
// that go on from it and came first.
func (b *Buffer) couple(t *trace) {
	if t.link != nil && t.cause == nil {
		b.stopWaiting(t)
		b.coupleTo(t, b.traces[t.link.Link.TraceID])
	}
	if !t.loose() {
		return
	}
	for i := len(b.waiting[t.id]) - 1; i >= 0; i-- {
		w := b.waiting[t.id][i]
		if _, known := w.ledBy(t); known && w.loose() {
			b.stopWaiting(w) // moves only what comes after it
			b.coupleTo(w, t)
		}
	}
}

// coupleTo ties t to c, where it can: else t waits, as long as that may change.
func (b *Buffer) coupleTo(t, c *trace) {
	led, known := t.ledBy(c)
	switch {
	case known && !led || c == t:
		return
	case !known || !t.loose() || !c.loose():
		if led && t.loose() && len(t.unit.traces) == 1 && c.unit != nil && c.unit.state == truncated {
			b.leave(t)
			b.join(t, c.unit) // it takes nothing more
			return
		}
		b.wait(t)
		return
	}
	b.tie(t, c)
}

// tie makes c the cause of t.
func (b *Buffer) tie(t, c *trace) {
	t.leaveCause()
	t.cause, t.spot = c, len(c.effects)
	c.effects = append(c.effects, t)
	t.unit.couplings++
	b.wind(b.merge(t.unit, c.unit))
}

// ledBy says whether the span that t's root links to is in c and led to t.
func (t *trace) ledBy(c *trace) (led, known bool) {
	link := t.link.Link
	switch {
	case c == nil:
		return false, false
	case link.Message:
		return true, true
	case !c.known.has(link.SpanID):
		return false, false
	}
	for _, s := range c.all() {
		if s.SpanID == link.SpanID {
			return t.link.LedBy(s), true
		}
	}
	return false, true // what it was is not held any more
}

// wait remembers that t looks for a trace. What too many look for is left alone.
func (b *Buffer) wait(t *trace) {
	id := t.link.Link.TraceID
	if list := b.waiting[id]; len(list) < maxLater {
		t.waits, t.spot = true, len(list)
		b.waiting[id] = append(list, t)
	}
}

func (b *Buffer) stopWaiting(t *trace) {
	if !t.waits {
		return
	}
	t.waits = false
	id := t.link.Link.TraceID
	list := removeAt(b.waiting[id], t.spot)
	if len(list) == 0 {
		delete(b.waiting, id)
		return
	}
	b.waiting[id] = list
}

// removeAt takes a trace out of a list whose members know their places.
func removeAt(list []*trace, at int) []*trace {
	last := len(list) - 1
	list[at] = list[last]
	list[at].spot = at
	list[last] = nil
	return list[:last]
}

// uncouple takes a trace out of what links tie together. Its unit is rebuilt
// where it is open; those that went on from it wait for it again.
func (b *Buffer) uncouple(t *trace) {
	b.stopWaiting(t)
	if !t.coupled() {
		return
	}
	t.leaveCause()
	for _, e := range t.effects {
		e.cause = nil
		e.unit.couplings--
		if e.link != nil {
			b.wait(e)
		}
	}
	t.effects = nil
	if t.unit.state == opened && len(t.unit.traces) > 1 {
		b.rebuild(t.unit)
	}
}

func (t *trace) leaveCause() {
	if t.cause != nil {
		t.cause.effects = removeAt(t.cause.effects, t.spot)
		t.cause = nil
		t.unit.couplings--
	}
}
