package buffer

import "slices"

// logCost is what a trace holds for an entry of its owner's log.
const logCost = 32

// needs notes that a trace needs an entry of the log: should everything be
// forgotten, its spans are read again from there.
func (b *Buffer) needs(t *trace, entry uint64) {
	if n := len(t.logs); entry == 0 || n > 0 && t.logs[n-1] == entry || slices.Contains(t.logs, entry) {
		return
	}
	t.logs = append(t.logs, entry)
	b.logged[entry]++
	b.grow(t, logCost)
}

// release lets go of the log of a trace that is forgotten.
func (b *Buffer) release(t *trace) {
	for _, entry := range t.logs {
		if b.logged[entry]--; b.logged[entry] == 0 {
			delete(b.logged, entry)
			b.released = append(b.released, entry)
		}
	}
	t.logs = nil
}

// Needs says whether spans of an entry of the log are held, or were when Released
// was called last. After an Add that took items of a new entry it may be false:
// all of them were known.
func (b *Buffer) Needs(entry uint64) bool {
	return b.logged[entry] > 0 || slices.Contains(b.released, entry)
}

// Released returns the entries of the log ([Item].Log) of which nothing is held
// any more since it was last called. All that was made of them was returned
// before, by Due or Flush.
func (b *Buffer) Released() []uint64 {
	out := b.released
	b.released = nil
	return out
}

// Resume goes on at now after some ns in which nobody listened: they do not
// count, and the clocks of open trajectories start again.
func (b *Buffer) Resume(now, after int64) {
	b.Shift(after)
	b.now = now
	for u := b.open.first; u != nil; u = u.next {
		u.last = now
		b.wind(u)
	}
}

// Remember notes that a trajectory was handed out in a life before this one, of
// which nothing else is known. Spans of its trace or rollout are late.
func (b *Buffer) Remember(id string) { b.past.remember(id) }
