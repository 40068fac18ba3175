package trajectory

import (
	"slices"
	"strings"
)

// owners are the calls that something below them may belong to, by span: the
// call's own and those that wrap it. want picks the calls; nil for none.
func (b *builder) owners(want func(*node) bool) map[int]*node {
	var by map[int]*node
	for _, n := range b.calls {
		if !want(n) {
			continue
		}
		if by == nil {
			by = map[int]*node{}
		}
		for at := n.at; at >= 0; at = b.tree.ancestor(at, isModel, notOfTheCall) {
			by[at] = n // the last of several: earlier ones were retried
		}
	}
	return by
}

// notOfTheCall ends the walk from a span to the model call that it is part of.
func notOfTheCall(s *Span) bool { return isTool(s) || isAgent(s) }

// askedBelow makes the replies that the telemetry does not show out of the tool
// runs that hang below their calls: the model asked for those. What it said
// beside them only the next prompt can show.
func (b *builder) askedBelow() {
	silent := b.owners(func(n *node) bool { return len(n.reply) == 0 && n.span.Error == "" })
	if silent == nil {
		return
	}
	for _, t := range b.tools {
		n := silent[b.tree.ancestor(t.at, isModel, notOfTheCall)]
		if n == nil {
			continue
		}
		if len(n.reply) == 0 {
			n.reply, n.unsure = []*Message{{Role: RoleAssistant}}, true
		}
		n.reply[0].ToolCalls = append(n.reply[0].ToolCalls, ToolCall{ID: t.tool.CallID, Name: t.tool.Name, Arguments: t.tool.Arguments})
	}
}

// pieces corrects replies by the pieces in which they were streamed, where
// those are spans: the arguments of a tool call are there as the model wrote
// them. Text that the reply does not have was thought.
func (b *builder) pieces() {
	isPiece := func(s *Span) bool { return s.Role == RoleOther && s.Call != nil && len(s.Call.Reply) > 0 }
	if !slices.ContainsFunc(b.tree.spans, isPiece) {
		return
	}
	of := map[*node][]*Span{}
	owners := b.owners(func(*node) bool { return true })
	for i, s := range b.tree.spans {
		if !isPiece(s) {
			continue
		}
		if n := owners[b.tree.ancestor(i, isModel, notOfTheCall)]; n != nil {
			of[n] = append(of[n], s)
		}
	}
	for n, pieces := range of {
		n.correct(pieces)
	}
}

// correct puts the pieces of a reply in its place where it lacks them.
func (n *node) correct(pieces []*Span) {
	text, calls := flatten(n.reply)
	m := Message{Role: RoleAssistant}
	if len(n.reply) > 0 {
		m = *n.reply[0]
		m.Text = text
	}
	m.ToolCalls = slices.Clone(calls)
	for k, s := range pieces {
		before := len(m.ToolCalls)
		for _, p := range s.Call.Reply {
			for i := range p.ToolCalls {
				m.correct(&p.ToolCalls[i], len(calls) == 0)
			}
			switch {
			case len(n.reply) == 0 && p.Text != "":
				n.unsure = true // said or thought
			case len(n.reply) > 0 && n.reply[0].Reasoning == "" && !strings.Contains(text, strings.TrimSpace(p.Text)):
				m.Reasoning += p.Text
			}
		}
		if len(m.ToolCalls) > before && k > 0 && s.Start <= pieces[k-1].Start {
			n.unsure = true // nothing tells their order
		}
	}
	if len(n.reply) > 0 || len(m.ToolCalls) > 0 {
		n.reply = []*Message{&m}
	}
}

// correct takes the arguments of a call from its piece, or the call itself where
// the reply shows none.
func (m *Message) correct(piece *ToolCall, add bool) {
	for i := range m.ToolCalls {
		c := &m.ToolCalls[i]
		if c.ID == "" && piece.ID != "" && c.Name == piece.Name && sameJSON(c.Arguments, piece.Arguments) {
			c.ID = piece.ID
		}
		if c.ID == piece.ID {
			c.Arguments = piece.Arguments
			return
		}
	}
	if add {
		m.ToolCalls = append(m.ToolCalls, *piece)
	}
}
