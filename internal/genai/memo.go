package genai

import (
	"hash/maphash"
	"slices"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// memo remembers parsed messages. Agents send their history again with every
// call, so most of a prompt was seen before: whole prompts that begin with the
// bytes of an earlier one are parsed from there on only, other messages are
// looked up by their raw text.
type memo struct {
	known []parsed          // a few, which are searched
	more  map[uint64]parsed // by hash: all of them, once there are many
	last  []prompt          // the most recent prompts, newest last
	match int               // index in last that extends found, -1 = none
	added int               // bytes of text taken in so far

	tools   string // the last tool definitions
	before  before
	results results
	texts   texts
	items   map[*trajectory.Message]bool // those that were items of a reply, see Decoder.turns
	names   []string                     // of tools, mostly: few, and repeated
	slab    slab[trajectory.Message]
	ones    []*trajectory.Message
}

// forget leaves room that holds nothing of what was read: texts and messages
// belong to the spans that were decoded.
func (m *memo) forget() {
	clear(m.known)
	clear(m.last)
	clear(m.names)
	clear(m.results)
	*m = memo{slab: m.slab, known: m.known[:0], last: m.last[:0], names: m.names[:0], results: m.results[:0]}
}

// parsed is what became of a raw text.
type parsed struct {
	hash     uint64 // of the raw text or of the message
	size     int    // of the raw text: two that are not the same differ in hash or size
	messages []*trajectory.Message
}

// seed is fixed for the life of the process: hashes never leave it.
var seed = maphash.MakeSeed()

// few texts are searched one by one, more by a map.
const few = 24

func (m *memo) empty() bool { return len(m.known) == 0 }

func (m *memo) find(hash uint64) (parsed, bool) {
	if m.more != nil {
		p, ok := m.more[hash]
		return p, ok
	}
	for i := range m.known {
		if m.known[i].hash == hash {
			return m.known[i], true
		}
	}
	return parsed{}, false
}

func (m *memo) keep(p parsed) {
	if m.more == nil && len(m.known) < few {
		if m.known == nil {
			m.known = make([]parsed, 0, few/2)
		}
		m.known = append(m.known, p)
		return
	}
	if m.more == nil {
		m.more = make(map[uint64]parsed, 2*few)
		for _, k := range slices.Backward(m.known) { // the first counts
			m.more[k.hash] = k
		}
	}
	m.more[p.hash] = p
}

// get and put look messages up by raw text.
func (m *memo) get(raw string) ([]*trajectory.Message, bool) {
	p, ok := m.find(maphash.String(seed, raw))
	return p.messages, ok && p.size == len(raw)
}

func (m *memo) put(raw string, ms []*trajectory.Message) {
	m.keep(parsed{maphash.String(seed, raw), len(raw), ms})
	m.added += len(raw)
}

// shared returns the message that says the same as x, a new one the first time.
func (m *memo) shared(x *trajectory.Message) *trajectory.Message {
	h := hashOf(x)
	if p, ok := m.find(h); ok && p.size < 0 && same(p.messages[0], x) {
		return p.messages[0]
	}
	out := m.message(x)
	m.keep(parsed{h, -1, m.one(out)}) // raw texts have a size
	m.added += sizeOf(x)
	return out
}

func hashOf(x *trajectory.Message) uint64 {
	h := uint64(0)
	add := func(s string) { h = (h ^ maphash.String(seed, s)) * 0x9E3779B97F4A7C15; h ^= h >> 29 }
	for _, s := range [...]string{x.Role, x.Text, x.Reasoning, x.ToolCallID, x.Name, x.Parts} {
		add(s)
	}
	for i := range x.ToolCalls {
		add(x.ToolCalls[i].ID)
		add(x.ToolCalls[i].Arguments)
	}
	return h
}

func same(a, b *trajectory.Message) bool {
	return a.Role == b.Role && a.Text == b.Text && a.Reasoning == b.Reasoning && a.ToolCallID == b.ToolCallID &&
		a.Name == b.Name && a.Injected == b.Injected && a.Parts == b.Parts && slices.Equal(a.ToolCalls, b.ToolCalls)
}

func sizeOf(x *trajectory.Message) int {
	n := 8 + len(x.Role) + len(x.Text) + len(x.Reasoning) + len(x.ToolCallID) + len(x.Name) + len(x.Parts)
	for i := range x.ToolCalls {
		n += len(x.ToolCalls[i].ID) + len(x.ToolCalls[i].Name) + len(x.ToolCalls[i].Arguments)
	}
	return n
}

// message keeps a copy of x. Messages of a trajectory live and go together.
func (m *memo) message(x *trajectory.Message) *trajectory.Message {
	out := m.slab.next(8)
	*out = *x
	return out
}

// one is a list of one message.
func (m *memo) one(x *trajectory.Message) []*trajectory.Message {
	if len(m.ones) == cap(m.ones) {
		m.ones = make([]*trajectory.Message, 0, 16)
	}
	n := len(m.ones)
	m.ones = append(m.ones, x)
	return m.ones[n : n+1 : n+1]
}

// name gives equal names one string.
func (m *memo) name(s string) string {
	const few = 16
	if s == "" {
		return ""
	}
	for _, n := range m.names {
		if n == s {
			return n
		}
	}
	s = m.texts.keep(s)
	if len(m.names) < few {
		m.names = append(m.names, s)
	}
	return s
}

// take counts tool definitions that differ from the last ones.
func (m *memo) take(tools string) string {
	if m.tools != tools {
		m.tools = tools
		m.added += len(tools)
	}
	return m.tools
}
