package genai

import (
	"encoding/json"
	"strings"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// readMessage turns one JSON message into messages: one element may hold the
// results of several tools, which are messages of their own. ok is false when
// the text is not JSON.
type readMessage func(d *Decoder, raw string) (ms []*trajectory.Message, ok bool)

// messages parses a JSON array of messages. Elements that were seen before
// are not parsed again. A value that is not a JSON array of messages is
// missing, and the reason says how.
func (d *Decoder) messages(raw string, read readMessage) ([]*trajectory.Message, trajectory.Reason) {
	raw = strings.TrimSpace(unquoted(raw))
	if raw == "" || raw == "[]" || raw == "null" {
		return nil, ""
	}
	if redacted(raw) {
		return nil, trajectory.ReasonRedacted
	}
	if raw[0] != '[' || raw[len(raw)-1] != ']' {
		return nil, trajectory.ReasonTruncated
	}
	known, at := d.memo.extends(raw)
	out := append(make([]*trajectory.Message, 0, len(known)+4), known...)
	for at < len(raw)-1 {
		element, next := splitElement(raw, at)
		if element == "" {
			return nil, trajectory.ReasonTruncated
		}
		ms, seen := d.memo.get(element)
		if !seen {
			var ok bool
			if ms, ok = read(d, element); !ok {
				return nil, trajectory.ReasonTruncated
			}
			d.memo.put(element, ms)
		}
		out = append(out, ms...)
		at = next
	}
	d.memo.remember(raw, out)
	if hidden(out) {
		return nil, trajectory.ReasonRedacted
	}
	return out, ""
}

// splitElement returns the element of a JSON array that begins at from and the
// offset after the comma that follows it. "" when the array is broken.
func splitElement(raw string, from int) (string, int) {
	depth := 0
	for i := from; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			if i = stringEnd(raw, i+1); i < 0 {
				return "", len(raw)
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return strings.TrimSpace(raw[from:i]), len(raw)
			}
			depth--
		case ',':
			if depth == 0 {
				return strings.TrimSpace(raw[from:i]), i + 1
			}
		}
	}
	return "", len(raw)
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
	switch strings.Trim(s, `"[]<>{}_* `) {
	case "REDACTED", "redacted", "Redacted", "not serializable", "N/A":
		return len(s) < 32
	}
	return s == "{}"
}

// hidden says whether any message stands for redacted text.
func hidden(ms []*trajectory.Message) bool {
	for _, m := range ms {
		if m.Text != "" && len(m.Text) < 32 && m.Text != "{}" && m.Role != trajectory.RoleTool && redacted(m.Text) && m.Text != "N/A" {
			return true
		}
	}
	return false
}

// normalRole maps the role names of providers and frameworks to one set.
func normalRole(role string) string {
	switch role {
	case "human":
		return trajectory.RoleUser
	case "ai", "model", "AIMessage":
		return trajectory.RoleAssistant
	case "function":
		return trajectory.RoleTool
	}
	return role
}
