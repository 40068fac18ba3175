package trajectory

import (
	"maps"
	"slices"
	"strings"
)

// unwrap merges a wrapper into the inner call that it shows. It returns false
// when the wrapper shows a call of its own.
func (t *tree) unwrap(outer int, inner []int) bool {
	o := t.spans[outer]
	if o.Call == nil {
		return true
	}
	match, rolled := t.witnessed(o.Call, inner)
	switch {
	case match >= 0 && !rolled:
		t.spans[match] = t.joined(match, outer)
	case match < 0 && len(o.Call.Reply) > 0:
		return false
	}
	return true
}

// witnessed is the inner call that a wrapper shows, -1 for none. rolled says
// that the wrapper sums several calls up: its prompt is the first one's, its
// reply the last one's and its usage that of all.
func (t *tree) witnessed(o *Call, inner []int) (match int, rolled bool) {
	match, last, answered := -1, inner[0], -1
	for _, i := range inner {
		s := t.spans[i]
		if sameCall(o, s.Call) {
			match = i // the last one that fits: earlier ones are retries
		}
		if s.Error == "" {
			last = i
		}
		if emptyCall(s.Call) {
			continue
		}
		rolled = rolled || answered >= 0 && !sameCall(t.spans[answered].Call, s.Call)
		answered = i
	}
	if match >= 0 {
		return match, rolled
	}
	if answered < 0 && (len(o.Reply) > 0 || len(inner) == 1) {
		return last, false // content is captured outside only: the last call that did not fail has it
	}
	for _, i := range inner {
		if c := t.spans[i].Call; c != nil && (sameReply(c.Reply, o.Reply) || len(inner) == 1 && less(c.Reply, o.Reply)) {
			match, rolled = i, rolled || match >= 0
		}
	}
	return match, rolled
}

// sameReply says whether two witnesses show one reply.
func sameReply(a, b []*Message) bool {
	text, calls := flatten(a)
	other, others := flatten(b)
	if !slices.EqualFunc(calls, others, sameAsked) {
		return false
	}
	if text != other { // one of them may have lost the text beside the calls
		return (text == "" || other == "") && slices.ContainsFunc(calls, hasID) && slices.ContainsFunc(others, hasID)
	}
	return text != "" || len(calls) > 0
}

// sameAsked says whether two witnesses may show one tool call: what both show
// agrees.
func sameAsked(a, b ToolCall) bool {
	agree := func(x, y string) bool { return x == "" || y == "" || x == y }
	return agree(a.ID, b.ID) && agree(a.Name, b.Name) && (agree(a.Arguments, b.Arguments) || sameJSON(a.Arguments, b.Arguments))
}

// less says whether the first of two witnesses of a reply shows less of it:
// nothing, or the same words without the calls beside them.
func less(a, b []*Message) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(b) > 0
	}
	text, calls := flatten(a)
	other, others := flatten(b)
	return text == other && len(calls) == 0 && len(others) > 0
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
	if o.Gateway && m.Error == "" {
		m.Error = o.Error // an answer that broke off, whatever the agent made of it
	}
	if o.Dialect != "" && !strings.Contains(m.Dialect, o.Dialect) {
		m.Dialect = joinDialects(m.Dialect, o.Dialect)
	}
	m.Gateway = s.Gateway && o.Gateway // an agent's own span is the better witness
	setFirst(&m.Injected, o.Injected)
	setFirst(&m.Previous, o.Previous)
	if s.Call == nil {
		m.Call = o.Call
		return &m
	}
	if o.Call != nil {
		c := *s.Call
		c.fill(o.Call)
		if o.Gateway && !s.Gateway {
			c.servedBy(o.Call)
		}
		m.Call = &c
	}
	if o.Gateway != s.Gateway {
		m.Attributes = union(s.Attributes, o.Attributes)
	}
	return &m
}

func joinDialects(a, b string) string {
	if a == "" {
		return b
	}
	return a + "," + b
}

// servedBy takes from the gateway's witness what the gateway knows best: the
// tokens, how they were generated, and what served them.
func (c *Call) servedBy(g *Call) {
	own := *c
	c.ResponseModel, c.Adapter, c.Bundle = g.ResponseModel, g.Adapter, g.Bundle
	c.Temperature, c.TopP, c.TopK, c.MaxTokens, c.Seed = g.Temperature, g.TopP, g.TopK, g.MaxTokens, g.Seed
	c.Constrained, c.LogprobsMode = g.Constrained, g.LogprobsMode
	c.PromptTokenIDs, c.TokenIDs, c.Logprobs = g.PromptTokenIDs, g.TokenIDs, g.Logprobs
	c.fill(&own)
}

// union is both maps in one; a's values win.
func union(a, b map[string]string) map[string]string {
	if len(b) == 0 {
		return a
	}
	out := maps.Clone(b)
	maps.Copy(out, a)
	return out
}

// fill takes from o what c does not say.
func (c *Call) fill(o *Call) {
	if len(c.Prompt) == 0 || c.Outline && len(o.Prompt) > 0 && !o.Outline {
		c.Prompt, c.Apart, c.Unordered, c.Outline = o.Prompt, o.Apart, o.Unordered, o.Outline
	}
	if less(c.Reply, o.Reply) {
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
