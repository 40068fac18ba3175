package buffer

import "github.com/tracegrad/tracegrad/internal/trajectory"

// Join keys start with what joins. What the sender names is told apart by tenant.
const (
	keyRollout      = "rollout\x00"
	keyConversation = "conversation\x00"
	keyAttributes   = "attributes\x00"
	keyLate         = "late\x00"
)

// joinKey is what ties a trace to others, "" for nothing but message history.
func (b *Buffer) joinKey(t *trace) string {
	switch {
	case t.continues != "":
		return keyLate + t.continues
	case b.cfg.ByKey:
		if t.key != "" {
			return keyAttributes + t.tenant + "\x00" + t.key
		}
		return ""
	case t.rollout != "":
		key := keyRollout + t.tenant + "\x00" + t.rollout
		if b.units[key] == nil && t.part == nil {
			if id := b.past.get(rolloutAlias(t)); id != "" {
				// It closed for good: its rest must not take its place.
				t.continues = id
				b.tally.Late += int64(len(t.spans))
				return keyLate + id
			}
		}
		return key
	case t.session != nil && len(t.session.hosts) > 0:
		return "" // it waits with them
	case t.isFragment() && t.conversation != "":
		return keyConversation + t.tenant + "\x00" + t.conversation
	}
	return ""
}

// rolloutID is the trajectory id of the trace's rollout.
func (t *trace) rolloutID() string {
	if t.tenant == "" {
		return trajectory.IDOf(t.rollout)
	}
	return trajectory.IDOf(t.tenant + "\x00" + t.rollout)
}

// place finds the unit of a trace anew: what arrived can change what it is.
func (b *Buffer) place(t *trace) {
	key := b.joinKey(t)
	if t.coupled() {
		b.reopen(t.unit) // it grew
	}
	switch {
	case key != "":
		b.unlink(t)
		b.uncouple(t)
		if t.unit == nil || t.unit.key != key {
			b.leave(t)
			b.join(t, b.keyed(key))
		}
	case t.session != nil:
		if t.unit == nil || t.unit.key != "" {
			b.leave(t)
			b.join(t, b.newUnit(""))
		}
	case t.isFragment() && !b.cfg.ByKey:
		if t.unit == nil || t.unit.key != "" {
			b.leave(t)
			b.join(t, b.newUnit(""))
		}
		b.link(t)
	case t.unit == nil || t.unit.key != "" || len(t.unit.traces) > 1 && !t.coupled():
		b.unlink(t)
		b.leave(t)
		b.join(t, b.newUnit(""))
	default:
		b.unlink(t)
	}
	if !b.cfg.ByKey {
		b.couple(t)
		b.gather(t)
	}
}

func (b *Buffer) keyed(key string) *unit {
	if u := b.units[key]; u != nil {
		return u
	}
	u := b.newUnit(key)
	b.units[key] = u
	return u
}
