package trajectory

import (
	"slices"
	"strings"
)

// wholePrompts finds the prompts of which the telemetry shows an outline only,
// or which only the loop around the calls shows. A prompt is taken where the
// outline proves it: the loop's own, or the prompt of the call before with its
// reply and the results of its tools. Any other outline is no prompt.
func (b *builder) wholePrompts() {
	if !slices.ContainsFunc(b.calls, func(n *node) bool {
		return n.call.Outline || n.held || n.scope >= 0 && b.tree.spans[n.scope].Call != nil
	}) {
		return
	}
	of := map[int]int{} // loop → calls of it that are still to come
	for _, n := range b.calls {
		of[n.scope]++
	}
	begun, room := map[int]bool{}, maxResumed
	for _, n := range b.calls {
		first := !begun[n.scope]
		begun[n.scope] = true
		of[n.scope]--
		var loop *Call
		if n.scope >= 0 {
			loop = b.tree.spans[n.scope].Call
		}
		again := n.retry && n.pred.held && n.scope == n.pred.scope
		if loop == nil && !n.call.Outline && !n.held && !again {
			continue
		}
		c := *n.call
		if loop != nil {
			c.ask(loop, first, of[n.scope] == 0)
		}
		switch {
		case again:
			c.Prompt, n.partial = n.pred.call.Prompt, n.pred.partial
		case n.held:
			whole := n.resumed()
			if room -= len(whole); whole != nil && room > 0 {
				c.Prompt = whole
			} else {
				n.partial = true
			}
		case c.Outline:
			c.Prompt, c.Outline = b.unfolded(n), false
		}
		n.call, n.turns = &c, turns(c.Prompt)
	}
}

// ask fills what a call lacks from the loop that it is part of: the first is
// sent the loop's prompt, the last gives the loop its response; what the loop
// used is known of the only one.
func (c *Call) ask(loop *Call, first, last bool) {
	own := *loop
	own.Reply = nil
	if !first || c.Outline && !outlines(c.Prompt, loop.Prompt) {
		own.Prompt = nil
	}
	if !last {
		own.ResponseID, own.FinishReason = "", ""
	}
	if !first || !last {
		own.InputTokens, own.OutputTokens, own.CachedTokens = nil, nil, nil
	}
	c.fill(&own)
}

// unfolded is the prompt of which n shows an outline; nil where nothing proves
// it.
func (b *builder) unfolded(n *node) []*Message {
	p := n.pred
	if p == nil || p.call.Outline || len(p.call.Prompt) == 0 {
		return nil
	}
	if n.retry {
		return p.call.Prompt
	}
	whole := append([]*Message(nil), p.call.Prompt...)
	whole = append(whole, p.reply...)
	_, calls := flatten(p.reply)
	for i := range calls {
		m := b.returned(p, &calls[i])
		if m == nil {
			return nil
		}
		whole = append(whole, m)
	}
	rest := n.call.Prompt
	if k := len(whole); len(calls) == 1 && len(rest) >= k && rest[k-1].Role == RoleTool && rest[k-1].Text != "" {
		m := *whole[k-1]
		m.Text = rest[k-1].Text // the tool's own words for the model
		whole[k-1] = &m
	}
	if len(rest) < len(whole) || !outlines(rest[:len(whole)], whole) {
		return nil
	}
	for _, m := range rest[len(whole):] {
		if m.Role != RoleUser && !instruction(m) {
			return nil
		}
		whole = append(whole, m)
	}
	return whole
}

// returned is what the tool that a call asked for returned, nil where it is not
// known.
func (b *builder) returned(n *node, c *ToolCall) *Message {
	for _, t := range b.tools {
		if t.parent == n && t.tool.CallID == c.ID && c.ID != "" {
			if t.tool.Result == nil || t.span != nil && t.span.Error != "" {
				return nil // what the model was told of a failure is not shown
			}
			return &Message{Role: RoleTool, ToolCallID: c.ID, Name: c.Name, Text: *t.tool.Result}
		}
	}
	return nil
}

// outlines says whether an outline fits a whole prompt: the same speakers, the
// same words where it has any, tools of the same names.
func outlines(outline, whole []*Message) bool {
	if len(outline) != len(whole) {
		return false
	}
	for i, o := range outline {
		m := whole[i]
		if o == m {
			continue
		}
		if o.Role != m.Role || len(o.ToolCalls) != len(m.ToolCalls) || o.Name != "" && m.Name != "" && o.Name != m.Name {
			return false
		}
		for k := range o.ToolCalls {
			if o.ToolCalls[k].Name != m.ToolCalls[k].Name {
				return false
			}
		}
		if o.Role == RoleTool && o.Text == "" {
			continue
		}
		if onOneLine(o.Text) != onOneLine(m.Text) {
			return false
		}
	}
	return true
}

// onOneLine is a text without its ends of lines: an outline runs the parts of a
// message together.
func onOneLine(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "\n", "") }
