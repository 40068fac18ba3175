package trajectory

import (
	"encoding/json"
	"slices"
)

// writeSteps turns the ordered nodes into steps and fills the message table.
func (b *builder) writeSteps(t *Trajectory, nodes []*node) {
	r := b.results
	r.steps, r.calls, r.parents = sized(r.steps, len(nodes)), sized(r.calls, len(b.calls)), sized(r.parents, len(nodes))
	t.Steps = r.steps
	calls, parents := r.calls, r.parents[:0]
	for i, n := range nodes {
		s := &t.Steps[i]
		s.Index = i
		b.place(s, n)
		if cause := b.cause(n); cause != nil {
			parents = append(parents, cause.index)
			s.Parent = &parents[len(parents)-1]
		}
		if n.call != nil {
			s.Model = &calls[t.ModelCalls]
			b.modelStep(s, n)
			t.ModelCalls++
		} else {
			b.toolStep(s, n)
			t.ToolCalls++
		}
		s.Trainable = len(s.Reasons) == 0
	}
	t.Messages, r.messages = b.table.list, b.table.list
}

// place sets where and when a step happened and what caused it.
func (b *builder) place(s *Step, n *node) {
	if n.span == nil { // a tool run that only the next prompt shows
		p := n.parent
		s.AgentName, s.TraceID = b.tree.agentOf(p.at), b.traceOf(p.span)
		s.StartedAt, s.EndedAt = p.span.End/1000, p.span.End/1000
		if p.next != nil {
			s.EndedAt = max(s.StartedAt, p.next.span.Start/1000)
		}
	} else {
		s.AgentName = b.tree.agentOf(n.at)
		s.TraceID, s.SpanID = b.traceOf(n.span), n.span.spanID()
		s.StartedAt, s.EndedAt, s.Error = n.span.Start/1000, n.span.End/1000, n.span.Error
		s.Reasons = slices.Clone(n.span.Missing)
		s.Attributes = stepAttributes(n.span)
		if s.AgentName == "" && n.parent != nil {
			s.AgentName = b.tree.agentOf(n.parent.at) // the agent that asked for the run
		}
	}
	s.Thread = n.thread
	if n.parent != nil {
		s.Thread = n.parent.thread
	} else if n.tool != nil {
		s.Thread = b.threadOfScope(n)
	}
}

// traceOf is the trace of a span, "" where a record of a session stands for it.
func (b *builder) traceOf(s *Span) string {
	if s.Session {
		return ""
	}
	return b.hexed.trace(s.TraceID)
}

// spanID is the id of a span, "" where a record stands for it.
func (s *Span) spanID() string {
	if s.Told {
		return ""
	}
	return s.SpanID.String()
}

// stepAttributes is the allow-listed attributes of a span and what the gateway
// added to its prompt, as JSON; "" for none.
func stepAttributes(s *Span) string {
	if len(s.Attributes) == 0 && s.Injected == "" {
		return ""
	}
	all := make(map[string]any, len(s.Attributes)+1)
	for k, v := range s.Attributes {
		all[k] = v
	}
	if s.Injected != "" {
		all[AttrInjected] = json.RawMessage(s.Injected)
	}
	raw, err := json.Marshal(all)
	if err != nil {
		return "" // what was injected is no JSON
	}
	return string(raw)
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
// call of a sub-agent's thread, or the one that handed over to it.
func (b *builder) cause(n *node) *node {
	if n.parent != nil || n.call == nil || n.pred != nil {
		return n.parent
	}
	for at := b.tree.ancestor(n.at, isTool, nil); at >= 0; at = b.tree.ancestor(at, isTool, nil) {
		for _, t := range b.tools {
			if t.at == at {
				return t
			}
		}
	}
	return b.handedOver(n)
}

func (b *builder) modelStep(s *Step, n *node) {
	s.Kind = KindModel
	*s.Model = n.call.ModelCall
	s.Model.base(n)
	if !n.partial {
		s.Model.Input = b.table.indices(n.call.Prompt)
	}
	s.Model.Output = b.table.indices(n.reply)
	switch {
	case n.span.Error != "": // with a reply, too: nobody can tell how much of it is missing
		s.Reasons = appendNew(s.Reasons, ReasonFailed)
	case len(n.reply) == 0, n.unsure, asksForTools(n.call.FinishReason) && !slices.ContainsFunc(n.reply, func(m *Message) bool { return len(m.ToolCalls) > 0 }):
		s.Reasons = appendNew(s.Reasons, ReasonNoOutput)
	}
	if len(n.call.Prompt) == 0 || n.partial || slices.ContainsFunc(n.call.Prompt, silent) {
		s.Reasons = appendNew(s.Reasons, ReasonNoInput)
	}
	if b.untold(n) {
		s.Reasons = appendNew(s.Reasons, ReasonTruncated)
	}
	if _, calls := flatten(n.reply); isAgent(n.span) && len(calls) > 0 {
		s.Reasons = appendNew(s.Reasons, ReasonMerged) // a loop: what its calls said is run together
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

// silent says whether a message is a user's who says nothing: that there was
// one is shown, and not what it was.
func silent(m *Message) bool {
	return m.Role == RoleUser && m.Text == "" && m.Parts == "" && m.Reasoning == "" && len(m.ToolCalls) == 0
}

// asksForTools says whether a reply that finished so asks for tools.
func asksForTools(finish string) bool {
	switch finish {
	case "tool_calls", "tool_call", "tool-calls", "tool_use", "toolUse", "function_call", "function_calls":
		return true
	}
	return false
}

// untold says whether a call shows the very prompt of a call whose tools have
// run since: what they returned was sent, and is not shown.
func (b *builder) untold(n *node) bool {
	if !n.retry || n.pred.span.Error != "" || len(n.pred.reply) == 0 {
		return false
	}
	return slices.ContainsFunc(b.tools, func(t *node) bool {
		return t.parent == n.pred && t.span != nil && t.span.Start < n.span.Start
	})
}

func (b *builder) toolStep(s *Step, n *node) {
	s.Kind, s.Tool = KindTool, n.tool
	if n.tool.Result != nil && n.tool.Arguments != "" {
		s.Reasons = slices.DeleteFunc(s.Reasons, func(r Reason) bool { return r == ReasonRedacted }) // the model's own messages show it
	}
	if n.tool.Result == nil && s.Error == "" {
		s.Reasons = appendNew(s.Reasons, ReasonNoResult)
	}
	if n.tool.Arguments == "" {
		s.Reasons = appendNew(s.Reasons, ReasonNoArguments)
	}
}
