package trajectory

import "slices"

// messageTable gives every distinct message one index. Messages are shared by
// prompts, so what is found out of one is kept by its pointer.
type messageTable struct {
	list   []Message
	hashes []uint64           // of list: identity
	byHash map[uint64]int32   // the latest with this hash, once there are more than a few; collisions chain by next
	next   []int32            // with byHash
	known  map[*Message]int32 // index in facts
	facts  []messageFact
	last   []*Message // the latest list of messages, and what became of it
	was    []int32

	results *results
}

type messageFact struct {
	key   uint64 // Message.Key
	index int32  // in list; -1 = not there yet
}

// init makes room for about n messages.
func (t *messageTable) init(n int, r *scratch) {
	t.list, t.hashes = sized(t.results.messages, n)[:0], sized(r.texts, n)[:0]
	t.known, t.facts = r.known, sized(r.facts, n)[:0]
}

func (t *messageTable) fact(m *Message) *messageFact {
	i, ok := t.known[m]
	if !ok {
		i = int32(len(t.facts)) //nolint:gosec // bounded by the trajectory's byte cap
		t.facts = append(t.facts, messageFact{key: m.Key(), index: -1})
		t.known[m] = i
	}
	return &t.facts[i]
}

// key is Message.Key, computed once.
func (t *messageTable) key(m *Message) uint64 { return t.fact(m).key }

func (t *messageTable) index(m *Message) int32 {
	f := t.fact(m)
	if f.index < 0 {
		f.index = t.find(m)
	}
	return f.index
}

// find returns the index of a message that says the same, of m itself if it is
// the first.
func (t *messageTable) find(m *Message) int32 {
	h := identity(m)
	if t.byHash == nil {
		for i := len(t.list) - 1; i >= 0; i-- {
			if t.hashes[i] == h && equalMessages(&t.list[i], m) {
				return int32(i) //nolint:gosec // few
			}
		}
		return t.add(m, h)
	}
	head, ok := t.byHash[h]
	if !ok {
		head = -1
	}
	for i := head; i >= 0; i = t.next[i] {
		if equalMessages(&t.list[i], m) {
			return i
		}
	}
	return t.add(m, h)
}

func (t *messageTable) add(m *Message, h uint64) int32 {
	t.list, t.hashes = append(t.list, *m), append(t.hashes, h)
	if len(t.list) > few && t.byHash == nil {
		t.byHash = make(map[uint64]int32, 2*len(t.list))
	}
	if t.byHash != nil {
		for i := len(t.next); i < len(t.list); i++ {
			head, ok := t.byHash[t.hashes[i]]
			if !ok {
				head = -1
			}
			t.next = append(t.next, head)
			t.byHash[t.hashes[i]] = int32(i) //nolint:gosec // bounded by the trajectory's byte cap
		}
	}
	return int32(len(t.list) - 1) //nolint:gosec // bounded by the trajectory's byte cap
}

// indices are those of a prompt or a reply. Most of a prompt is the prompt
// before it.
func (t *messageTable) indices(ms []*Message) []int32 {
	if ms == nil {
		return nil
	}
	out := t.results.ints(len(ms))
	i := 0
	for ; i < len(ms) && i < len(t.last) && ms[i] == t.last[i]; i++ {
		out[i] = t.was[i]
	}
	for ; i < len(ms); i++ {
		out[i] = t.index(ms[i])
	}
	if len(ms) > 1 {
		t.last, t.was = ms, out
	}
	return out
}

func identity(m *Message) uint64 {
	h := mix(hashText(m.Role), hashText(m.Text))
	h = mix(mix(h, hashText(m.Reasoning)), hashText(m.ToolCallID))
	for i := range m.ToolCalls {
		h = mix(mix(h, hashText(m.ToolCalls[i].ID)), hashText(m.ToolCalls[i].Arguments))
	}
	return h // what is not hashed is compared
}

func equalMessages(a, b *Message) bool {
	return a.Role == b.Role && a.Text == b.Text && a.Reasoning == b.Reasoning && a.ToolCallID == b.ToolCallID &&
		a.Name == b.Name && a.Injected == b.Injected && a.Parts == b.Parts && slices.Equal(a.ToolCalls, b.ToolCalls)
}
