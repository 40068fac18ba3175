package trajectory

import (
	"cmp"
	"slices"
)

// tree is the spans of one trajectory in time order, with their parents. A root
// that links to a span of another trace is below it.
type tree struct {
	spans  []*Span
	parent []int // index into spans; -1 = a root or a parent that is not here
}

type spanKey struct {
	trace TraceID
	span  SpanID
}

// newTree drops span ids that are known already and orders the rest by start.
func newTree(in []*Span, r *scratch) tree {
	t := tree{spans: sized(r.spans, len(in))[:0], parent: sized(r.parent, len(in))}
	index := newSpanIndex(len(in))
	for _, s := range in {
		key := spanKey{s.TraceID, s.SpanID}
		if s.SpanID != (SpanID{}) && index.at(t.spans, key) >= 0 {
			continue
		}
		t.spans = append(t.spans, s)
		index.put(key, len(t.spans)-1)
	}
	slices.SortStableFunc(t.spans, func(a, b *Span) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(b.End, a.End), slices.Compare(a.SpanID[:], b.SpanID[:]))
	})
	for i, s := range t.spans {
		index.put(spanKey{s.TraceID, s.SpanID}, i)
	}
	t.parent = t.parent[:len(t.spans)]
	for i, s := range t.spans {
		t.parent[i] = -1
		above := spanKey{s.TraceID, s.ParentID}
		if s.ParentID == (SpanID{}) {
			if s.Link == nil || s.Link.Message {
				continue // who sent a message does not do the work
			}
			above = spanKey{s.Link.TraceID, s.Link.SpanID}
		}
		if p := index.at(t.spans, above); p != i && (p < 0 || s.ParentID != (SpanID{}) || s.LedBy(t.spans[p])) {
			t.parent[i] = p
		}
	}
	t.cutCycles()
	t.graphs()
	return t
}

// graphs makes agents of the graphs that run inside others: the nodes below
// such a span are in one graph more than the span is. Frameworks show graphs,
// nodes and what runs in a node as the same kind of span.
func (t *tree) graphs() {
	for i, s := range t.spans {
		p := t.parent[i]
		if p < 0 || s.Graph == 0 {
			continue
		}
		if g := t.spans[p]; g.Graph > 0 && g.Graph < s.Graph && g.Role == RoleOther {
			agent := *g
			agent.Role = RoleAgentSpan
			if agent.Agent == "" && g.Name != anyGraph {
				agent.Agent = g.Name
			}
			t.spans[p] = &agent
		}
	}
}

// anyGraph is what LangGraph calls a graph that has no name.
const anyGraph = "LangGraph"

// spanIndex finds spans by id. It is nil for a few, which are searched.
type spanIndex map[spanKey]int

func newSpanIndex(n int) spanIndex {
	if n <= few {
		return nil
	}
	return make(spanIndex, n)
}

func (x spanIndex) put(key spanKey, i int) {
	if x != nil {
		x[key] = i
	}
}

// at is the index of a span, of the last one with that id; -1 for none.
func (x spanIndex) at(spans []*Span, key spanKey) int {
	if x != nil {
		if i, ok := x[key]; ok {
			return i
		}
		return -1
	}
	for i := len(spans) - 1; i >= 0; i-- {
		if spans[i].SpanID == key.span && spans[i].TraceID == key.trace {
			return i
		}
	}
	return -1
}

// cutCycles makes every walk to a root end: bad data can name itself as its
// own ancestor.
func (t *tree) cutCycles() {
	state := make([]uint8, len(t.spans)) // 0 new, 1 on this walk, 2 done
	for i := range t.spans {
		walk := i
		for walk >= 0 && state[walk] == 0 {
			state[walk] = 1
			if p := t.parent[walk]; p >= 0 && state[p] == 1 {
				t.parent[walk] = -1
			}
			walk = t.parent[walk]
		}
		for walk = i; walk >= 0 && state[walk] == 1; walk = t.parent[walk] {
			state[walk] = 2
		}
	}
}

// ancestor returns the nearest ancestor for which want is true, -1 for none.
// stop ends the walk before it looks further up.
func (t *tree) ancestor(i int, want, stop func(*Span) bool) int {
	for p := t.parent[i]; p >= 0; p = t.parent[p] {
		if want(t.spans[p]) {
			return p
		}
		if stop != nil && stop(t.spans[p]) {
			return -1
		}
	}
	return -1
}

func isAgent(s *Span) bool { return s.Role == RoleAgentSpan }
func isTool(s *Span) bool  { return s.Role == RoleToolSpan }
func isModel(s *Span) bool { return s.Role == RoleModelSpan }

// agentOf is the agent that a span works for: its own word, else the nearest
// agent above it, which may be known from the tool run that started it.
func (t *tree) agentOf(i int) string {
	if a := t.spans[i].Agent; a != "" {
		return a
	}
	if p := t.ancestor(i, func(s *Span) bool { return isAgent(s) && s.Agent != "" || s.Starts != "" }, nil); p >= 0 {
		return cmp.Or(t.spans[p].Starts, t.spans[p].Agent)
	}
	return ""
}

// scopeOf is the agent span (or the root) that a span runs under.
func (t *tree) scopeOf(i int) int {
	return t.ancestor(i, isAgent, nil)
}

// contextOf is the agent span or the tool run that a span runs under: what runs
// below a tool is a context of its own.
func (t *tree) contextOf(i int) int {
	return t.ancestor(i, func(s *Span) bool { return isAgent(s) || isTool(s) }, nil)
}

// root is the span that stands for the attempt: the first root, agents before
// other structure and both before what only records tell; -1 for fragments. A model call is one where it shows what the
// run came to: its span was the run's, see [ReasonOverwritten].
func (t *tree) root() int {
	best := -1
	for i, s := range t.spans {
		if t.parent[i] >= 0 || isTool(s) || isModel(s) && s.Out == "" {
			continue
		}
		if best < 0 || s.standing() > t.spans[best].standing() {
			best = i
		}
	}
	return best
}

// standing is how much a root counts among others.
func (s *Span) standing() int {
	switch {
	case s.Told:
		return 0
	case s.Role == RoleAgentSpan:
		return 2
	}
	return 1
}

// missingParents counts spans whose parent should be here and is not. A parent
// that is flagged remote is a caller in another process; so is the one missing
// parent of the one agent or workflow that stands above everything else. Model
// calls and tool runs whose parent is missing are what is left of a run.
func (t *tree) missingParents() int {
	missing, tops, whole := 0, 0, false
	for i, s := range t.spans {
		if t.parent[i] >= 0 {
			continue
		}
		tops++
		if s.ParentID != (SpanID{}) && !s.Remote {
			missing++
			whole = !isModel(s) && !isTool(s)
		}
	}
	if tops == 1 && whole {
		return 0
	}
	return missing
}
