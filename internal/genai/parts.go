package genai

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// part is a piece of a message that is more than text: described, not stored.
type part struct {
	Type   string `json:"type"`
	MIME   string `json:"mime_type,omitempty"`
	URI    string `json:"uri,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	Bytes  int    `json:"bytes,omitempty"`
	Text   string `json:"text,omitempty"`
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
	if content == "" {
		return p // that it was there is all that is shown
	}
	sum := sha256.Sum256([]byte(content))
	p.SHA256, p.Bytes = hex.EncodeToString(sum[:]), len(content)
	return p
}

// other keeps a part of an unknown type as it is when it is small.
func other(kind, raw string) part {
	p := part{Type: kind}
	if len(raw) <= maxRaw {
		p.Raw = raw
		return p
	}
	sum := sha256.Sum256([]byte(raw))
	p.SHA256, p.Bytes = hex.EncodeToString(sum[:]), len(raw)
	return p
}

func partsJSON(ps []part) string {
	if len(ps) == 0 {
		return ""
	}
	raw, _ := json.Marshal(ps) // strings and numbers: cannot fail
	return string(raw)
}

// draft collects the parts of one message. What it keeps of the JSON that it
// reads are copies.
type draft struct {
	memo    *memo
	m       trajectory.Message
	texts   []string
	parts   []part
	results []*trajectory.Message
	bedrock bool // tools return Bedrock's blocks

	// strange says that the content is not made of parts that are known.
	strange bool
}

// draft begins the next message; there is one at a time.
func (d *Decoder) draft() *draft {
	d.r.draft = draft{memo: &d.memo, texts: d.r.draft.texts[:0], bedrock: d.r.spoken&blocky != 0}
	return &d.r.draft
}

// done returns the message, tool results first: they answer what came before.
func (d *draft) done() []*trajectory.Message {
	d.m.Text, d.parts = joined(d.m.Role, d.texts, d.parts)
	d.m.Parts = partsJSON(d.parts)
	if d.m.Role == trajectory.RoleTool && len(d.results) > 0 && !says(&d.m) {
		return d.results
	}
	if !says(&d.m) && (d.m.Role == trajectory.RoleAssistant || len(d.results) > 0) {
		return d.results
	}
	if len(d.results) == 0 {
		return d.memo.one(d.memo.message(&d.m))
	}
	return append(d.results, d.memo.message(&d.m))
}

// role sets who speaks.
func (d *draft) role(v token) {
	switch role := normalRole(v.view()); role {
	case trajectory.RoleSystem:
		d.m.Role = trajectory.RoleSystem
	case trajectory.RoleUser:
		d.m.Role = trajectory.RoleUser
	case trajectory.RoleAssistant:
		d.m.Role = trajectory.RoleAssistant
	case trajectory.RoleTool:
		d.m.Role = trajectory.RoleTool
	default:
		d.m.Role = d.memo.name(role)
	}
}

// value is a JSON value as the text that a model sees: strings as they are,
// anything else as JSON.
func (d *draft) value(v token) string {
	switch {
	case v.isText():
		return d.memo.texts.read(v)
	case v.isNull():
		return ""
	}
	return d.memo.texts.keep(v.raw)
}

// text is a scalar as text.
func (d *draft) text(v token) string {
	if v.isText() {
		return d.memo.texts.read(v)
	}
	return d.memo.texts.keep(v.asText())
}

func (d *draft) addText(s string) {
	if s != "" {
		d.texts = append(d.texts, s)
	}
}

func (d *draft) addReasoning(s string) { addLine(&d.m.Reasoning, s) }

// joined is the text of a message that is shown in pieces. What a model said is
// one text, however its stream was cut. What it was sent in several parts was
// put together by a chat template that is not known here: a line each, and the
// parts are kept beside it.
func joined(role string, texts []string, parts []part) (string, []part) {
	switch {
	case len(texts) == 0:
		return "", parts
	case len(texts) == 1:
		return texts[0], parts
	case role == trajectory.RoleAssistant:
		return strings.Join(texts, ""), parts
	}
	for _, t := range texts {
		parts = append(parts, part{Type: "text", Text: t})
	}
	return strings.Join(texts, "\n"), parts
}

func addLine(dst *string, s string) {
	switch {
	case s == "":
	case *dst == "":
		*dst = s
	default:
		*dst += "\n" + s
	}
}

func (d *draft) addCall(id, name token, arguments string) {
	d.m.ToolCalls = append(d.m.ToolCalls, trajectory.ToolCall{ID: d.text(id), Name: d.memo.name(name.asText()), Arguments: arguments})
}

// addResult adds what a tool returned. Most often the tool's own span has shown
// it.
func (d *draft) addResult(id, name, result token) {
	call := d.text(id)
	text := ""
	if d.isContent(result) {
		text = d.memo.results.add(call, d.blocks(result))
	} else if text = d.memo.results.find(call, result); text == "" {
		text = d.memo.results.add(call, d.value(result))
	}
	d.add(call, name, text)
}

// result makes the message one that says what a tool returned.
func (d *draft) result(v token) {
	d.texts, d.parts, d.results, d.m.Reasoning, d.m.ToolCalls = d.texts[:0], nil, nil, "", nil
	d.addText(d.value(v))
}

// isContent says whether what a tool returned is content as messages have it,
// [{"type": "text", "text": …}], of which the model reads the text.
func (d *draft) isContent(v token) bool {
	return strings.HasPrefix(v.raw, "[") && (textParts(v.raw) || d.bedrock && bedrockBlocks(v.raw))
}

// textParts says whether a JSON array is content that is text alone.
func textParts(raw string) bool {
	return each(raw, func(p token) bool { return p.member("type").view() == "text" && p.member("text").isText() })
}

// bedrockBlocks says whether a JSON array is what a tool returns in Bedrock's
// form: [{"text": …}, {"json": …}].
func bedrockBlocks(raw string) bool {
	return each(raw, func(p token) bool {
		o := parse(p.raw)
		return len(o) == 1 && (o.get("text").isText() || o.get("json").exists())
	})
}

// each says whether all elements of a JSON array are as wanted, and there are
// some.
func each(raw string, want func(token) bool) bool {
	c, n := scanner{s: raw}, 0
	for more := c.enter('['); more; more = c.next(']') {
		if !want(c.value()) {
			return false
		}
		n++
	}
	return n > 0 && !c.bad
}

func (d *draft) add(call string, name token, text string) {
	m := trajectory.Message{Role: trajectory.RoleTool, Text: text, ToolCallID: call, Name: d.memo.name(name.asText())}
	if x := d.memo.message(&m); d.results == nil {
		d.results = d.memo.one(x)
	} else {
		d.results = append(d.results, x)
	}
}
