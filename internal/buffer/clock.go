package buffer

import "container/heap"

// clock is a heap of units by the time at which they must be looked at. A unit
// whose time moves back stays where it is and is put back when its old time
// comes: a span that arrives costs nothing here, and there is no timer a unit.
type clock struct{ units []*unit }

func (c *clock) Len() int { return len(c.units) }

func (c *clock) Less(i, j int) bool {
	x, y := c.units[i], c.units[j]
	return x.ringsAt < y.ringsAt || x.ringsAt == y.ringsAt && x.serial < y.serial
}

func (c *clock) Swap(i, j int) {
	c.units[i], c.units[j] = c.units[j], c.units[i]
	c.units[i].slot, c.units[j].slot = i, j
}

func (c *clock) Push(x any) {
	u := x.(*unit)
	u.slot = len(c.units)
	c.units = append(c.units, u)
}

func (c *clock) Pop() any {
	last := len(c.units) - 1
	u := c.units[last]
	c.units[last] = nil
	c.units = c.units[:last]
	u.slot = -1
	return u
}

// set makes the clock look at u at its due time or earlier.
func (c *clock) set(u *unit) {
	switch {
	case u.slot < 0:
		u.ringsAt = u.due
		heap.Push(c, u)
	case u.due < u.ringsAt:
		u.ringsAt = u.due
		heap.Fix(c, u.slot)
	}
}

func (c *clock) remove(u *unit) {
	if u.slot >= 0 {
		heap.Remove(c, u.slot)
	}
}

// ring returns a unit that is due, nil for none.
func (c *clock) ring(now int64) *unit {
	for len(c.units) > 0 && c.units[0].ringsAt <= now {
		u := c.units[0]
		if u.due <= now {
			heap.Pop(c)
			return u
		}
		u.ringsAt = u.due
		heap.Fix(c, 0)
	}
	return nil
}

// Shift moves all that is held in time by so many ns: somebody set the clock.
// What waits goes on waiting for as long as it would have; when things were seen
// first stays as it was told.
func (b *Buffer) Shift(by int64) {
	b.now += by
	for _, l := range []*list{&b.open, &b.closed} {
		for u := l.first; u != nil; u = u.next {
			u.since, u.last = u.since+by, u.last+by
			u.due, u.ringsAt = u.due+by, u.ringsAt+by // all alike: their order in the heap stays
			for _, t := range u.traces {
				t.lastSeen += by
			}
		}
	}
}
