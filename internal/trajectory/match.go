package trajectory

import (
	"slices"
	"strings"
)

// matchTools ties tool runs to the model calls that asked for them and to the
// results that the next call shows. A result without a span becomes a tool run
// without a span.
func (b *builder) matchTools() {
	m := matcher{builder: b, byID: b.runsByID()}
	for _, n := range b.calls {
		m.match(n)
	}
	b.tools = slices.DeleteFunc(b.tools, func(t *node) bool { return !t.claimed && t.span != nil && maybeTool(t.span) })
	b.settle()
}

// matcher matches the tool calls of one model call after the other.
type matcher struct {
	*builder
	byID      map[string][]*node
	elsewhere map[string]shown // made when it is needed
}

func (m *matcher) match(n *node) {
	_, calls := flatten(n.reply)
	if len(calls) == 0 {
		return
	}
	results, runs := m.results(n, calls), make([]*node, len(calls))
	for i := range calls {
		if runs[i] = m.take(m.byID, calls[i].ID); runs[i] == nil {
			runs[i] = m.search(n, &calls[i])
		}
		if runs[i] != nil {
			runs[i].claimed = true
		}
	}
	m.altered(n, calls, runs, results)
	for i := range calls {
		run, result := runs[i], results[i]
		switch {
		case run == nil && result.message == nil:
			continue // asked for; nothing says that it ran
		case run == nil:
			run = &node{at: -1, scope: n.scope, start: n.start, claimed: true, tool: &ToolRun{Name: calls[i].Name}}
			m.tools = append(m.tools, run)
		}
		run.parent = n
		run.adopt(&calls[i], result.message)
		run.after(n)
		if result.by != nil {
			result.by.after(run)
		}
	}
}

// results are what is shown of the calls' results, and the call that shows it.
func (m *matcher) results(n *node, calls []ToolCall) []shown {
	out := make([]shown, len(calls))
	for i, message := range shownResults(n, calls) {
		c := &calls[i]
		out[i] = shown{message, n.next}
		if message != nil || c.ID == "" || slices.ContainsFunc(calls[:i], func(e ToolCall) bool { return e.ID == c.ID }) {
			continue
		}
		if m.elsewhere == nil {
			m.elsewhere = m.resultsByID()
		}
		if s, ok := m.elsewhere[c.ID]; ok && s.by.start >= n.start && s.by != n {
			out[i] = s
		}
	}
	return out
}

// altered matches what neither an id nor arguments could: frameworks fill in
// defaults and normalize what the model wrote. A result that is shown has a run:
// the one of that name that returned it before it was shown. Where as many runs
// are left as calls, they are theirs, in order.
func (m *matcher) altered(n *node, calls []ToolCall, runs []*node, results []shown) {
	var done []string
	for i := range calls {
		if runs[i] != nil || results[i].message == nil || slices.Contains(done, calls[i].Name) {
			continue
		}
		done = append(done, calls[i].Name)
		var left []int
		for k := range calls {
			if runs[k] == nil && results[k].message != nil && results[k].by == results[i].by && calls[k].Name == calls[i].Name {
				left = append(left, k)
			}
		}
		spare := m.spare(n, &calls[i], results[i].by)
		claim := func(k int, run *node) { runs[k], run.claimed = run, true }
		for _, k := range left {
			if j := slices.IndexFunc(spare, func(t *node) bool { return !t.claimed && returned(t, results[k].message) }); j >= 0 {
				claim(k, spare[j])
			}
		}
		left = slices.DeleteFunc(left, func(k int) bool { return runs[k] != nil })
		spare = slices.DeleteFunc(spare, func(t *node) bool { return t.claimed })
		if len(spare) != len(left) {
			continue
		}
		for k, run := range spare {
			claim(left[k], run)
		}
	}
}

func returned(t *node, m *Message) bool {
	return t.tool.Result != nil && strings.TrimSpace(*t.tool.Result) == strings.TrimSpace(m.Text)
}

// spare are the runs of a name that nobody asked for, between a call and the one
// that shows their results.
func (m *matcher) spare(n *node, c *ToolCall, by *node) []*node {
	var out []*node
	for _, t := range m.tools {
		if !t.claimed && t.span != nil && t.start >= n.start && t.span.Start <= by.span.Start && sameName(t.tool.Name, c.Name) &&
			(t.tool.CallID == "" || c.ID == "" || t.tool.CallID == c.ID) {
			out = append(out, t)
		}
	}
	return out
}
