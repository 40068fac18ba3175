package trajectory

import (
	"cmp"
	"slices"
)

// node is a step in the making.
type node struct {
	span  *Span // nil: a tool run that only the next prompt shows
	at    int   // index in the tree, -1 without a span
	scope int   // the agent span it runs under, -1 for none
	start int64 // effective start: never before what caused it
	depth int   // causes before it; orders equal starts
	index int   // final step index

	parent *node

	// Model calls.
	call    *Call      // nil for tools
	turns   []*Message // prompt without instructions
	hashes  []uint64   // running hash of turns
	pred    *node      // the call of the same thread before this one
	retry   bool       // pred was sent the very same prompt
	held    bool       // the prompt shows only what is new after pred, or after what is not known
	partial bool       // the beginning of the prompt is not known
	next    *node      // the first call that continues this one
	reply   []*Message // repaired
	unsure  bool       // the reply may have said more
	thread  int

	// Tool runs.
	tool    *ToolRun
	claimed bool // a call that asked for it is known
	parsed  *parsedJSON
}

// builder holds the state of one assembly.
type builder struct {
	tree  tree
	calls []*node
	tools []*node
	table messageTable
	hexed hexed
	room  *scratch

	results *results
}

func newBuilder(spans []*Span, r *scratch, out *results) *builder {
	b := &r.builder
	*b = builder{tree: newTree(spans, r), room: r, results: out}
	b.table.results = out
	calls := b.tree.modelCalls()
	b.calls = make([]*node, 0, len(calls))
	r.nodes = sized(r.nodes, len(b.tree.spans)) // one piece, most are used
	nodes := r.nodes
	for k, i := range calls {
		s, n := b.tree.spans[i], &nodes[k]
		*n = node{span: s, at: i, scope: b.tree.scopeOf(i), start: s.Start, call: s.Call}
		if n.call == nil {
			n.call = &Call{}
		}
		n.reply = n.call.Reply
		b.calls = append(b.calls, n)
	}
	nodes = nodes[len(calls):]
	b.newTools(nodes)
	b.dropRelays()
	return b
}

// newTools makes the tool runs out of a piece of nodes that is long enough.
func (b *builder) newTools(nodes []node) {
	b.results.runs = sized(b.results.runs, len(nodes))
	runs := b.results.runs[:0]
	b.tools = make([]*node, 0, len(nodes))
	for i, s := range b.tree.spans {
		if !isTool(s) && !maybeTool(s) || b.innerTool(i) {
			continue
		}
		runs = append(runs, ToolRun{})
		tool, n := &runs[len(runs)-1], &nodes[len(runs)-1]
		if s.Tool != nil {
			*tool = *s.Tool
		}
		*n = node{span: s, at: i, scope: b.tree.scopeOf(i), start: s.Start, tool: tool}
		b.tools = append(b.tools, n)
	}
}

// maybeTool says whether a span is of a traced function, which was a tool run
// if a call asked for it.
func maybeTool(s *Span) bool { return s.Role == RoleOther && s.Tool != nil }

// innerTool says whether a tool span is the inner witness of a tool run that
// an outer span shows too (an MCP client below an execute_tool span). What only
// the inner span shows is moved out.
func (b *builder) innerTool(i int) bool {
	p := b.tree.ancestor(i, isTool, func(s *Span) bool { return isAgent(s) || isModel(s) })
	if p < 0 {
		return false
	}
	in, out := b.tree.spans[i], b.tree.spans[p]
	if in.Tool == nil || out.Tool == nil || !sameTool(out.Tool, in.Tool) {
		return false
	}
	for _, n := range b.tools {
		if n.at == p {
			n.witness(in)
		}
	}
	return true
}

// witness takes from another span of the same run what the run's own lacks. It
// failed if the other says so and no result is shown.
func (n *node) witness(o *Span) {
	n.tool.fill(o.Tool)
	if n.span.Error == "" && o.Error != "" && n.tool.Result == nil {
		s := *n.span
		s.Error = o.Error
		n.span = &s
	}
}

// dropRelays removes tool runs that are shown a second time by how they were
// reached: an MCP client's or server's span within the time of the run itself,
// in another branch of the trace.
func (b *builder) dropRelays() {
	if !slices.ContainsFunc(b.tools, func(n *node) bool { return n.span.Relay }) {
		return
	}
	shown, relays := map[*node]bool{}, map[*node]bool{}
	for _, n := range b.tools {
		if !n.span.Relay {
			continue
		}
		if run := b.relayed(n, shown); run != nil {
			shown[run], relays[n] = true, true
			run.witness(n.span)
		}
	}
	b.tools = slices.DeleteFunc(b.tools, func(n *node) bool { return relays[n] })
}

// relayed is the run that a relay shows: the latest of that tool, of those that
// no other relay shows, that began before it and ended after it.
func (b *builder) relayed(n *node, taken map[*node]bool) *node {
	var run *node
	for _, t := range b.tools {
		if t.start > n.start {
			break
		}
		if !t.span.Relay && !taken[t] && t.span.TraceID == n.span.TraceID && n.span.End <= t.span.End+tick && sameTool(t.tool, n.tool) {
			run = t
		}
	}
	return run
}

func sameTool(a, b *ToolRun) bool {
	if a.CallID != "" && b.CallID != "" {
		return a.CallID == b.CallID
	}
	return sameName(a.Name, b.Name) && (a.Arguments == "" || b.Arguments == "" || sameJSON(a.Arguments, b.Arguments))
}

func (r *ToolRun) fill(o *ToolRun) {
	if r.Name == "" {
		r.Name = o.Name
	}
	if r.CallID == "" {
		r.CallID = o.CallID
	}
	if r.Arguments == "" {
		r.Arguments = o.Arguments
	}
	fillPtr(&r.Result, o.Result)
}

// ordered returns all steps in order: by effective start, causes first.
func (b *builder) ordered() []*node {
	all := make([]*node, 0, len(b.calls)+len(b.tools))
	all = append(all, b.calls...)
	all = append(all, b.tools...)
	slices.SortStableFunc(all, func(x, y *node) int {
		return cmp.Or(cmp.Compare(x.start, y.start), cmp.Compare(x.depth, y.depth), cmp.Compare(x.at, y.at))
	})
	for i, n := range all {
		n.index = i
	}
	return all
}

// after makes sure that n comes after its cause.
func (n *node) after(cause *node) {
	if cause == nil {
		return
	}
	n.start = max(n.start, cause.start)
	n.depth = max(n.depth, cause.depth+1)
}
