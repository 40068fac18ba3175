package trajectory

import (
	"slices"
	"strings"
)

// modelCalls returns the spans that are model steps, in order, each with what
// its wrappers show merged into it.
//
// Of nested model spans that show the same call the innermost is the step. The
// walk from a span to its wrapper does not look through tools and agents: some
// frameworks hang those below the model span.
func (t *tree) modelCalls() []int {
	var inner map[int][]int // wrapper → the calls inside it
	wrapper := isModel
	stop := func(s *Span) bool { return isTool(s) || isAgent(s) }
	for i, s := range t.spans {
		if isModel(s) {
			if p := t.ancestor(i, wrapper, stop); p >= 0 {
				if inner == nil {
					inner = map[int][]int{}
				}
				inner[p] = append(inner[p], i)
			}
		}
	}
	var out []int
	for i := len(t.spans) - 1; i >= 0; i-- {
		if !isModel(t.spans[i]) {
			continue
		}
		if in := inner[i]; len(in) > 0 && t.unwrap(i, in) {
			continue
		}
		out = append(out, i)
	}
	slices.Reverse(out)
	return t.dropEmpty(t.dropTwins(out))
}

// unwrap merges a wrapper into the inner call that it shows. It returns false
// when the wrapper shows a call of its own.
func (t *tree) unwrap(outer int, inner []int) bool {
	o := t.spans[outer]
	match := -1
	for _, i := range inner {
		if sameCall(o.Call, t.spans[i].Call) {
			match = i // the last one that fits: earlier ones are retries
		}
	}
	switch {
	case match >= 0:
		t.spans[match] = merged(t.spans[match], o)
		return true
	case o.Call == nil || len(o.Call.Reply) == 0:
		return true // shows nothing that the inner calls lack
	case !slices.ContainsFunc(inner, func(i int) bool { return !emptyCall(t.spans[i].Call) }):
		// Content is captured outside only: the last call that did not fail has it.
		last := inner[len(inner)-1]
		for _, i := range inner {
			if t.spans[i].Error == "" {
				last = i
			}
		}
		t.spans[last] = merged(t.spans[last], o)
		return true
	}
	return t.replyShown(outer, inner)
}

// replyShown says whether the wrapper's reply is the reply of a call inside,
// and merges it into that call where there is no other.
func (t *tree) replyShown(outer int, inner []int) bool {
	o, match, many := t.spans[outer], -1, false
	text, calls := flatten(o.Call.Reply)
	for _, i := range inner {
		if c := t.spans[i].Call; c != nil {
			itext, icalls := flatten(c.Reply)
			if itext == text && slices.EqualFunc(icalls, calls, sameAsked) {
				match, many = i, match >= 0
			}
		}
	}
	if match >= 0 && !many {
		t.spans[match] = merged(t.spans[match], o)
	}
	return match >= 0
}

// sameAsked says whether two witnesses may show one tool call: what both show
// agrees.
func sameAsked(a, b ToolCall) bool {
	agree := func(x, y string) bool { return x == "" || y == "" || x == y }
	return agree(a.ID, b.ID) && agree(a.Name, b.Name) && (agree(a.Arguments, b.Arguments) || sameJSON(a.Arguments, b.Arguments))
}

func emptyCall(c *Call) bool { return c == nil || len(c.Prompt) == 0 && len(c.Reply) == 0 }

// sameCall says whether two spans show one call: one response id, else one
// prompt.
func sameCall(a, b *Call) bool {
	if a == nil || b == nil {
		return false
	}
	if a.ResponseID != "" && b.ResponseID != "" {
		return a.ResponseID == b.ResponseID
	}
	x, y := turns(a.Prompt), turns(b.Prompt)
	if len(x) == 0 || len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i] != y[i] && x[i].Key() != y[i].Key() {
			return false
		}
	}
	return true
}

// dropTwins removes the second witness of a call: two instrumentations of one
// client give sibling spans with one response id that overlap in time.
func (t *tree) dropTwins(calls []int) []int {
	byID := map[twinKey]int{} // call → its latest witness
	if len(calls) <= few {
		byID = nil
	}
	out := calls[:0]
	for _, i := range calls {
		s := t.spans[i]
		if s.Call == nil || s.Call.ResponseID == "" {
			out = append(out, i)
			continue
		}
		key := twinKey{s.TraceID, s.Call.ResponseID}
		first, twin := byID[key]
		if byID == nil {
			first, twin = t.witness(out, key)
		}
		if twin && t.spans[first].Start < s.End && s.Start < t.spans[first].End {
			t.spans[first] = merged(t.spans[first], s)
			continue
		}
		if byID != nil {
			byID[key] = i
		}
		out = append(out, i)
	}
	return out
}

type twinKey struct {
	trace    TraceID
	response string
}

// witness is the latest of some calls that shows the call.
func (t *tree) witness(calls []int, key twinKey) (int, bool) {
	for _, i := range slices.Backward(calls) {
		if s := t.spans[i]; s.Call != nil && s.Call.ResponseID == key.response && s.TraceID == key.trace {
			return i, true
		}
	}
	return 0, false
}

// merged fills what s lacks from o, another witness of the same call, in a
// copy.
func merged(s, o *Span) *Span {
	m := *s
	if m.Agent == "" {
		m.Agent = o.Agent
	}
	if m.Error == "" && o.Call != nil && len(o.Call.Reply) == 0 {
		m.Error = o.Error
	}
	if o.Dialect != "" && !strings.Contains(m.Dialect, o.Dialect) {
		m.Dialect = joinDialects(m.Dialect, o.Dialect)
	}
	m.Gateway = s.Gateway && o.Gateway // an agent's own span is the better witness
	setFirst(&m.Injected, o.Injected)
	if s.Call == nil {
		m.Call = o.Call
		return &m
	}
	if o.Call != nil {
		c := *s.Call
		c.fill(o.Call)
		m.Call = &c
	}
	return &m
}

// dropEmpty removes model spans that are no call of their own: a span that
// shows a prompt and nothing of an answer, where the next call of the same
// parent shows the same prompt with the answer (a streamed call that is
// reported when it starts and when it ends), and spans that show nothing at all
// beside calls that do (helpers that an instrumentation wraps too).
func (t *tree) dropEmpty(calls []int) []int {
	some := slices.ContainsFunc(calls, func(i int) bool { return shows(t.spans[i]) })
	var out []int
	for k, i := range calls {
		s := t.spans[i]
		switch {
		case answers(s) || s.Error != "" || len(s.Missing) > 0: // what was lost is a call all the same
		case emptyCall(s.Call) && some:
			continue
		default:
			if j := t.sequel(calls[k+1:], i); j >= 0 {
				whole := *merged(t.spans[j], s)
				whole.Start = s.Start
				t.spans[j] = &whole
				continue
			}
		}
		out = append(out, i)
	}
	return out
}

// sequel is the next call of the same parent, when it shows the same prompt.
func (t *tree) sequel(later []int, i int) int {
	for _, j := range later {
		if t.parent[j] == t.parent[i] {
			first, s := t.spans[i], t.spans[j]
			report := s.Start == s.End || s.Start <= first.End // a mark in time, or the same time: not a second call
			if report && answers(s) && sameCall(first.Call, s.Call) && s.Start >= first.Start && s.Error == "" {
				return j
			}
			return -1
		}
	}
	return -1
}

// answers says whether a span shows any trace of an answer.
func answers(s *Span) bool {
	c := s.Call
	return c != nil && (len(c.Reply) > 0 || c.ResponseID != "" || c.FinishReason != "" || c.OutputTokens != nil)
}

func shows(s *Span) bool { return answers(s) || !emptyCall(s.Call) }

func joinDialects(a, b string) string {
	if a == "" {
		return b
	}
	return a + "," + b
}

// fill takes from o what c does not say.
func (c *Call) fill(o *Call) {
	if len(c.Prompt) == 0 {
		c.Prompt = o.Prompt
	}
	if len(c.Reply) == 0 {
		c.Reply = o.Reply
	}
	text := func(dst *string, v string) {
		if *dst == "" {
			*dst = v
		}
	}
	text(&c.Provider, o.Provider)
	text(&c.RequestModel, o.RequestModel)
	text(&c.ResponseModel, o.ResponseModel)
	text(&c.Adapter, o.Adapter)
	text(&c.Bundle, o.Bundle)
	text(&c.ResponseID, o.ResponseID)
	text(&c.FinishReason, o.FinishReason)
	text(&c.LogprobsMode, o.LogprobsMode)
	text(&c.Tools, o.Tools)
	fillPtr(&c.InputTokens, o.InputTokens)
	fillPtr(&c.OutputTokens, o.OutputTokens)
	fillPtr(&c.CachedTokens, o.CachedTokens)
	fillPtr(&c.Temperature, o.Temperature)
	fillPtr(&c.TopP, o.TopP)
	fillPtr(&c.TopK, o.TopK)
	fillPtr(&c.MaxTokens, o.MaxTokens)
	fillPtr(&c.Seed, o.Seed)
	fillPtr(&c.Constrained, o.Constrained)
	if len(c.TokenIDs) == 0 {
		c.PromptTokenIDs, c.TokenIDs, c.Logprobs = o.PromptTokenIDs, o.TokenIDs, o.Logprobs
	}
}

func fillPtr[T any](dst **T, v *T) {
	if *dst == nil {
		*dst = v
	}
}
