package genai

import (
	"hash/maphash"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// prompt is what is kept of a prompt that was read, to know it again at the
// beginning of a later one. Its text is not kept: a history grows with every
// call, and most of it is in messages already.
type prompt struct {
	size     int     // of the JSON array
	pieces   []piece // of it, without the closing bracket
	messages []*trajectory.Message
}

// piece is what one call added to a prompt.
type piece struct {
	end  int
	hash uint64
}

// threads is how many prompts are kept for comparison: one for each thread
// that is likely to go on at the same time.
const threads = 8

// extends returns the messages of the longest remembered prompt that raw
// begins with, and the offset of the first element after them.
// The thread goes on: remember will replace that prompt.
func (m *memo) extends(raw string) ([]*trajectory.Message, int) {
	m.match = -1
	for i := range m.last {
		if (m.match < 0 || m.last[i].size > m.last[m.match].size) && m.last[i].begins(raw) {
			m.match = i
		}
	}
	if m.match < 0 {
		return nil, 1
	}
	return m.last[m.match].messages, m.last[m.match].size
}

// begins says whether raw begins with the prompt and goes on.
func (p *prompt) begins(raw string) bool {
	body := p.size - 1
	if body <= 1 || len(raw) <= body || raw[body] != ',' {
		return false
	}
	from := 0
	for _, x := range p.pieces {
		if maphash.String(seed, raw[from:x.end]) != x.hash {
			return false
		}
		from = x.end
	}
	return true
}

// remember keeps a prompt in place of the one that it extends.
func (m *memo) remember(raw string, messages []*trajectory.Message) {
	from, p := 0, (*prompt)(nil)
	switch {
	case m.match >= 0:
		p = &m.last[m.match]
		from = p.size - 1
	case len(m.last) == threads:
		copy(m.last, m.last[1:])
		p = &m.last[threads-1]
		*p = prompt{}
	default:
		if m.last == nil {
			m.last = make([]prompt, 0, threads)
		}
		m.last = append(m.last, prompt{})
		p = &m.last[len(m.last)-1]
	}
	end := len(raw) - 1
	p.size, p.messages = len(raw), messages
	p.pieces = append(p.pieces, piece{end, maphash.String(seed, raw[from:end])})
}
