package trajectory

import "slices"

// The server can hold a conversation: then a request shows only what is new.
// Its prompt is known where the telemetry proves what it goes on from: the id
// of the response before it, or the result of a tool that an earlier call asked
// for, with which no prompt begins otherwise.

// held finds the calls whose prompts show only what is new, and what they go on
// from.
func (b *builder) held(order []*node) {
	b.goOn()
	bare := func(n *node) bool {
		return n.pred == nil && (n.span.Previous != "" || answersUnasked(n.turns))
	}
	if !slices.ContainsFunc(order, bare) {
		return
	}
	asked, answered := map[string][]*node{}, map[string][]*node{} // by the ids of tool calls and of responses
	for _, n := range b.calls {
		_, calls := flatten(n.reply)
		for i := range calls {
			asked[calls[i].ID] = append(asked[calls[i].ID], n)
		}
		answered[n.call.ResponseID] = append(answered[n.call.ResponseID], n)
	}
	for _, n := range order {
		if !bare(n) {
			continue
		}
		n.held = true
		var from []*node
		if n.span.Previous != "" {
			from = answered[n.span.Previous]
		}
		if len(from) == 0 && answersUnasked(n.turns) {
			from = asked[n.turns[0].ToolCallID]
		}
		for _, c := range from {
			if c != n && c.start <= n.start && !comesAfter(c, n) && (n.pred == nil || b.nearer(n, c, n.pred)) {
				n.pred = c
			}
		}
	}
}

// goOn gives the first call of an agent the response that the agent says it
// goes on from, that of an earlier run.
func (b *builder) goOn() {
	var begun map[int]bool
	for _, n := range b.calls {
		if n.scope < 0 || b.tree.spans[n.scope].Previous == "" || begun[n.scope] {
			continue
		}
		if begun == nil {
			begun = map[int]bool{}
		}
		begun[n.scope] = true
		from := b.tree.spans[n.scope].Previous
		inside := func(c *node) bool { return c.scope == n.scope && c.call.ResponseID == from }
		if n.span.Previous == "" && n.pred == nil && !slices.ContainsFunc(b.calls, inside) {
			s := *n.span
			s.Previous = from
			n.span = &s
		}
	}
}

// Resumes says whether the prompt begins with the result of a tool call that it
// does not show: the server holds what came before.
func (c *Call) Resumes() bool { return answersUnasked(turns(c.Prompt)) }

// answersUnasked says whether a prompt begins with the result of a tool call
// that it does not show.
func answersUnasked(prompt []*Message) bool {
	if len(prompt) == 0 || prompt[0].Role != RoleTool || prompt[0].ToolCallID == "" {
		return false
	}
	return !slices.ContainsFunc(prompt, func(m *Message) bool {
		return slices.ContainsFunc(m.ToolCalls, func(c ToolCall) bool { return c.ID == prompt[0].ToolCallID })
	})
}

// resumed is the prompt of a call of which the server held the beginning; nil
// where that is not known.
func (n *node) resumed() []*Message {
	p := n.pred
	if p == nil || p.call.Outline || p.partial || p.unsure {
		return nil
	}
	return n.call.resumed(n.span.Previous, p.call, p.reply)
}

// maxResumed bounds how many messages prompts are put together of: the telemetry
// shows the new ones only, and the prompts of a thread hold all before them.
const maxResumed = 1 << 20

// resumed is the prompt of a call that goes on from an earlier one and its
// reply; nil where that is not known. Instructions that the call shows are sent
// anew. Those that OpenAI was sent apart from the messages do not count for the
// next request.
func (c *Call) resumed(previous string, before *Call, reply []*Message) []*Message {
	if len(before.Prompt) == 0 || len(reply) == 0 {
		return nil
	}
	said := before.Prompt
	if slices.ContainsFunc(c.Prompt, instruction) || before.Apart && previous != "" {
		said = append(instructionsOf(c.Prompt), turns(said)...)
	}
	return slices.Concat(said, reply, turns(c.Prompt))
}
