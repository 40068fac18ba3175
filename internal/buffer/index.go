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
	toldTool
	gaveResponse
	goesOnFrom
)

var seed = maphash.MakeSeed() // keys never leave the process

// enter puts a trace into the index, once.
func (b *Buffer) enter(t *trace, keys []uint64) {
	t.slots = make([]slot, len(keys)) // never grows: the index points into it
	for i, key := range keys {
		t.slots[i] = slot{trace: t, key: key, at: len(b.story[key])}
		b.story[key] = append(b.story[key], &t.slots[i])
	}
	b.grow(t, t.indexCost())
}

// leaveIndex takes a trace out of the index.
func (b *Buffer) leaveIndex(t *trace) {
	b.grow(t, -t.indexCost())
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
}

// keys returns what a fragment is found by, each key once.
func (b *Buffer) keys(t *trace) []uint64 {
	var keys []uint64
	switch {
	case t.call.Role == trajectory.RoleToolSpan:
		keys = b.toolKeys(t)
	case t.call.Call != nil:
		keys = b.callKeys(t)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func (b *Buffer) callKeys(t *trace) []uint64 {
	call := t.call.Call
	t.prefixes, t.turns = call.Prefixes(), call.Turns()
	last := len(t.prefixes) - 1
	if last < 0 {
		return nil
	}
	keys := make([]uint64, 0, last+8)
	for i := range last {
		if t.turns[i].Role == trajectory.RoleAssistant {
			continue
		}
		if reply := answer(t.turns[i+1:]); len(reply) > 0 {
			for _, sign := range signs(reply) {
				keys = append(keys, b.key(t, laterCall, t.prefixes[i], sign))
			}
		}
	}
	for _, id := range t.told() {
		keys = append(keys, b.key(t, toldTool, 0, id))
	}
	if id := t.call.Previous; id != "" {
		keys = append(keys, b.key(t, goesOnFrom, 0, text(id)))
	}
	if !t.continuable() {
		return keys
	}
	for _, sign := range signs(call.Reply) {
		keys = append(keys, b.key(t, earlierCall, t.prefixes[last], sign))
	}
	for id := range t.asksFor {
		keys = append(keys, b.key(t, askedTool, 0, id))
	}
	if call.ResponseID != "" {
		keys = append(keys, b.key(t, gaveResponse, 0, text(call.ResponseID)))
	}
	return keys
}

// continuable says whether a fragment is a call that others can continue: a
// failed one is not.
func (t *trace) continuable() bool {
	c := t.call.Call
	return t.call.Role == trajectory.RoleModelSpan && c != nil && len(t.turns) > 0 && (len(c.Reply) > 0 || t.call.Error == "")
}

// asksFor yields the hashes of the tool-call ids that a call asks for.
func (t *trace) asksFor(yield func(uint64) bool) {
	for _, m := range t.call.Call.Reply {
		for i := range m.ToolCalls {
			if id := m.ToolCalls[i].ID; id != "" && !yield(text(id)) {
				return
			}
		}
	}
}

// told are the hashes of the ids of tool calls by which a prompt is tied to the
// call before it where what it begins with is not known: its messages are in no
// known order, or the server holds the beginning and it begins with a result.
func (t *trace) told() []uint64 {
	var ids []uint64
	switch {
	case t.call.Call == nil:
	case t.call.Call.Unordered:
		for _, m := range t.turns {
			for i := range m.ToolCalls {
				if id := m.ToolCalls[i].ID; id != "" {
					ids = append(ids, text(id))
				}
			}
		}
	case t.call.Call.Resumes():
		ids = append(ids, text(t.turns[0].ToolCallID))
	}
	return ids
}

func (b *Buffer) toolKeys(t *trace) []uint64 {
	if t.call.Tool == nil || t.call.Tool.CallID == "" {
		return nil
	}
	return []uint64{b.key(t, ranTool, 0, text(t.call.Tool.CallID))}
}

// who is whose history a fragment is a part of. Fragments of different
// services, tenants or users are never joined by what they say; a call that
// names no user joins those that name none. A tool run is found by an id and
// often names no user: see asker.
type who struct{ home, user uint64 }

func whose(s *trajectory.Span, tenant string) who {
	home := mix(text(tenant), text(s.Service))
	return who{home, mix(home, text(s.User))}
}

func (b *Buffer) key(t *trace, kind, hash, sign uint64) uint64 {
	of := t.user
	switch kind {
	case askedTool, ranTool, toldTool, gaveResponse, goesOnFrom:
		of = t.home
	}
	return mix(mix(mix(kind, of), hash), sign)
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
