package genai

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// readMessage turns one JSON message into messages: one element may hold the
// results of several tools, which are messages of their own.
type readMessage func(gjson.Result) []*trajectory.Message

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
			if !gjson.Valid(element) {
				return nil, trajectory.ReasonTruncated
			}
			element = strings.Clone(element) // not a piece of the whole prompt: that must not stay
			ms = read(gjson.Parse(element))
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

// part is a piece of a message that is more than text: described, not stored.
type part struct {
	Type   string `json:"type"`
	MIME   string `json:"mime_type,omitempty"`
	URI    string `json:"uri,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	Bytes  int    `json:"bytes,omitempty"`
	Raw    string `json:"raw,omitempty"` // small parts of a type that is not known here
}

// maxURI and maxRaw bound what is kept of a part as it is.
const (
	maxURI = 2048
	maxRaw = 8192
)

// media describes an image, an audio clip or a file by hash, size and type.
func media(kind, mime, content string) part {
	p := part{Type: kind, MIME: mime}
	if strings.Contains(content, "://") && !strings.HasPrefix(content, "data:") && len(content) <= maxURI {
		p.URI = content
		return p
	}
	sum := sha256.Sum256([]byte(content))
	p.SHA256, p.Bytes = hex.EncodeToString(sum[:]), len(content)
	return p
}

// other keeps a part of an unknown type as it is when it is small.
func other(v gjson.Result) part {
	p := part{Type: v.Get("type").String()}
	if len(v.Raw) <= maxRaw {
		p.Raw = v.Raw
		return p
	}
	sum := sha256.Sum256([]byte(v.Raw))
	p.SHA256, p.Bytes = hex.EncodeToString(sum[:]), len(v.Raw)
	return p
}

func partsJSON(ps []part) string {
	if len(ps) == 0 {
		return ""
	}
	raw, _ := json.Marshal(ps) // strings and numbers: cannot fail
	return string(raw)
}

// value is a JSON value as the text that a model sees: strings as they are,
// anything else as JSON.
func value(v gjson.Result) string {
	if v.Type == gjson.String {
		return v.String()
	}
	if v.Type == gjson.Null {
		return ""
	}
	return v.Raw
}

// draft collects the parts of one message.
type draft struct {
	m       trajectory.Message
	parts   []part
	results []*trajectory.Message
}

// done returns the message, tool results first: they answer what came before.
func (d *draft) done() []*trajectory.Message {
	d.m.Parts = partsJSON(d.parts)
	if d.m.Role == trajectory.RoleTool && len(d.results) > 0 && !says(&d.m) {
		return d.results
	}
	if !says(&d.m) && (d.m.Role == trajectory.RoleAssistant || len(d.results) > 0) {
		return d.results
	}
	m := d.m
	return append(d.results, &m)
}

func (d *draft) addText(s string)      { addLine(&d.m.Text, s) }
func (d *draft) addReasoning(s string) { addLine(&d.m.Reasoning, s) }

func addLine(dst *string, s string) {
	switch {
	case s == "":
	case *dst == "":
		*dst = s
	default:
		*dst += "\n" + s
	}
}

func (d *draft) addCall(id, name, arguments string) {
	d.m.ToolCalls = append(d.m.ToolCalls, trajectory.ToolCall{ID: id, Name: name, Arguments: arguments})
}

func (d *draft) addResult(id, name, text string) {
	d.results = append(d.results, &trajectory.Message{Role: trajectory.RoleTool, Text: text, ToolCallID: id, Name: name})
}
