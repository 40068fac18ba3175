package trajectory

import "slices"

// messageTable gives every distinct message one index.
type messageTable struct {
	list   []Message
	byPtr  map[*Message]int32
	byHash map[uint64]int32 // the latest with this hash; collisions chain by next
	next   []int32
}

// newMessageTable makes room for about n messages.
func newMessageTable(n int) *messageTable {
	return &messageTable{list: make([]Message, 0, n), byPtr: make(map[*Message]int32, n), byHash: make(map[uint64]int32, n), next: make([]int32, 0, n)}
}

func (mt *messageTable) index(m *Message) int32 {
	if i, ok := mt.byPtr[m]; ok {
		return i
	}
	h := identity(m)
	head, ok := mt.byHash[h]
	if !ok {
		head = -1
	}
	for i := head; i >= 0; i = mt.next[i] {
		if equalMessages(&mt.list[i], m) {
			mt.byPtr[m] = i
			return i
		}
	}
	i := int32(len(mt.list)) //nolint:gosec // bounded by the trajectory's byte cap
	mt.list = append(mt.list, *m)
	mt.byPtr[m] = i
	mt.next = append(mt.next, head)
	mt.byHash[h] = i
	return i
}

func (mt *messageTable) indices(ms []*Message) []int32 {
	if ms == nil {
		return nil
	}
	out := make([]int32, len(ms))
	for i, m := range ms {
		out[i] = mt.index(m)
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

// writeSteps turns the ordered nodes into steps and fills the message table.
func (b *builder) writeSteps(t *Trajectory, nodes []*node) {
	longest := 0
	for _, n := range b.calls {
		longest = max(longest, len(n.call.Prompt))
	}
	table := newMessageTable(longest + len(b.calls))
	t.Steps = make([]Step, len(nodes))
	for i, n := range nodes {
		s := &t.Steps[i]
		s.Index = i
		b.place(s, n)
		if n.call != nil {
			b.modelStep(s, n, table)
			t.ModelCalls++
		} else {
			b.toolStep(s, n)
			t.ToolCalls++
		}
		s.Trainable = len(s.Reasons) == 0
	}
	t.Messages = table.list
}

// place sets where and when a step happened and what caused it.
func (b *builder) place(s *Step, n *node) {
	if n.span == nil { // a tool run that only the next prompt shows
		p := n.parent
		s.AgentName, s.TraceID = b.tree.agentOf(p.at), p.span.TraceID.String()
		s.StartedAt, s.EndedAt = p.span.End/1000, p.span.End/1000
		if p.next != nil {
			s.EndedAt = max(s.StartedAt, p.next.span.Start/1000)
		}
	} else {
		s.AgentName = b.tree.agentOf(n.at)
		s.TraceID, s.SpanID = n.span.TraceID.String(), n.span.SpanID.String()
		s.StartedAt, s.EndedAt, s.Error = n.span.Start/1000, n.span.End/1000, n.span.Error
		s.Reasons = slices.Clone(n.span.Missing)
	}
	if cause := b.cause(n); cause != nil {
		index := cause.index
		s.Parent = &index
	}
	s.Thread = n.thread
	if n.parent != nil {
		s.Thread = n.parent.thread
	} else if n.tool != nil {
		s.Thread = b.threadOfScope(n)
	}
}

// threadOfScope is the thread of the last model call of the same agent before
// a tool run that no call is known to have asked for.
func (b *builder) threadOfScope(n *node) int {
	thread := 0
	for _, c := range b.calls {
		if c.scope == n.scope && c.start <= n.start {
			thread = c.thread
		}
	}
	return thread
}

// cause is the call that asked for a tool run, or the tool run above the first
// call of a sub-agent's thread.
func (b *builder) cause(n *node) *node {
	if n.parent != nil || n.call == nil || n.pred != nil {
		return n.parent
	}
	at := b.tree.ancestor(n.at, isTool, nil)
	for _, t := range b.tools {
		if at >= 0 && t.at == at {
			return t
		}
	}
	return nil
}

func (b *builder) modelStep(s *Step, n *node, table *messageTable) {
	s.Kind = KindModel
	call := n.call.ModelCall
	call.Input, call.Output = table.indices(n.call.Prompt), table.indices(n.reply)
	s.Model = &call
	if n.span.Injected != "" {
		s.Attributes = `{"` + AttrInjected + `":` + n.span.Injected + `}`
	}
	switch {
	case n.span.Error != "": // with a reply, too: nobody can tell how much of it is missing
		s.Reasons = appendNew(s.Reasons, ReasonFailed)
	case len(n.reply) == 0:
		s.Reasons = appendNew(s.Reasons, ReasonNoOutput)
	}
	if len(n.call.Prompt) == 0 {
		s.Reasons = appendNew(s.Reasons, ReasonNoInput)
	}
	if n.next == nil {
		for _, m := range n.reply {
			for _, c := range m.ToolCalls {
				if values(c.Arguments) > 1 {
					s.Reasons = appendNew(s.Reasons, ReasonMerged)
				}
			}
		}
	}
}

func (b *builder) toolStep(s *Step, n *node) {
	s.Kind, s.Tool = KindTool, n.tool
	if n.tool.Result == nil && s.Error == "" {
		s.Reasons = appendNew(s.Reasons, ReasonNoResult)
	}
	if n.tool.Arguments == "" {
		s.Reasons = appendNew(s.Reasons, ReasonNoArguments)
	}
}
