package trajectory

import (
	"cmp"
	"slices"
)

// tree is the spans of one trajectory in time order, with their parents.
type tree struct {
	spans  []*Span
	parent []int // index into spans; -1 = a root or a parent that is not here
}

type spanKey struct {
	trace TraceID
	span  SpanID
}

// newTree drops span ids that are known already and orders the rest by start.
func newTree(in []*Span) tree {
	t := tree{spans: make([]*Span, 0, len(in))}
	index := make(map[spanKey]int, len(in))
	for _, s := range in {
		key := spanKey{s.TraceID, s.SpanID}
		if _, known := index[key]; known && s.SpanID != (SpanID{}) {
			continue
		}
		index[key] = 0
		t.spans = append(t.spans, s)
	}
	slices.SortStableFunc(t.spans, func(a, b *Span) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(b.End, a.End), slices.Compare(a.SpanID[:], b.SpanID[:]))
	})
	for i, s := range t.spans {
		index[spanKey{s.TraceID, s.SpanID}] = i
	}
	t.parent = make([]int, len(t.spans))
	for i, s := range t.spans {
		t.parent[i] = -1
		if p, ok := index[spanKey{s.TraceID, s.ParentID}]; ok && s.ParentID != (SpanID{}) && p != i {
			t.parent[i] = p
		}
	}
	t.cutCycles()
	return t
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
// agent above it.
func (t *tree) agentOf(i int) string {
	if a := t.spans[i].Agent; a != "" {
		return a
	}
	if p := t.ancestor(i, func(s *Span) bool { return isAgent(s) && s.Agent != "" }, nil); p >= 0 {
		return t.spans[p].Agent
	}
	return ""
}

// scopeOf is the agent span (or the root) that a span runs under.
func (t *tree) scopeOf(i int) int {
	return t.ancestor(i, isAgent, nil)
}

// root is the span that stands for the attempt: the first root, agents before
// other structure; -1 for fragments.
func (t *tree) root() int {
	best := -1
	for i, s := range t.spans {
		if t.parent[i] >= 0 || s.Role == RoleModelSpan || s.Role == RoleToolSpan {
			continue
		}
		if best < 0 || (s.Role == RoleAgentSpan && t.spans[best].Role != RoleAgentSpan) {
			best = i
		}
	}
	return best
}

// missingParents counts spans whose parent should be here and is not. One
// missing parent above everything is a caller in another process, not a loss.
func (t *tree) missingParents() int {
	missing, roots := map[spanKey]bool{}, 0
	for i, s := range t.spans {
		switch {
		case t.parent[i] >= 0:
		case s.ParentID == (SpanID{}):
			roots++
		case !s.Remote:
			missing[spanKey{s.TraceID, s.ParentID}] = true
		}
	}
	if roots == 0 && len(missing) == 1 {
		return 0
	}
	return len(missing)
}
