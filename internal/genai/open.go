package genai

import (
	"strings"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// Some instrumentations write content that is a list as JSON into a text: the
// parts of a message, or the whole input of OpenAI's Responses API into the text
// of one user message. What the model saw is the list.

// opened messages are ms with such texts opened; ms itself where there are none.
func (d *Decoder) openedTexts(ms []*trajectory.Message) []*trajectory.Message {
	for i, m := range ms {
		inner := d.openedText(m)
		if inner == nil {
			continue
		}
		out := append(make([]*trajectory.Message, 0, len(ms)+len(inner)), ms[:i]...)
		out = append(out, inner...)
		for _, m := range ms[i+1:] {
			if inner := d.openedText(m); inner != nil {
				out = append(out, inner...)
			} else {
				out = append(out, m)
			}
		}
		return out
	}
	return ms
}

// openedText is what a message says whose text is a list; nil for any other.
// What a tool returned is left as it is: tools return lists too.
func (d *Decoder) openedText(m *trajectory.Message) []*trajectory.Message {
	raw := strings.TrimSpace(m.Text)
	if m.Role == trajectory.RoleTool || !strings.HasPrefix(raw, "[{") {
		return nil
	}
	switch listOf(raw) {
	case partList:
		dr := d.draft()
		dr.m = trajectory.Message{Role: m.Role, Name: m.Name, Reasoning: m.Reasoning, ToolCalls: m.ToolCalls[:len(m.ToolCalls):len(m.ToolCalls)]}
		c := scanner{s: raw}
		d.list(&c, dr)
		return d.kept(dr.done())
	case turnList:
		if m.Role == trajectory.RoleUser && len(m.ToolCalls) == 0 {
			ms, _ := d.history(raw)
			return ms
		}
	}
	return nil
}

// kept gives equal messages one place.
func (d *Decoder) kept(ms []*trajectory.Message) []*trajectory.Message {
	for i, m := range ms {
		ms[i] = d.memo.shared(m)
	}
	return ms
}

// listKind is what a JSON list holds.
type listKind uint8

const (
	unknownList listKind = iota
	partList
	turnList
)

// listOf says what the elements of a list are, all of them: parts of a message,
// or messages and items of a conversation.
func listOf(raw string) listKind {
	c, kind := scanner{s: raw}, unknownList
	for more := c.enter('['); more; more = c.next(']') {
		if c.peek() != '{' {
			return unknownList
		}
		o := parse(c.value().raw)
		k := unknownList
		switch o.get("type").view() {
		case "text", "input_text", "output_text":
			if o.first("text", "content").isText() {
				k = partList
			}
		case "refusal", "image_url", "input_image", "image", "input_audio", "file", "input_file", "tool_use", "tool_result", "thinking", "redacted_thinking":
			k = partList
		case "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output", "reasoning", "item_reference":
			k = turnList
		case "", "message":
			if o.get("role").isText() && o.get("content").exists() {
				k = turnList
			}
		}
		if k == unknownList || kind != unknownList && k != kind {
			return unknownList
		}
		kind = k
	}
	if !c.done() {
		return unknownList
	}
	return kind
}
