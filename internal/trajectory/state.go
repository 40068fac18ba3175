package trajectory

import (
	"slices"
	"strings"
)

// Frameworks keep the conversation as state, and some instrumentations show it
// whole on the spans of graph nodes (RoleOther, Call.Prompt) where the model
// call's own span shows texts only.

// ShowsState says whether a span is structure that shows a conversation.
func ShowsState(s *Span) bool {
	return s.Role == RoleOther && s.Call != nil && len(s.Call.Prompt) > 0 && len(s.Call.Reply) == 0
}

// Restore returns spans whose model calls show what their instrumentation left
// out of prompt and reply, tool calls mostly, as far as a state shows it: one
// that says the same up to there. Spans are not changed; those that get more
// are copies. Without such states or such calls it returns the very slice.
func Restore(spans []*Span) []*Span {
	if !slices.ContainsFunc(spans, ShowsState) || !slices.ContainsFunc(spans, mute) {
		return spans
	}
	at := remember(spans)
	out := slices.Clone(spans)
	for i, s := range out {
		if mute(s) {
			out[i] = at.restored(s)
		}
	}
	return out
}

// mute says whether a model call asked for tools, or was told their results,
// and shows no tool call.
func mute(s *Span) bool {
	if !isModel(s) || s.Call == nil {
		return false
	}
	_, calls := flatten(s.Call.Reply)
	if len(calls) == 0 && strings.HasPrefix(s.Call.FinishReason, "tool") {
		return true
	}
	return slices.ContainsFunc(s.Call.Prompt, func(m *Message) bool { return m.Role == RoleTool && m.ToolCallID == "" })
}

// states finds the beginnings of states by what a mute prompt would show of
// them.
type states map[uint64]*beginning

// beginning is a conversation up to a reply of the model.
type beginning struct {
	turns   []*Message
	replies []said
}

// said is a reply in a state, and the shortest spans that show it.
type said struct {
	message *Message
	spans   []*Span
}

// maxSaid bounds what is kept of replies to one prompt, and of spans that show
// one reply.
const maxSaid = 8

func remember(spans []*Span) states {
	at := states{}
	for _, s := range spans {
		if !ShowsState(s) {
			continue
		}
		all, h := turns(s.Call.Prompt), uint64(0)
		for i, m := range all {
			if m.Role == RoleAssistant {
				at.add(h, all[:i:i], m, s)
			}
			h = muteKey(h, m)
		}
		at.add(h, all, nil, s)
	}
	return at
}

// muteKey adds what a mute prompt shows of a message: who speaks, and the text.
// Of a message that only asks for tools it shows nothing.
func muteKey(h uint64, m *Message) uint64 {
	text := strings.TrimSpace(m.Text)
	if m.Role == RoleAssistant && text == "" {
		return h
	}
	return mix(h, mix(hashText(m.Role), hashText(text)))
}

func (at states) add(h uint64, before []*Message, reply *Message, by *Span) {
	b := at[h]
	if b == nil {
		b = &beginning{turns: before}
		at[h] = b
	}
	if reply == nil {
		return
	}
	for i := range b.replies {
		r := &b.replies[i]
		if r.message == reply || r.message.Key() == reply.Key() && sameIDs(r.message.ToolCalls, reply.ToolCalls) {
			if len(r.spans) < maxSaid {
				r.spans = append(r.spans, by)
			}
			return
		}
	}
	if len(b.replies) < maxSaid {
		b.replies = append(b.replies, said{reply, []*Span{by}})
	}
}

func sameIDs(a, b []ToolCall) bool {
	return slices.EqualFunc(a, b, func(x, y ToolCall) bool { return x.ID == y.ID })
}

// restored is the call with what a state shows of it.
func (at states) restored(s *Span) *Span {
	h := uint64(0)
	for _, m := range turns(s.Call.Prompt) {
		h = muteKey(h, m)
	}
	b := at[h]
	if b == nil || !fitsMute(s.Call.Prompt, b.turns) {
		return s
	}
	c, m := *s.Call, *s
	c.Prompt = append(instructionsOf(c.Prompt), b.turns...)
	if reply := b.reply(s); reply != nil && s.Error == "" {
		whole := *reply
		if text, _ := flatten(c.Reply); text != "" {
			whole.Text = text
		}
		for _, r := range c.Reply {
			setFirst(&whole.Reasoning, r.Reasoning)
		}
		c.Reply = []*Message{&whole}
		setFirst(&m.Agent, reply.Name)
	}
	m.Call = &c
	return &m
}

// fitsMute says whether a mute prompt shows a conversation: hashes may lie, and
// a prompt that shows tool calls itself is not mute.
func fitsMute(prompt, whole []*Message) bool {
	shown := turns(prompt)
	for _, m := range whole {
		text := strings.TrimSpace(m.Text)
		if m.Role == RoleAssistant && text == "" {
			continue
		}
		if len(shown) == 0 || shown[0].Role != m.Role || strings.TrimSpace(shown[0].Text) != text || len(shown[0].ToolCalls) > 0 {
			return false
		}
		shown = shown[1:]
	}
	return len(shown) == 0
}

func instructionsOf(prompt []*Message) (out []*Message) {
	for _, m := range prompt {
		if instruction(m) {
			out = append(out, m)
		}
	}
	return out
}

// reply is what the model answered: the reply that says the same text; of
// several the one that the shortest span around the call shows. nil where that
// is not known.
func (b *beginning) reply(s *Span) *Message {
	text, _ := flatten(s.Call.Reply)
	var fits []said
	for _, r := range b.replies {
		if strings.TrimSpace(r.message.Text) == text {
			fits = append(fits, r)
		}
	}
	if len(fits) == 1 {
		return fits[0].message
	}
	var best *Message
	shortest := int64(-1)
	for _, r := range fits {
		for _, by := range r.spans {
			if by.Start <= s.Start && by.End >= s.End && (shortest < 0 || by.End-by.Start < shortest) {
				best, shortest = r.message, by.End-by.Start
			}
		}
	}
	return best
}
