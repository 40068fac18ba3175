package trajectory

import (
	"cmp"
	"slices"
	"strings"
)

// Cut splits the spans of joined fragments into trajectories, in order of
// their first call. A new user message after an answer without open tool calls
// starts the next one. The cut follows threads: what continues a call stays
// with it, even where two attempts of one session overlap.
//
// A call that continues nothing belongs to a trajectory if it asks about the
// same user message (a retry, a handover with a rewritten history), shows no
// user message at all (the server holds the history), or is a sub-agent's: the
// trajectory waits for a tool, and the call has other instructions or repeats
// what the tool was asked. Spans that are no model call go with the call that
// asked for them.
func Cut(spans []*Span) [][]*Span {
	spans = Restore(spans)
	c := newCutter()
	var others []*Span
	for _, s := range spans {
		if isModel(s) && s.Call != nil {
			c.calls = append(c.calls, newFragment(s))
		} else {
			others = append(others, s)
		}
	}
	if len(c.calls) == 0 {
		return [][]*Span{spans}
	}
	slices.SortStableFunc(c.calls, func(a, b *fragment) int {
		return cmp.Or(cmp.Compare(a.span.Start, b.span.Start), cmp.Compare(len(a.hashes), len(b.hashes)))
	})
	for i, f := range c.calls {
		f = c.whole(f)
		c.calls[i] = f
		c.place(f)
	}
	slices.SortStableFunc(others, func(a, b *Span) int { return cmp.Compare(a.Start, b.Start) })
	for _, s := range others {
		p := c.home(s)
		p.spans = append(p.spans, s)
	}
	out := make([][]*Span, len(c.parts))
	for i, p := range c.parts {
		out[i] = p.spans
	}
	return out
}

// fragment is one model call of the cluster.
type fragment struct {
	span   *Span
	turns  []*Message
	hashes []uint64
	asked  string // the user message it asks about
	depth  int    // turns up to and with that message
	part   *part
	ran    []string // ids of its tool calls whose run is placed
	done   bool     // a later call shows what its tool calls returned

	unknown bool // the server held the beginning of its prompt, which is not known
}

func newFragment(s *Span) *fragment {
	f := &fragment{span: s, turns: turns(s.Call.Prompt), hashes: s.Call.Prefixes()}
	for i := len(f.turns) - 1; i >= 0; i-- {
		if f.turns[i].Role == RoleUser && f.turns[i].Text != "" {
			f.asked, f.depth = strings.TrimSpace(f.turns[i].Text), i+1
			break
		}
	}
	return f
}

// part is one trajectory in the making.
type part struct {
	spans []*Span
	calls []*fragment
	asked string
}

type cutter struct {
	calls    []*fragment
	parts    []*part
	byPrompt map[uint64][]*fragment // hash of a whole prompt → placed calls
	byID     map[string]*fragment   // id of a response or of a tool call → the last placed call that has it
	room     int                    // for prompts that are put together
}

func newCutter() cutter {
	return cutter{byPrompt: map[uint64][]*fragment{}, byID: map[string]*fragment{}, room: maxResumed}
}

// whole is a call with its whole prompt where the server held the beginning of
// it: that may be in another trajectory.
func (c *cutter) whole(f *fragment) *fragment {
	resumes := answersUnasked(f.turns)
	if f.span.Previous == "" && !resumes {
		return f
	}
	before := c.byID[f.span.Previous]
	if before == nil && resumes {
		before = c.byID[f.turns[0].ToolCallID]
	}
	if before == nil || before.unknown {
		f.unknown = true
		return f
	}
	prompt := f.span.Call.resumed(f.span.Previous, before.span.Call, before.span.Call.Reply)
	if c.room -= len(prompt); prompt == nil || c.room < 0 {
		f.unknown = true
		return f
	}
	s, call := *f.span, *f.span.Call
	call.Prompt, s.Call, s.Previous = prompt, &call, ""
	return newFragment(&s)
}

// place puts a call into the trajectory that it belongs to.
func (c *cutter) place(f *fragment) {
	p := c.continued(f)
	if p == nil {
		p = c.related(f)
	}
	if p == nil {
		p = c.begin(f)
	}
	c.put(f, p)
}

// begin makes a trajectory for a call.
func (c *cutter) begin(f *fragment) *part {
	p := &part{asked: f.asked}
	c.parts = append(c.parts, p)
	return p
}

func (c *cutter) put(f *fragment, p *part) {
	f.part = p
	p.calls = append(p.calls, f)
	p.spans = append(p.spans, f.span)
	if n := len(f.hashes); n > 0 {
		c.byPrompt[f.hashes[n-1]] = append(c.byPrompt[f.hashes[n-1]], f)
	}
	if id := f.span.Call.ResponseID; id != "" {
		c.byID[id] = f
	}
	for _, m := range f.span.Call.Reply {
		for i := range m.ToolCalls {
			if id := m.ToolCalls[i].ID; id != "" {
				c.byID[id] = f
			}
		}
	}
}

// continued is the trajectory of the call that f continues, nil if there is
// none or f brings a new user message after its answer.
func (c *cutter) continued(f *fragment) *part {
	for i := len(f.hashes) - 2; i >= 0; i-- {
		var best *fragment
		bestFit := FitNo
		for _, e := range c.byPrompt[f.hashes[i]] {
			if fit := echoes(e.span.Call.Reply, f.turns[i+1:]); fit != FitNo && fit >= bestFit {
				best, bestFit = e, fit
			}
		}
		if best == nil {
			continue
		}
		if f.depth > i+1 { // a user message came after that call's prompt
			_, calls := flatten(best.span.Call.Reply)
			if (len(calls) == 0 || answeredBefore(f)) && !f.sameTurn(best) {
				return nil
			}
		}
		best.done = true
		return best.part
	}
	return nil
}

// sameTurn says whether two calls work on one message of the user, by the
// agent's own word: what else stands in the place of a user's message, the
// harness put there.
func (f *fragment) sameTurn(e *fragment) bool {
	return f.span.Turn != "" && f.span.Turn == e.span.Turn
}

// answeredBefore says whether the turn before the new user message is an
// answer without open tool calls: the call that gave it may be missing.
func answeredBefore(f *fragment) bool {
	if f.depth < 2 {
		return false
	}
	before := f.turns[f.depth-2]
	return before.Role == RoleAssistant && len(before.ToolCalls) == 0
}

// related is the trajectory of a call that continues none.
func (c *cutter) related(f *fragment) *part {
	for i := len(c.parts) - 1; i >= 0; i-- {
		p := c.parts[i]
		switch {
		case f.asked == "" && i == len(c.parts)-1:
			return p
		case f.asked == p.asked && p.asks(f):
			return p
		case p.delegates(f):
			return p
		}
	}
	return nil
}

// asks says whether f asks the same question as a call of p: at the same place
// of the conversation, not the same words again after an answer.
func (p *part) asks(f *fragment) bool {
	for _, e := range p.calls {
		if e.asked == f.asked && len(e.turns) >= f.depth {
			return true
		}
	}
	return false
}

// delegates says whether f is a call of a sub-agent that p waits for.
func (p *part) delegates(f *fragment) bool {
	for _, e := range p.calls {
		_, calls := flatten(e.span.Call.Reply)
		if len(calls) == 0 || e.done {
			continue
		}
		mine, theirs := instructions(f.span.Call.Prompt), instructions(e.span.Call.Prompt)
		if mine != "" && theirs != "" && mine != theirs {
			return true
		}
		for _, call := range calls {
			if len(f.asked) > 3 && strings.Contains(call.Arguments, f.asked) {
				return true
			}
		}
	}
	return false
}

func instructions(prompt []*Message) string {
	for _, m := range prompt {
		if instruction(m) {
			return m.Text
		}
	}
	return ""
}

// home is the trajectory of a span that is no model call: of the latest call
// before it that asked for it and has no run yet, else the one that was going
// on. A span that shows the conversation belongs to the one that asks about its
// user message.
func (c *cutter) home(s *Span) *part {
	if ShowsState(s) {
		if p := c.about(s); p != nil {
			return p
		}
	}
	at := c.parts[0]
	var asker *fragment
	for _, f := range c.calls {
		if f.span.Start > s.Start {
			break
		}
		at = f.part
		if s.Tool != nil && s.Tool.CallID != "" && f.asks(s.Tool.CallID) {
			asker = f
		}
	}
	if asker == nil {
		return at
	}
	asker.ran = append(asker.ran, s.Tool.CallID)
	return asker.part
}

// about is the trajectory whose question a state ends with: of several the one
// with a call during the span, else the last one before it. nil for none.
func (c *cutter) about(s *Span) *part {
	asked := ""
	for _, m := range s.Call.Prompt {
		if m.Role == RoleUser && m.Text != "" {
			asked = strings.TrimSpace(m.Text)
		}
	}
	var before, during *part
	for _, f := range c.calls {
		if f.part.asked != asked {
			continue
		}
		if before == nil || f.span.Start <= s.Start {
			before = f.part
		}
		if during == nil && f.span.Start >= s.Start && f.span.Start <= s.End {
			during = f.part
		}
	}
	if during != nil {
		return during
	}
	return before
}

// asks says whether the reply has a tool call with the id and no run is known
// for it.
func (f *fragment) asks(id string) bool {
	for _, m := range f.span.Call.Reply {
		for i := range m.ToolCalls {
			if m.ToolCalls[i].ID == id && !slices.Contains(f.ran, id) {
				return true
			}
		}
	}
	return false
}
