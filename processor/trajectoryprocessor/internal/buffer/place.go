package buffer

// Join keys start with what joins.
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
			return keyAttributes + t.key
		}
		return ""
	case t.rollout != "":
		if b.units[keyRollout+t.rollout] == nil && t.part == nil {
			if id := b.past.get(rolloutAlias(t.rollout)); id != "" {
				// It closed for good: its rest must not take its place.
				t.continues = id
				b.tally.Late += int64(len(t.spans))
				return keyLate + id
			}
		}
		return keyRollout + t.rollout
	case t.isFragment() && t.conversation != "":
		return keyConversation + t.tenant + "\x00" + t.conversation
	}
	return ""
}

// place finds the unit of a trace anew: what arrived can change what it is.
func (b *Buffer) place(t *trace) {
	key := b.joinKey(t)
	switch {
	case key != "":
		b.unlink(t)
		if t.unit == nil || t.unit.key != key {
			b.leave(t)
			b.join(t, b.keyed(key))
		}
	case t.isFragment() && !b.cfg.ByKey:
		if t.unit == nil || t.unit.key != "" {
			b.leave(t)
			b.join(t, b.newUnit(""))
		}
		b.link(t)
	case t.unit == nil || t.unit.key != "" || len(t.unit.traces) > 1:
		b.unlink(t)
		b.leave(t)
		b.join(t, b.newUnit(""))
	default:
		b.unlink(t)
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
