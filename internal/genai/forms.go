package genai

import (
	"strings"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// readPart reads one part of a message. What is no members has no members.
type readPart func(dr *draft, p members, raw string)

// message reads the members of the message that stands next. An array of the
// given name is read part by part on the way.
func (d *Decoder) message(c *scanner, list string, read readPart) (dr *draft, o members) {
	dr = d.draft()
	if c.peek() != '{' {
		c.value()
		return dr, nil
	}
	o = d.r.members[:0]
	for more := c.enter('{'); more; more = c.next('}') {
		name := c.key()
		if read == nil || name != list || c.peek() != '[' {
			o = append(o, member{name, c.value()})
			continue
		}
		from := c.i
		d.list(c, dr, read)
		o = append(o, member{name, token{raw: c.s[from:c.i]}})
	}
	d.r.members = o
	return dr, o
}

// list reads an array of parts.
func (d *Decoder) list(c *scanner, dr *draft, read readPart) {
	for more := c.enter('['); more; more = c.next(']') {
		var p members
		object, from := c.peek() == '{', c.i
		if object {
			p = c.object(d.r.inner[:0])
			d.r.inner = p
		} else {
			c.value()
		}
		if !c.bad {
			read(dr, p, c.s[from:c.i])
		}
	}
}

// semconvMessage reads {role, parts:[…], name?}. Emitters also write content
// and tool_calls in OpenAI's form beside or instead of parts.
func semconvMessage(d *Decoder, c *scanner) []*trajectory.Message {
	dr, o := d.message(c, "parts", semconvPart)
	parts := o.get("parts")
	if !parts.exists() {
		return d.openAI(o)
	}
	if parts.raw[0] != '[' {
		semconvPart(dr, parse(parts.raw), parts.raw)
	}
	dr.role(o.get("role"))
	dr.m.Name, dr.m.ToolCallID = d.memo.name(o.get("name").view()), d.memo.texts.read(o.get("tool_call_id"))
	openAICalls(dr, o.get("tool_calls"))
	return dr.done()
}

func semconvPart(d *draft, p members, raw string) {
	if raw[0] == '"' {
		c := scanner{s: raw}
		d.addText(d.text(c.value()))
		return
	}
	switch kind := p.get("type").view(); kind {
	case "text", "refusal":
		d.addText(d.firstText(p, "content", "text"))
	case "reasoning", "thinking":
		d.addReasoning(d.firstText(p, "content", "text", "thinking"))
	case "tool_call":
		d.addCall(p.get("id"), p.get("name"), d.value(p.get("arguments")))
	case "tool_call_response":
		d.addResult(p.get("id"), p.get("name"), response(p))
	case "blob":
		d.parts = append(d.parts, media(p.get("modality").view(), p.get("mime_type").view(), p.get("content").asText()))
	case "uri":
		d.parts = append(d.parts, media(p.get("modality").view(), p.get("mime_type").view(), p.get("uri").view()))
	default:
		d.parts = append(d.parts, other(p.get("type").asText(), raw))
	}
}

// response is what a tool returned, under one of its names.
func response(p members) token {
	if v := p.first("response", "result"); v.exists() {
		return v
	}
	return p.get("content")
}

// firstText is the first of several members that says something.
func (d *draft) firstText(p members, names ...string) string {
	for _, n := range names {
		if v := p.get(n); v.exists() && (n == "content" || v.isText()) {
			if s := d.text(v); s != "" {
				return s
			}
		}
	}
	return ""
}

// openAIMessage reads OpenAI's chat form: content as text or as a list of
// parts, tool_calls, tool_call_id; Anthropic's tool_use and tool_result blocks
// are read too.
func openAIMessage(d *Decoder, c *scanner) []*trajectory.Message {
	_, o := d.message(c, "", nil)
	return d.openAI(o)
}

func (d *Decoder) openAI(o members) []*trajectory.Message {
	dr := d.draft()
	dr.role(o.get("role"))
	dr.m.Name, dr.m.ToolCallID = d.memo.name(o.get("name").asText()), dr.text(o.get("tool_call_id"))
	if content := o.get("content"); strings.HasPrefix(content.raw, "[") {
		c := scanner{s: content.raw}
		d.list(&c, dr, openAIPart)
	} else {
		dr.addText(dr.value(content))
	}
	dr.addReasoning(dr.text(o.first("reasoning_content", "reasoning")))
	openAICalls(dr, o.get("tool_calls"))
	return dr.done()
}

func openAIPart(d *draft, p members, raw string) {
	switch p.get("type").asText() {
	case "text", "input_text", "output_text", "refusal":
		d.addText(d.text(p.first("text", "content", "refusal")))
	case "thinking", "reasoning":
		d.addReasoning(d.text(p.first("thinking", "text", "reasoning")))
	case "tool_use":
		d.addCall(p.get("id"), p.get("name"), d.value(p.get("input")))
	case "tool_result":
		d.add(d.text(p.get("tool_use_id")), token{}, d.blocks(p.get("content")))
	case "image_url":
		d.parts = append(d.parts, media("image", "", p.get("image_url").member("url").asText()))
	default:
		if raw[0] == '"' {
			c := scanner{s: raw}
			d.addText(d.text(c.value()))
			return
		}
		d.parts = append(d.parts, other(p.get("type").asText(), raw))
	}
}

// blocks is the text of content that may be a list of text blocks.
func (d *draft) blocks(v token) string {
	if !strings.HasPrefix(v.raw, "[") {
		return d.value(v)
	}
	out := ""
	c := scanner{s: v.raw}
	for more := c.enter('['); more; more = c.next(']') {
		b := c.value()
		if b.member("type").asText() != "text" {
			return d.value(v)
		}
		out += b.member("text").asText()
	}
	return out
}

func openAICalls(d *draft, calls token) {
	if !strings.HasPrefix(calls.raw, "[") {
		return
	}
	c := scanner{s: calls.raw}
	for more := c.enter('['); more; more = c.next(']') {
		o := parse(c.value().raw)
		f := o.get("function")
		name, arguments := f.member("name"), f.member("arguments")
		if !name.exists() {
			name, arguments = o.get("name"), o.first("arguments", "args")
		}
		d.addCall(o.get("id"), name, d.value(arguments))
	}
}

// vercelMessage reads the AI SDK's prompt form: content as text or as a list
// of parts with dashed type names.
func vercelMessage(d *Decoder, c *scanner) []*trajectory.Message {
	dr, o := d.message(c, "content", vercelPart)
	dr.role(o.get("role"))
	if content := o.get("content"); !strings.HasPrefix(content.raw, "[") {
		dr.addText(dr.value(content))
	}
	return dr.done()
}

func vercelPart(d *draft, p members, raw string) {
	switch kind := p.get("type").asText(); kind {
	case "text":
		d.addText(d.text(p.get("text")))
	case "reasoning":
		d.addReasoning(d.text(p.get("text")))
	case "tool-call":
		d.addCall(p.get("toolCallId"), p.get("toolName"), d.value(p.first("input", "args")))
	case "tool-result":
		d.addResult(p.get("toolCallId"), p.get("toolName"), vercelResult(p))
	case "image", "file":
		mime, content := p.first("mediaType", "mimeType").asText(), p.first("image", "data", "url")
		d.parts = append(d.parts, media(kind, mime, content.asText()))
	default:
		d.parts = append(d.parts, other(kind, raw))
	}
}

// vercelResult opens {output:{type,value}} (version 5) or result (before it).
func vercelResult(p members) token {
	out := p.get("output")
	if !out.exists() {
		return p.get("result")
	}
	if v := out.member("value"); v.exists() {
		return v
	}
	return out
}
