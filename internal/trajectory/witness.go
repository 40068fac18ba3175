package trajectory

import "slices"

// testify adds to model calls what spans that are no call of their own say of
// them: what went over the wire, the server's count of tokens. Such a span has
// RoleOther and a Call. The call is the nearest one above it, not through tools
// and agents, else the one of the same trace with its response id. For pieces
// of a reply see [builder.pieces].
func (t *tree) testify() {
	var heard map[int][]*Span // call → its witnesses
	for i, s := range t.spans {
		if s.Role != RoleOther || s.Call == nil {
			continue
		}
		at := t.ancestor(i, isModel, notOfTheCall)
		if at < 0 {
			at = t.answeredAs(s)
		}
		if at < 0 {
			continue
		}
		if heard == nil {
			heard = map[int][]*Span{}
		}
		heard[at] = append(heard[at], s)
	}
	for at, witnesses := range heard {
		t.spans[at] = testified(t.spans[at], witnesses)
	}
}

// answeredAs is the model call of the same trace with the response id of s, -1
// for none.
func (t *tree) answeredAs(s *Span) int {
	if s.Call.ResponseID == "" {
		return -1
	}
	return slices.IndexFunc(t.spans, func(m *Span) bool {
		return isModel(m) && m.TraceID == s.TraceID && m.Call != nil && m.Call.ResponseID == s.Call.ResponseID
	})
}

// testified is a copy of a call with what its witnesses say beside the reply.
func testified(s *Span, witnesses []*Span) *Span {
	m, c := *s, Call{}
	if s.Call != nil {
		c = *s.Call
	}
	for _, w := range witnesses {
		own := *w.Call
		own.Prompt, own.Reply = nil, nil
		c.fill(&own)
	}
	m.Call = &c
	return &m
}
