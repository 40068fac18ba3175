package trajectory

import "strings"

// concluded gives the last call of an agent that ended well the answer that the
// agent gave, where nothing shows what the call replied: a stream that the
// instrumentation did not read. Nothing may have happened between the two. That
// the answer is the reply, word for word, only looks so: the step says that its
// output is missing.
func (b *builder) concluded() {
	var last map[int]*node // agent → its last call
	for _, n := range b.calls {
		if n.scope < 0 || b.tree.spans[n.scope].Out == "" {
			continue
		}
		if last == nil {
			last = map[int]*node{}
		}
		if l := last[n.scope]; l == nil || n.start >= l.start {
			last[n.scope] = n
		}
	}
	for scope, n := range last {
		agent := b.tree.spans[scope]
		if len(n.reply) > 0 || n.next != nil || n.span.Error != "" || agent.Error != "" || len(n.turns) == 0 || strings.HasPrefix(n.call.FinishReason, "tool") || agent.End < n.span.End || b.ranAfter(n) {
			continue
		}
		n.reply, n.unsure = []*Message{{Role: RoleAssistant, Text: agent.Out}}, true
	}
}

// ranAfter says whether a tool of the same agent ran after a call.
func (b *builder) ranAfter(n *node) bool {
	for _, t := range b.tools {
		if t.scope == n.scope && t.span != nil && t.span.Start > n.span.Start {
			return true
		}
	}
	return false
}
