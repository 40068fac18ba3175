package trajectory

import (
	"cmp"
	"slices"
	"strings"
)

// ask finds for tool runs that no reply asks for the calls that did, where the
// telemetry does not show what replies ask for: in an agent's loop the last call
// of the same context before a run is the one. It must have ended in asking for
// tools; where no call says how it ended, none may show a prompt or a tool call.
func (b *builder) ask() {
	if !slices.ContainsFunc(b.tools, func(t *node) bool { return t.tool.CallID != "" }) {
		return
	}
	silent := true
	known := map[string]bool{}
	for _, n := range b.calls {
		_, calls := flatten(n.reply)
		for i := range calls {
			known[calls[i].ID] = true
		}
		silent = silent && len(calls) == 0 && len(n.turns) == 0 && n.call.FinishReason == ""
	}
	askers := b.askers(silent)
	if len(askers) == 0 {
		return
	}
	for _, t := range b.tools { // by start
		if t.tool.CallID == "" || known[t.tool.CallID] {
			continue
		}
		if n := asker(askers[b.context(t)], t); n != nil {
			known[t.tool.CallID] = true
			n.asks(t.tool)
		}
	}
}

// askers are the calls, by context and by start. Those that show whether they
// asked for tools are marked by nil: what runs after them was not asked for
// before them.
func (b *builder) askers(silent bool) map[context][]*node {
	out, some := map[context][]*node{}, false
	for _, n := range b.calls {
		c := b.context(n)
		out[c] = append(out[c], n)
		some = some || n.mayAsk(silent)
	}
	if !some {
		return nil
	}
	for _, list := range out {
		slices.SortStableFunc(list, func(x, y *node) int { return cmp.Compare(x.start, y.start) })
		for i, n := range list {
			if !n.mayAsk(silent) {
				list[i] = &node{start: n.start, span: n.span}
			}
		}
	}
	return out
}

// mayAsk says whether a call asked for tools, or may have, and does not show for
// which.
func (n *node) mayAsk(silent bool) bool {
	if n.span.Error != "" {
		return false
	}
	if _, calls := flatten(n.reply); len(calls) > 0 || n.next != nil && len(n.turns) > 0 {
		return false // what comes after it shows its reply
	}
	finish := strings.ToLower(n.call.FinishReason)
	return silent || strings.Contains(finish, "tool") || strings.Contains(finish, "function")
}

// asker is the last of some calls that started before a run, nil where the one
// before it was still going on or where it is not one that may have asked.
func asker(calls []*node, t *node) *node {
	k, _ := slices.BinarySearchFunc(calls, t.start+1, func(n *node, at int64) int { return cmp.Compare(n.start, at) })
	if k == 0 || calls[k-1].call == nil || k > 1 && calls[k-2].span.End > t.start {
		return nil
	}
	return calls[k-1]
}

// asks adds to a reply the tool call that a run answers. Messages are shared: it
// changes a copy.
func (n *node) asks(run *ToolRun) {
	m := &Message{Role: RoleAssistant}
	if len(n.reply) > 0 {
		last := *n.reply[len(n.reply)-1]
		m = &last
		n.reply = slices.Clone(n.reply[:len(n.reply)-1])
	}
	m.ToolCalls = append(slices.Clip(m.ToolCalls), ToolCall{ID: run.CallID, Name: run.Name, Arguments: run.Arguments})
	n.reply, n.unsure = append(n.reply, m), true
}
