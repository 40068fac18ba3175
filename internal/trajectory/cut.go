package trajectory

import (
	"cmp"
	"slices"
	"strings"
)

// Cut splits the spans of joined fragments into trajectories, in order. A new
// user message after an answer without open tool calls starts the next one.
// Spans that are no model call go with the call that asked for them, else with
// the trajectory that was running when they started.
func Cut(spans []*Span) [][]*Span {
	calls, others := []*Span{}, []*Span{}
	for _, s := range spans {
		if isModel(s) && s.Call != nil {
			calls = append(calls, s)
		} else {
			others = append(others, s)
		}
	}
	if len(calls) == 0 {
		return [][]*Span{spans}
	}
	slices.SortStableFunc(calls, func(a, b *Span) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(len(a.Call.Prompt), len(b.Call.Prompt)))
	})
	var parts [][]*Span
	for i, s := range calls {
		if i == 0 || startsNext(parts[len(parts)-1], s) {
			parts = append(parts, nil)
		}
		parts[len(parts)-1] = append(parts[len(parts)-1], s)
	}
	for _, s := range others {
		i := home(parts, s)
		parts[i] = append(parts[i], s)
	}
	return parts
}

// startsNext says whether s begins with a user message that the running
// trajectory has not seen, after an answer that leaves no tool call open.
func startsNext(part []*Span, s *Span) bool {
	said := lastUser(s.Call.Prompt)
	if said == "" {
		return false
	}
	for _, p := range part {
		if lastUser(p.Call.Prompt) == said && len(turns(p.Call.Prompt)) >= userDepth(s.Call.Prompt) {
			return false // the same turn
		}
	}
	last := part[len(part)-1]
	if last.Error != "" && len(last.Call.Reply) == 0 {
		return false
	}
	_, calls := flatten(last.Call.Reply)
	if len(calls) > 0 && !answered(s.Call.Prompt, last) {
		return false
	}
	return true
}

// lastUser is the user message that a prompt asks about: the last user turn.
func lastUser(prompt []*Message) string {
	for i := len(prompt) - 1; i >= 0; i-- {
		if prompt[i].Role == RoleUser && prompt[i].Text != "" {
			return strings.TrimSpace(prompt[i].Text)
		}
	}
	return ""
}

// userDepth is the number of turns up to the last user turn.
func userDepth(prompt []*Message) int {
	ts := turns(prompt)
	for i := len(ts) - 1; i >= 0; i-- {
		if ts[i].Role == RoleUser && ts[i].Text != "" {
			return i + 1
		}
	}
	return 0
}

// answered says whether the prompt shows that the calls of last's reply were
// closed by an assistant answer before the new user message: the reply that
// the cut needs may be in a call that was never seen.
func answered(prompt []*Message, last *Span) bool {
	ts := turns(prompt)
	end := userDepth(prompt) - 1
	if end <= len(turns(last.Call.Prompt)) || end < 1 {
		return false
	}
	before := ts[end-1]
	return before.Role == RoleAssistant && len(before.ToolCalls) == 0
}

// home is the trajectory of a span that is no model call.
func home(parts [][]*Span, s *Span) int {
	at := 0
	for i, part := range parts {
		for _, p := range part {
			if s.Tool != nil && s.Tool.CallID != "" && p.Call != nil {
				for _, m := range p.Call.Reply {
					for _, c := range m.ToolCalls {
						if c.ID == s.Tool.CallID {
							return i
						}
					}
				}
			}
		}
		if part[0].Start <= s.Start {
			at = i
		}
	}
	return at
}
