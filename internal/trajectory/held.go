package trajectory

import "slices"

// held finds the calls whose prompts show only what is new, because the server
// holds the conversation: they begin with the result of a tool that an earlier
// call asked for. Nobody else can have sent the rest.
func (b *builder) held(order []*node) {
	bare := func(n *node) bool {
		return n.pred == nil && len(n.turns) > 0 && n.turns[0].Role == RoleTool && n.turns[0].ToolCallID != ""
	}
	if !slices.ContainsFunc(order, bare) {
		return
	}
	asked := map[string][]*node{} // by the id of the tool call
	for _, n := range b.calls {
		_, calls := flatten(n.reply)
		for i := range calls {
			asked[calls[i].ID] = append(asked[calls[i].ID], n)
		}
	}
	for _, n := range order {
		if !bare(n) {
			continue
		}
		for _, c := range asked[n.turns[0].ToolCallID] {
			if c != n && c.start <= n.start && !comesAfter(c, n) && (n.pred == nil || b.nearer(n, c, n.pred)) {
				n.pred, n.held = c, true
			}
		}
	}
}

// resumed is the prompt of a call of which the server held the beginning; nil
// where that is not known.
func (n *node) resumed() []*Message {
	p := n.pred
	if len(p.call.Prompt) == 0 || p.call.Outline || len(p.reply) == 0 || p.unsure {
		return nil
	}
	said := p.call.Prompt
	if slices.ContainsFunc(n.call.Prompt, instruction) { // instructions are sent again
		said = append(slices.DeleteFunc(slices.Clone(n.call.Prompt), func(m *Message) bool { return !instruction(m) }), turns(said)...)
	}
	return slices.Concat(said, p.reply, turns(n.call.Prompt))
}
