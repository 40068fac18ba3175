package genai

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// history parses the messages of a prompt. Of one that begins with an earlier
// one only the rest is parsed.
func (d *Decoder) history(raw string) ([]*trajectory.Message, trajectory.Reason) {
	raw = strings.TrimSpace(unquoted(raw))
	known, at := d.memo.extends(raw)
	ms, missing := d.messages(raw, known, at)
	if missing == "" && len(ms) > 0 {
		d.memo.remember(raw, ms)
	}
	return ms, missing
}

// said parses the messages of a reply.
func (d *Decoder) said(raw string) ([]*trajectory.Message, trajectory.Reason) {
	return d.messages(strings.TrimSpace(unquoted(raw)), nil, 1)
}

// messages parses a JSON array of messages, of which those that end before at
// are known. Elements that were seen before are not parsed again. A value that
// is not a JSON array of messages is missing, and the reason says how.
func (d *Decoder) messages(raw string, known []*trajectory.Message, at int) ([]*trajectory.Message, trajectory.Reason) {
	if raw == "" || raw == "[]" || raw == "null" {
		return nil, ""
	}
	if redacted(raw) {
		return nil, trajectory.ReasonRedacted
	}
	if raw[0] != '[' || raw[len(raw)-1] != ']' {
		return nil, trajectory.ReasonTruncated
	}
	out := append(make([]*trajectory.Message, 0, len(known)+4), known...)
	// What comes after a history that is known is new.
	fresh := len(known) > 0 || d.memo.empty()
	c := &d.r.scan
	*c = scanner{s: raw, i: at}
	for c.peek() != 0 && c.i < len(raw)-1 {
		out = append(out, d.element(c, fresh)...)
		if c.peek() == ',' {
			c.i++
		} else if c.i != len(raw)-1 {
			c.fail()
		}
	}
	if c.bad {
		return nil, trajectory.ReasonTruncated
	}
	if hidden(out) {
		return nil, trajectory.ReasonRedacted
	}
	return d.turns(out), ""
}

// turns puts the items of one reply of OpenAI's Responses API together: its
// reasoning, its text and every call that it asks for are items of their own.
func (d *Decoder) turns(ms []*trajectory.Message) []*trajectory.Message {
	if len(d.memo.items) == 0 {
		return ms
	}
	out := ms[:0:0]
	for i := 0; i < len(ms); {
		n := i + 1
		for n < len(ms) && ms[i].Role == trajectory.RoleAssistant && ms[n].Role == trajectory.RoleAssistant && (d.memo.items[ms[n-1]] || d.memo.items[ms[n]]) {
			n++
		}
		if n == i+1 {
			out = append(out, ms[i])
		} else {
			out = append(out, d.memo.shared(together(ms[i:n])))
		}
		i = n
	}
	return out
}

// together is one message that says what several say.
func together(ms []*trajectory.Message) *trajectory.Message {
	all := *ms[0]
	all.ToolCalls = slices.Clone(all.ToolCalls)
	for _, m := range ms[1:] {
		all.Text += m.Text
		addLine(&all.Reasoning, m.Reasoning)
		all.ToolCalls = append(all.ToolCalls, m.ToolCalls...)
		if all.Parts == "" {
			all.Parts = m.Parts
		}
	}
	return &all
}

// element reads the message that stands next, or passes over it where it is
// known.
func (d *Decoder) element(c *scanner, fresh bool) []*trajectory.Message {
	from := c.i
	if !fresh {
		raw := element(c.s, from)
		if ms, ok := d.memo.get(raw); ok {
			c.i += len(raw)
			return ms
		}
	}
	ms := d.message(c)
	if c.bad {
		return nil
	}
	d.memo.put(c.s[from:c.i], ms)
	return ms
}

// element is the element of a JSON array that begins at from, "" when the array
// is broken. It is not checked.
func element(raw string, from int) string {
	depth := 0
	for i := from; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			if i = stringEnd(raw, i+1); i < 0 {
				return ""
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return strings.TrimRight(raw[from:i], " \t\r\n")
			}
			depth--
		case ',':
			if depth == 0 {
				return strings.TrimRight(raw[from:i], " \t\r\n")
			}
		}
	}
	return ""
}

// stringEnd is the offset of the quote that closes a JSON string whose content
// begins at i, -1 for none. Most of a prompt is inside strings: it is searched,
// not walked.
func stringEnd(raw string, i int) int {
	for {
		q := strings.IndexByte(raw[i:], '"')
		if q < 0 {
			return -1
		}
		i += q
		escapes := 0
		for k := i - 1; raw[k] == '\\'; k-- {
			escapes++
		}
		if escapes%2 == 0 {
			return i
		}
		i++
	}
}

// unquoted opens JSON that was encoded twice.
func unquoted(raw string) string {
	if strings.HasPrefix(raw, `"`) {
		var s string
		if json.Unmarshal([]byte(raw), &s) == nil {
			return s
		}
	}
	return raw
}

// redacted says whether a text is a placeholder for content that an
// instrumentation was told not to show.
func redacted(s string) bool {
	if strings.HasPrefix(s, scrubbed) {
		return len(s) < maxPlaceholder && strings.HasSuffix(s, "]")
	}
	if len(s) >= 32 {
		return len(s) < maxPlaceholder && strings.Contains(s, "fully masked due to failed mask function") // Langfuse
	}
	switch strings.Trim(s, `"[]<>{}_* `) {
	case "REDACTED", "redacted", "Redacted", "elided", "not serializable", "N/A":
		return true
	}
	return s == "{}"
}

// notShown stands for content of which only the structure is shown, as some
// instrumentations do when content is off: a call without its name, a
// result without its value.
const notShown = "[REDACTED]"

// scrubbed is how the texts begin that Logfire puts in the place of what may be
// a secret, whole attributes and strings within their JSON; logfire.scrubbed
// says where.
const scrubbed = "[Scrubbed due to "

// maxPlaceholder bounds what stands for redacted text.
const maxPlaceholder = 96

// hidden says whether any message stands for redacted text.
func hidden(ms []*trajectory.Message) bool {
	for _, m := range ms {
		if m.Text == "" || len(m.Text) >= maxPlaceholder {
			continue
		}
		if m.Role == trajectory.RoleTool && m.Text[0] != '[' && m.Text[0] != '<' {
			continue // what a tool returns may look like a placeholder
		}
		if m.Text != "{}" && m.Text != "N/A" && redacted(m.Text) {
			return true
		}
	}
	return false
}

// normalRole maps the role names of providers and frameworks to one set.
func normalRole(role string) string {
	switch role {
	case "human", "HumanMessage", "HumanMessageChunk":
		return trajectory.RoleUser
	case "ai", "model", "AIMessage", "AIMessageChunk":
		return trajectory.RoleAssistant
	case "function", "ToolMessage", "FunctionMessage":
		return trajectory.RoleTool
	case "SystemMessage":
		return trajectory.RoleSystem
	}
	return role
}
