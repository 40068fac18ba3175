package trajectory

import "strings"

// Settled is a reply without the pieces in which it was streamed, where its last
// message says again all that the pieces before it said. Other replies are as
// they are: items of one answer, several choices.
func Settled(reply []*Message) []*Message {
	n := len(reply) - 1
	if n < 1 {
		return reply
	}
	last, said := reply[n], ""
	for _, m := range reply[:n] {
		if m.Role != RoleAssistant || !strings.HasPrefix(last.Text[len(said):], m.Text) {
			return reply
		}
		said += m.Text
		for i := range m.ToolCalls {
			if !repeats(last.ToolCalls, &m.ToolCalls[i]) {
				return reply
			}
		}
	}
	if said != last.Text {
		return reply
	}
	return reply[n:]
}

// repeats says whether a call of a piece is among those of the whole: one id,
// or a name whose arguments were still to come.
func repeats(calls []ToolCall, piece *ToolCall) bool {
	for i := range calls {
		c := &calls[i]
		if c.Name == piece.Name && c.ID == piece.ID && (c.ID != "" || piece.Arguments == "" && c.Arguments != "") {
			return true
		}
	}
	return false
}

// Together is the one message that the pieces of a streamed reply make: the last
// where it is the whole, else what all of them say, one after the other. A call
// that comes again fills its arguments.
func Together(pieces []*Message) []*Message {
	if pieces = Settled(pieces); len(pieces) < 2 {
		return pieces
	}
	all := Message{Role: RoleAssistant}
	for _, m := range pieces {
		all.Text += m.Text
		all.Reasoning += m.Reasoning
		setFirst(&all.Parts, m.Parts)
		for i := range m.ToolCalls {
			all.again(&m.ToolCalls[i])
		}
	}
	return []*Message{&all}
}

// again adds a call, or fills the one that it is.
func (m *Message) again(c *ToolCall) {
	for i := range m.ToolCalls {
		if have := &m.ToolCalls[i]; have.ID == c.ID && c.ID != "" {
			if c.Arguments != "" {
				have.Arguments = c.Arguments
			}
			return
		}
	}
	m.ToolCalls = append(m.ToolCalls, *c)
}
