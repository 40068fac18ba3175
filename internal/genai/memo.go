package genai

import (
	"strings"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// memo remembers parsed messages. Agents send their history again with every
// call, so most of a prompt was seen before: whole prompts that begin with the
// bytes of an earlier one are parsed from there on only, other messages are
// looked up by their raw text.
type memo struct {
	byRaw map[string][]*trajectory.Message
	last  []prompt // the most recent prompts, newest last
	tools string   // the last tool definitions
	match int      // index in last that extends found, -1 = none
	held  int      // bytes of text kept
}

type prompt struct {
	raw      string // the JSON array
	messages []*trajectory.Message
}

// threads is how many prompts are kept for comparison: one for each thread
// that is likely to go on at the same time.
const threads = 8

// extends returns the messages of the longest remembered prompt that raw
// begins with, and the offset of the first element after them.
// The thread goes on: remember will replace that prompt.
func (m *memo) extends(raw string) ([]*trajectory.Message, int) {
	best := -1
	for i := range m.last {
		p := m.last[i].raw
		body := len(p) - 1 // without the closing bracket
		if body > 1 && len(raw) > body && raw[body] == ',' && strings.HasPrefix(raw, p[:body]) &&
			(best < 0 || len(p) > len(m.last[best].raw)) {
			best = i
		}
	}
	m.match = best
	if best < 0 {
		return nil, 1
	}
	return m.last[best].messages, len(m.last[best].raw)
}

// remember keeps a whole prompt in place of the one that it extends.
func (m *memo) remember(raw string, messages []*trajectory.Message) {
	if m.match >= 0 {
		m.held += len(raw) - len(m.last[m.match].raw)
		m.last[m.match] = prompt{raw, messages}
		return
	}
	if len(m.last) == threads {
		m.held -= len(m.last[0].raw)
		copy(m.last, m.last[1:])
		m.last = m.last[:threads-1]
	}
	m.last = append(m.last, prompt{raw, messages})
	m.held += len(raw)
}

// get and put look messages up by raw text.
func (m *memo) get(raw string) ([]*trajectory.Message, bool) {
	ms, ok := m.byRaw[raw]
	return ms, ok
}

func (m *memo) put(raw string, ms []*trajectory.Message) {
	if m.byRaw == nil {
		m.byRaw = map[string][]*trajectory.Message{}
	}
	m.byRaw[raw] = ms
	m.held += len(raw)
}

// same gives equal tool definitions one string.
func (m *memo) same(tools string) string {
	if m.tools != tools {
		m.tools = tools
		m.held += len(tools)
	}
	return m.tools
}
