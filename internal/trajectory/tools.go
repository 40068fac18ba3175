package trajectory

import "strings"

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
	if n.next == nil || len(n.turns) == 0 || n.next.call.Outline {
		return make([]*Message, len(calls))
	}
	rest := n.next.turns
	if !n.next.held {
		rest = rest[len(n.turns):]
	}
	rest = rest[len(leading(rest)):]
	shown := 0
	for shown < len(rest) && rest[shown].Role == RoleTool {
		shown++
	}
	return paired(calls, rest[:shown])
}

// paired finds the result of each tool call: by id, else by order where an id
// is missing. Where the two know nothing but ids of different kinds (OpenAI's
// Responses have one for the item and one for the call), as many results as
// calls are in the same order.
func paired(calls []ToolCall, results []*Message) []*Message {
	out := make([]*Message, len(calls))
	used := make([]bool, len(results))
	pair := func(fits func(c *ToolCall, m *Message) bool) (some bool) {
		for i := range calls {
			for k, m := range results {
				if out[i] == nil && !used[k] && fits(&calls[i], m) {
					out[i], used[k], some = m, true, true
				}
			}
		}
		return some
	}
	sameTool := func(c *ToolCall, m *Message) bool { return m.Name == "" || sameName(m.Name, c.Name) }
	known := pair(func(c *ToolCall, m *Message) bool { return m.ToolCallID != "" && m.ToolCallID == c.ID })
	known = pair(func(c *ToolCall, m *Message) bool { return (m.ToolCallID == "" || c.ID == "") && sameTool(c, m) }) || known
	if !known && len(results) == len(calls) {
		for i := range calls {
			if sameTool(&calls[i], results[i]) {
				out[i] = results[i]
			}
		}
	}
	return out
}

// search finds the run of a call by name and arguments, then by name where the
// span shows no arguments, by arguments where it shows no name; the earliest
// that started after the call.
func (b *builder) search(n *node, c *ToolCall) *node {
	var best *node
	bestFit := fitNo
	var wanted *parsedJSON
	for _, t := range b.tools {
		nameless := t.tool.Name == ""
		if t.claimed || t.span == nil || t.start < n.start || !nameless && !sameName(t.tool.Name, c.Name) {
			continue
		}
		if bestFit == fitSame && best.scope == n.scope && t.start >= best.start && best.tool.Name != "" && !maybeTool(best.span) {
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
		if nameless && f <= fitNone {
			continue
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

// closer prefers spans of tools to those of functions and to those without a
// name, then runs of the same agent, then the earliest.
func closer(n, t, than *node) bool {
	if (t.tool.Name == "") != (than.tool.Name == "") {
		return t.tool.Name != ""
	}
	if maybeTool(t.span) != maybeTool(than.span) {
		return maybeTool(than.span)
	}
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
