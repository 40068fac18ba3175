package genai

import (
	"github.com/tidwall/gjson"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// semconvMessage reads {role, parts:[…], name?}. Emitters also write content
// and tool_calls in OpenAI's form beside or instead of parts.
func semconvMessage(v gjson.Result) []*trajectory.Message {
	var d draft
	var parts, calls gjson.Result
	v.ForEach(func(k, m gjson.Result) bool {
		switch k.Str {
		case "role":
			d.m.Role = normalRole(m.Str)
		case "name":
			d.m.Name = m.Str
		case "tool_call_id":
			d.m.ToolCallID = m.Str
		case "parts":
			parts = m
		case "tool_calls":
			calls = m
		}
		return true
	})
	if !parts.Exists() {
		return openAIMessage(v)
	}
	parts.ForEach(func(_, p gjson.Result) bool {
		semconvPart(&d, p)
		return true
	})
	openAICalls(&d, calls)
	return d.done()
}

// members are those of a part that are read, found in one pass.
type members struct {
	kind, id, name, arguments          string
	content, response                  gjson.Result
	modality, mime, uri, text, thought string
}

func partMembers(p gjson.Result) (m members) {
	p.ForEach(func(k, v gjson.Result) bool {
		switch k.Str {
		case "type":
			m.kind = v.Str
		case "id":
			m.id = v.String()
		case "name":
			m.name = v.Str
		case "arguments":
			m.arguments = value(v)
		case "content":
			m.content = v
		case "response", "result":
			if v.Type != gjson.Null {
				m.response = v
			}
		case "text":
			m.text = v.Str
		case "thinking":
			m.thought = v.Str
		case "modality":
			m.modality = v.Str
		case "mime_type":
			m.mime = v.Str
		case "uri":
			m.uri = v.Str
		}
		return true
	})
	return m
}

func semconvPart(d *draft, p gjson.Result) {
	if p.Type == gjson.String {
		d.addText(p.Str)
		return
	}
	m := partMembers(p)
	switch m.kind {
	case "text", "refusal":
		d.addText(firstText(m.content.String(), m.text))
	case "reasoning", "thinking":
		d.addReasoning(firstText(m.content.String(), m.text, m.thought))
	case "tool_call":
		d.addCall(m.id, m.name, m.arguments)
	case "tool_call_response":
		if !m.response.Exists() {
			m.response = m.content
		}
		d.addResult(m.id, m.name, value(m.response))
	case "blob":
		d.parts = append(d.parts, media(m.modality, m.mime, m.content.String()))
	case "uri":
		d.parts = append(d.parts, media(m.modality, m.mime, m.uri))
	default:
		d.parts = append(d.parts, other(p))
	}
}

func firstText(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// openAIMessage reads OpenAI's chat form: content as text or as a list of
// parts, tool_calls, tool_call_id; Anthropic's tool_use and tool_result blocks
// are read too.
func openAIMessage(v gjson.Result) []*trajectory.Message {
	d := draft{m: trajectory.Message{Role: normalRole(v.Get("role").String()), Name: v.Get("name").String(), ToolCallID: v.Get("tool_call_id").String()}}
	if c := v.Get("content"); c.IsArray() {
		c.ForEach(func(_, p gjson.Result) bool {
			openAIPart(&d, p)
			return true
		})
	} else {
		d.addText(value(c))
	}
	d.addReasoning(first(v, "reasoning_content", "reasoning").String())
	openAICalls(&d, v.Get("tool_calls"))
	return d.done()
}

func openAIPart(d *draft, p gjson.Result) {
	switch p.Get("type").String() {
	case "text", "input_text", "output_text", "refusal":
		d.addText(first(p, "text", "content", "refusal").String())
	case "thinking", "reasoning":
		d.addReasoning(first(p, "thinking", "text", "reasoning").String())
	case "tool_use":
		d.addCall(p.Get("id").String(), p.Get("name").String(), value(p.Get("input")))
	case "tool_result":
		d.addResult(p.Get("tool_use_id").String(), "", blocks(p.Get("content")))
	case "image_url":
		d.parts = append(d.parts, media("image", "", p.Get("image_url.url").String()))
	default:
		if p.Type == gjson.String {
			d.addText(p.String())
			return
		}
		d.parts = append(d.parts, other(p))
	}
}

// blocks is the text of content that may be a list of text blocks.
func blocks(v gjson.Result) string {
	if !v.IsArray() {
		return value(v)
	}
	out := ""
	ok := true
	v.ForEach(func(_, b gjson.Result) bool {
		if b.Get("type").String() != "text" {
			ok = false
			return false
		}
		out += b.Get("text").String()
		return true
	})
	if !ok {
		return v.Raw
	}
	return out
}

func openAICalls(d *draft, calls gjson.Result) {
	calls.ForEach(func(_, c gjson.Result) bool {
		name, args := c.Get("function.name"), c.Get("function.arguments")
		if !name.Exists() {
			name, args = c.Get("name"), first(c, "arguments", "args")
		}
		d.addCall(c.Get("id").String(), name.String(), value(args))
		return true
	})
}

// vercelMessage reads the AI SDK's prompt form: content as text or as a list
// of parts with dashed type names.
func vercelMessage(v gjson.Result) []*trajectory.Message {
	d := draft{m: trajectory.Message{Role: normalRole(v.Get("role").String())}}
	c := v.Get("content")
	if !c.IsArray() {
		d.addText(value(c))
		return d.done()
	}
	c.ForEach(func(_, p gjson.Result) bool {
		vercelPart(&d, p)
		return true
	})
	return d.done()
}

func vercelPart(d *draft, p gjson.Result) {
	switch p.Get("type").String() {
	case "text":
		d.addText(p.Get("text").String())
	case "reasoning":
		d.addReasoning(p.Get("text").String())
	case "tool-call":
		d.addCall(p.Get("toolCallId").String(), p.Get("toolName").String(), value(first(p, "input", "args")))
	case "tool-result":
		d.addResult(p.Get("toolCallId").String(), p.Get("toolName").String(), vercelResult(p))
	case "image", "file":
		content := first(p, "image", "data", "url")
		d.parts = append(d.parts, media(p.Get("type").String(), first(p, "mediaType", "mimeType").String(), value(content)))
	default:
		d.parts = append(d.parts, other(p))
	}
}

// vercelResult opens {output:{type,value}} (version 5) or result (before it).
func vercelResult(p gjson.Result) string {
	out := p.Get("output")
	if !out.Exists() {
		return value(p.Get("result"))
	}
	if v := out.Get("value"); v.Exists() {
		return value(v)
	}
	return value(out)
}

// vercelCall reads an element of ai.response.toolCalls.
func vercelCall(v gjson.Result) trajectory.ToolCall {
	return trajectory.ToolCall{
		ID: v.Get("toolCallId").String(), Name: v.Get("toolName").String(), Arguments: value(first(v, "input", "args")),
	}
}

// first is the first of several members that exists and is not null.
func first(v gjson.Result, names ...string) gjson.Result {
	for _, n := range names {
		if m := v.Get(n); m.Exists() && m.Type != gjson.Null {
			return m
		}
	}
	return gjson.Result{}
}
