package trajectory

import (
	"slices"
	"strings"
)

// matchTools ties tool runs to the model calls that asked for them and to the
// results that the next call shows. A result without a span becomes a tool run
// without a span.
func (b *builder) matchTools() {
	runs := b.runsByID()
	var elsewhere map[string]shown
	for _, n := range b.calls {
		_, calls := flatten(n.reply)
		results := shownResults(n, calls)
		for i := range calls {
			c, next := &calls[i], n.next
			if results[i] == nil && c.ID != "" && !slices.ContainsFunc(calls[:i], func(e ToolCall) bool { return e.ID == c.ID }) {
				if elsewhere == nil {
					elsewhere = b.resultsByID()
				}
				if s, ok := elsewhere[c.ID]; ok && s.by.start >= n.start && s.by != n {
					results[i], next = s.message, s.by
				}
			}
			run := b.take(runs, c.ID)
			if run == nil {
				run = b.search(n, c)
			}
			if run == nil && results[i] == nil {
				continue // asked for; nothing says that it ran
			}
			if run == nil {
				run = &node{at: -1, scope: n.scope, start: n.start, tool: &ToolRun{Name: c.Name}}
				b.tools = append(b.tools, run)
			}
			run.claimed = true
			run.parent = n
			run.adopt(c, results[i])
			run.after(n)
			if next != nil {
				next.after(run)
			}
		}
	}
	b.settle()
}

// shown is a tool result and the first call whose prompt has it.
type shown struct {
	message *Message
	by      *node
}

// resultsByID finds results in prompts that do not continue the call that asked:
// conversations that the server holds, histories that were trimmed.
func (b *builder) resultsByID() map[string]shown {
	out := map[string]shown{}
	for _, n := range b.calls {
		for _, m := range n.turns {
			if m.Role != RoleTool || m.ToolCallID == "" {
				continue
			}
			if s, ok := out[m.ToolCallID]; !ok || n.start < s.by.start {
				out[m.ToolCallID] = shown{m, n}
			}
		}
	}
	return out
}

// runsByID is nil for a few runs, which are searched.
func (b *builder) runsByID() map[string][]*node {
	if len(b.tools) <= few {
		return nil
	}
	runs := map[string][]*node{}
	for _, t := range b.tools {
		if t.tool.CallID != "" {
			runs[t.tool.CallID] = append(runs[t.tool.CallID], t)
		}
	}
	return runs
}

// take is the first run with the id of a call that nothing is known to have
// asked for.
func (b *builder) take(runs map[string][]*node, id string) *node {
	if id == "" {
		return nil
	}
	list := b.tools
	if runs != nil {
		list = runs[id]
	}
	for _, t := range list {
		if !t.claimed && t.tool.CallID == id && t.span != nil {
			return t
		}
	}
	return nil
}

// adopt fills a run with what the call that asked for it and the prompt that
// shows its result say.
func (r *node) adopt(c *ToolCall, result *Message) {
	if r.tool.CallID == "" {
		r.tool.CallID = c.ID
	}
	if c.Arguments != "" && (r.tool.Arguments == "" || hands(c.Name) || fitsJSON(r.tool.Arguments, c.Arguments)) {
		r.tool.Arguments = c.Arguments
	}
	if r.tool.Name == "" || c.Name != "" && sameName(r.tool.Name, c.Name) {
		r.tool.Name = c.Name
	}
	if result != nil {
		r.tool.Result = &result.Text // an empty text is an empty result
		if result.Text == "" && result.Parts != "" {
			r.tool.Result = &result.Parts
		}
	}
}

// settle pushes the causes through: a later call comes after the tool runs
// that its prompt shows, and so do those that continue it.
func (b *builder) settle() {
	for changed, round := true, 0; changed && round < 64; round++ {
		changed = false
		for _, n := range b.calls {
			start, depth := n.start, n.depth
			n.after(n.pred)
			changed = changed || start != n.start || depth != n.depth
		}
		for _, t := range b.tools {
			start, depth := t.start, t.depth
			t.after(t.parent)
			if t.parent != nil && t.parent.next != nil {
				next := *t.parent.next
				t.parent.next.after(t)
				changed = changed || next.start != t.parent.next.start || next.depth != t.parent.next.depth
			}
			changed = changed || start != t.start || depth != t.depth
		}
	}
}

// shownResults returns for each tool call of n the message that answers it in
// the next call's prompt: by id, else by order. nil = not shown.
func shownResults(n *node, calls []ToolCall) []*Message {
	if len(calls) == 0 {
		return nil
	}
	out := make([]*Message, len(calls))
	if n.next == nil || len(n.turns) == 0 || n.next.call.Outline {
		return out
	}
	rest := n.next.turns[len(n.turns):]
	rest = rest[len(leading(rest)):]
	shown := 0
	for shown < len(rest) && rest[shown].Role == RoleTool {
		shown++
	}
	rest = rest[:shown]
	for i := range calls {
		for _, m := range rest {
			if m.ToolCallID != "" && m.ToolCallID == calls[i].ID && !slices.Contains(out, m) {
				out[i] = m
				break
			}
		}
	}
	for i := range calls {
		for _, m := range rest {
			if out[i] == nil && (m.ToolCallID == "" || calls[i].ID == "") && (m.Name == "" || sameName(m.Name, calls[i].Name)) && !slices.Contains(out, m) {
				out[i] = m
			}
		}
	}
	return out
}

// search finds the run of a call by name and arguments, then by name where the
// span shows no arguments; the earliest that started after the call.
func (b *builder) search(n *node, c *ToolCall) *node {
	var best *node
	bestFit := fitNo
	var wanted *parsedJSON
	for _, t := range b.tools {
		if t.claimed || t.span == nil || t.start < n.start || !sameName(t.tool.Name, c.Name) {
			continue
		}
		if bestFit == fitSame && best.scope == n.scope && t.start >= best.start {
			break // runs are in order: nothing closer follows
		}
		if t.tool.CallID != "" && c.ID != "" && t.tool.CallID == c.ID {
			return t
		}
		if wanted == nil {
			wanted = parseJSON(c.Arguments)
		}
		f := fitNone
		if t.tool.Arguments != "" {
			f = t.arguments().fits(wanted)
		}
		if f == fitNo && hands(c.Name) {
			f = fitNone
		}
		if f > bestFit || f == bestFit && f != fitNo && closer(n, t, best) {
			best, bestFit = t, f
		}
	}
	return best
}

// arguments are parsed once.
func (r *node) arguments() *parsedJSON {
	if r.parsed == nil {
		r.parsed = parseJSON(r.tool.Arguments)
	}
	return r.parsed
}

// closer prefers runs of the same agent, then the earliest.
func closer(n, t, than *node) bool {
	if (t.scope == n.scope) != (than.scope == n.scope) {
		return t.scope == n.scope
	}
	return t.start < than.start
}

// sameName compares tool names; frameworks prefix the server or plugin
// (mcp__shop__get_weather, shop-get_weather, shop.get_weather), add the method
// (get_weather.__call__), and have words of their own for handing over to
// another agent (transfer_to_x, handoff to x).
func sameName(a, b string) bool {
	if a == b {
		return true
	}
	a, b = plainName(a), plainName(b)
	if len(a) < len(b) {
		a, b = b, a
	}
	if a == b || b != "" && strings.HasSuffix(a, "_"+b) {
		return true
	}
	to, ok := handover(a)
	other, both := handover(b)
	return ok && both && to == other
}

// hands says whether a tool call hands over to another agent. Frameworks show
// such a run with arguments of their own.
func hands(name string) bool {
	_, ok := handover(plainName(name))
	return ok
}

// handover is the agent that a tool name hands over to.
func handover(name string) (string, bool) {
	for _, prefix := range []string{"transfer_to_", "handoff_to_", "handover_to_", "delegate_to_", "handoff_"} {
		if to, ok := strings.CutPrefix(name, prefix); ok && to != "" {
			return to, true
		}
	}
	return "", false
}

func plainName(s string) string {
	s = strings.TrimSuffix(s, ".__call__")
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '_'
	}, s)
}
