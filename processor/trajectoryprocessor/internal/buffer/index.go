package buffer

import (
	"hash/maphash"
	"slices"
	"strings"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// index finds fragments by what their messages say, in both directions: as the
// earlier call under the hash of its prompt and of what it answered, as a later
// call under the same hash for every answer that its prompt holds. Tool runs
// are found by the id of their call.
type index map[uint64][]*slot

type slot struct {
	trace *trace
	key   uint64
	at    int // position in the list of its key
}

// What a key of the index stands for.
const (
	earlierCall uint64 = iota + 1
	laterCall
	askedTool
	ranTool
)

var seed = maphash.MakeSeed() // keys never leave the process

// enter puts a trace into the index, once.
func (b *Buffer) enter(t *trace, keys []uint64) {
	t.slots = make([]slot, len(keys)) // never grows: the index points into it
	for i, key := range keys {
		t.slots[i] = slot{trace: t, key: key, at: len(b.story[key])}
		b.story[key] = append(b.story[key], &t.slots[i])
	}
	b.grow(t, int64(len(t.slots))*slotCost)
}

// callKeys returns the keys of a model call and the fragments that may
// continue it.
func (b *Buffer) callKeys(t *trace) (keys []uint64, later []*trace) {
	call := t.call.Call
	t.prefixes, t.turns = call.Prefixes(), call.Turns()
	last := len(t.prefixes) - 1
	if last < 0 {
		return nil, nil
	}
	keys = make([]uint64, 0, last+8)
	for i := range last {
		if reply := answer(t.turns[i+1:]); len(reply) > 0 && t.turns[i].Role != trajectory.RoleAssistant {
			for _, sign := range signs(reply) {
				keys = append(keys, b.key(t, laterCall, t.prefixes[i], sign))
			}
		}
	}
	if len(call.Reply) == 0 && t.call.Error != "" {
		return keys, nil // a failed call has no continuation
	}
	found := func(key uint64) {
		for _, s := range b.story[key] {
			if !slices.Contains(later, s.trace) {
				later = append(later, s.trace)
			}
		}
	}
	for _, sign := range signs(call.Reply) {
		keys = append(keys, b.key(t, earlierCall, t.prefixes[last], sign))
		if key := b.key(t, laterCall, t.prefixes[last], sign); sign != anySign || len(b.story[key]) <= maxTies {
			found(key)
		}
	}
	for _, m := range call.Reply {
		for _, c := range m.ToolCalls {
			if c.ID != "" {
				keys = append(keys, b.key(t, askedTool, 0, text(c.ID)))
				found(b.key(t, ranTool, 0, text(c.ID)))
			}
		}
	}
	return keys, later
}

func (b *Buffer) toolKeys(t *trace) []uint64 {
	if t.call.Tool == nil || t.call.Tool.CallID == "" {
		return nil
	}
	return []uint64{b.key(t, ranTool, 0, text(t.call.Tool.CallID))}
}

// key keeps tenants apart.
func (b *Buffer) key(t *trace, kind, hash, sign uint64) uint64 {
	return mix(mix(mix(kind, text(t.tenant)), hash), sign)
}

// anySign stands for every answer, however lossy.
const anySign = 0

// signs are the hashes by which an answer is found: the ids of the calls it
// asks for, its text, and anySign.
func signs(reply []*trajectory.Message) []uint64 {
	out := make([]uint64, 0, 4)
	for _, m := range reply {
		for i := range m.ToolCalls {
			if id := m.ToolCalls[i].ID; id != "" {
				out = append(out, text(id))
			}
		}
	}
	if len(out) == 0 {
		for _, m := range reply {
			if s := strings.TrimSpace(m.Text); s != "" {
				out = append(out, text(s))
				break
			}
		}
	}
	return append(out, anySign)
}

func text(s string) uint64 { return maphash.String(seed, s) | 1 }

// answer returns the assistant turns at the start of turns.
func answer(turns []*trajectory.Message) []*trajectory.Message {
	n := 0
	for n < len(turns) && turns[n].Role == trajectory.RoleAssistant {
		n++
	}
	return turns[:n]
}
