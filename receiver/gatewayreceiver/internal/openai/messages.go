package openai

import (
	"strings"

	"github.com/tidwall/gjson"
)

// inputMessages writes the request's messages as semconv input messages:
// [{"role","parts":[…],"name"?}].
func inputMessages(messages gjson.Result) string {
	dst := make([]byte, 0, len(messages.Raw)+len(messages.Raw)/4)
	dst = append(dst, '[')
	messages.ForEach(func(_, m gjson.Result) bool {
		dst = comma(dst)
		dst = appendMessage(dst, m)
		return true
	})
	return valid(append(dst, ']'))
}

// message has the members of a chat message that carry content.
type message struct {
	role, name, callID  gjson.Result
	content, refusal    gjson.Result
	reasoning, thinking gjson.Result // reasoning_content, reasoning: servers differ
	calls, function     gjson.Result // tool_calls, and the older function_call
}

func readMessage(v gjson.Result) (m message) {
	v.ForEach(func(key, v gjson.Result) bool {
		switch key.String() {
		case "role":
			m.role = v
		case "name":
			m.name = v
		case "tool_call_id":
			m.callID = v
		case "content":
			m.content = v
		case "refusal":
			m.refusal = v
		case "reasoning_content":
			m.reasoning = v
		case "reasoning":
			m.thinking = v
		case "tool_calls":
			m.calls = v
		case "function_call":
			m.function = v
		}
		return true
	})
	if text(m.reasoning) == "" {
		m.reasoning = m.thinking
	}
	return m
}

func appendMessage(dst []byte, v gjson.Result) []byte {
	m := readMessage(v)
	dst = append(dst, `{"role":`...)
	dst = appendRawString(dst, m.role)
	dst = append(dst, `,"parts":[`...)
	if role := text(m.role); role == "tool" || role == "function" {
		dst = appendResult(dst, m)
	} else {
		dst = appendTextPart(dst, "reasoning", m.reasoning)
		dst = appendContent(dst, m.content)
		dst = appendTextPart(dst, "refusal", m.refusal)
		m.calls.ForEach(func(_, c gjson.Result) bool {
			dst = appendCall(comma(dst), c)
			return true
		})
		if m.function.IsObject() {
			dst = appendFunction(comma(dst), gjson.Result{}, m.function.Get("name"), m.function.Get("arguments"))
		}
	}
	dst = append(dst, ']')
	if m.name.Type == gjson.String {
		dst = append(append(dst, `,"name":`...), m.name.Raw...)
	}
	return append(dst, '}')
}

// appendContent writes content as parts: text, or a list of typed parts.
func appendContent(dst []byte, content gjson.Result) []byte {
	if !content.IsArray() {
		return appendTextPart(dst, "text", content)
	}
	content.ForEach(func(_, p gjson.Result) bool {
		dst = appendPart(dst, p)
		return true
	})
	return dst
}

func appendPart(dst []byte, p gjson.Result) []byte {
	switch p.Get("type").String() {
	case "text", "input_text", "output_text":
		return appendTextPart(dst, "text", p.Get("text"))
	case "refusal":
		return appendTextPart(dst, "refusal", p.Get("refusal"))
	case "image_url":
		url := p.Get("image_url.url")
		if !url.Exists() {
			url = p.Get("image_url")
		}
		dst = append(comma(dst), `{"type":"uri","modality":"image","uri":`...)
		return append(appendRawString(dst, url), '}')
	case "input_audio":
		dst = append(comma(dst), `{"type":"blob","modality":"audio","mime_type":`...)
		dst = gjson.AppendJSONString(dst, "audio/"+p.Get("input_audio.format").String())
		dst = append(dst, `,"content":`...)
		return append(appendRawString(dst, p.Get("input_audio.data")), '}')
	}
	return append(comma(dst), p.Raw...) // semconv allows parts of any type
}

// appendResult writes a tool message as its result. A result given as text
// parts is their text.
func appendResult(dst []byte, m message) []byte {
	dst = append(comma(dst), `{"type":"tool_call_response"`...)
	if m.callID.Type == gjson.String {
		dst = append(append(dst, `,"id":`...), m.callID.Raw...)
	}
	dst = append(dst, `,"response":`...)
	switch {
	case m.content.IsArray():
		if joined, ok := textOf(m.content); ok {
			dst = gjson.AppendJSONString(dst, joined)
		} else {
			dst = append(dst, m.content.Raw...)
		}
	case m.content.Exists():
		dst = append(dst, m.content.Raw...)
	default:
		dst = append(dst, `null`...)
	}
	return append(dst, '}')
}

// textOf joins parts that are all text.
func textOf(parts gjson.Result) (joined string, ok bool) {
	var b strings.Builder
	ok = true
	parts.ForEach(func(_, p gjson.Result) bool {
		t := p.Get("text")
		ok = t.Type == gjson.String && p.Get("type").String() == "text"
		b.WriteString(t.Str)
		return ok
	})
	return b.String(), ok
}

func appendCall(dst []byte, c gjson.Result) []byte {
	if custom := c.Get("custom"); custom.IsObject() {
		return appendFunction(dst, c.Get("id"), custom.Get("name"), custom.Get("input"))
	}
	return appendFunction(dst, c.Get("id"), c.Get("function.name"), c.Get("function.arguments"))
}

func appendFunction(dst []byte, id, name, arguments gjson.Result) []byte {
	dst = append(dst, `{"type":"tool_call"`...)
	if id.Type == gjson.String {
		dst = append(append(dst, `,"id":`...), id.Raw...)
	}
	dst = append(dst, `,"name":`...)
	dst = appendRawString(dst, name)
	dst = append(dst, `,"arguments":`...)
	if arguments.Type == gjson.String {
		dst = appendArguments(dst, arguments.Str)
	} else {
		dst = append(dst, orNull(arguments.Raw)...)
	}
	return append(dst, '}')
}

// appendArguments writes the JSON text that a model wrote as arguments: as the
// object it is, letter by letter, else as a string.
func appendArguments(dst []byte, args string) []byte {
	if t := strings.TrimSpace(args); t != "" && (t[0] == '{' || t[0] == '[') && gjson.Valid(t) {
		return append(dst, t...)
	}
	return gjson.AppendJSONString(dst, args)
}

// toolDefinitions writes tools as semconv tool definitions: the members of
// {"type":T, T:{…}} in one object.
func toolDefinitions(tools gjson.Result) string {
	dst := []byte{'['}
	tools.ForEach(func(_, t gjson.Result) bool {
		dst = comma(dst)
		kind := t.Get("type").String()
		inner := t.Get("function")
		if kind == "custom" {
			inner = t.Get("custom")
		}
		switch {
		case inner.IsObject():
			dst = append(dst, `{"type":`...)
			dst = gjson.AppendJSONString(dst, kind)
			inner.ForEach(func(key, v gjson.Result) bool {
				dst = append(append(append(append(dst, ','), key.Raw...), ':'), v.Raw...)
				return true
			})
			dst = append(dst, '}')
		case kind == "" && t.Get("name").Exists(): // an entry of the older "functions"
			dst = append(append(dst, `{"type":"function",`...), strings.TrimLeft(t.Raw, "{ \t\r\n")...)
		default:
			dst = append(dst, t.Raw...)
		}
		return true
	})
	return valid(append(dst, ']'))
}

// appendTextPart writes {"type":kind,"content":v} unless v has no text.
func appendTextPart(dst []byte, kind string, v gjson.Result) []byte {
	if text(v) == "" {
		return dst
	}
	dst = append(append(append(comma(dst), `{"type":"`...), kind...), `","content":`...)
	return append(append(dst, v.Raw...), '}')
}

func appendRawString(dst []byte, v gjson.Result) []byte {
	if v.Type != gjson.String {
		return append(dst, `""`...)
	}
	return append(dst, v.Raw...)
}

func orNull(raw string) string {
	if raw == "" {
		return "null"
	}
	return raw
}

// comma separates list elements: nothing after an opening bracket.
func comma(dst []byte) []byte {
	if n := len(dst); n > 0 && dst[n-1] != '[' {
		return append(dst, ',')
	}
	return dst
}

// valid makes sure that an attribute can be sent: OTLP strings are UTF-8.
func valid(dst []byte) string { return strings.ToValidUTF8(string(dst), "\ufffd") }
