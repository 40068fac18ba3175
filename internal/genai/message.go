package genai

import (
	"strings"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// message reads the JSON message that stands next, whatever form it has:
// semconv {role, parts}, OpenAI's chat {role, content, tool_calls}, OpenAI's
// Responses items {type: function_call, …}, Anthropic's and Bedrock's blocks,
// Gemini's contents, the AI SDK's dashed part types, LangChain's serialized
// messages. The forms do not contradict each other, so the members that are
// there decide. One element may hold the results of several tools, which are
// messages of their own.
func (d *Decoder) message(c *scanner) []*trajectory.Message {
	dr := d.draft()
	if c.peek() != '{' {
		return d.plain(dr, c.value())
	}
	o, list := d.r.members[:0], false
	for more := c.enter('{'); more; more = c.next('}') {
		name := c.key()
		if list || name != "parts" && name != "content" && name != "_content" || c.peek() != '[' {
			o = append(o, member{name, c.value()})
			continue
		}
		from := c.i
		d.list(c, dr)
		list = true
		o = append(o, member{name, token{raw: c.s[from:c.i]}})
	}
	d.r.members = o
	if c.bad {
		return nil
	}
	return d.finish(dr, o, list)
}

// plain reads a message that is a text; who says it is not shown. The repr of
// a message object is no text that a model sees.
func (d *Decoder) plain(dr *draft, v token) []*trajectory.Message {
	if v.isText() && !pyObject(v.view()) {
		dr.addText(dr.text(v))
	}
	if len(dr.texts) == 0 {
		return nil
	}
	return dr.done()
}

// finish finishes a message whose members are known. list says that its parts
// were read on the way.
func (d *Decoder) finish(dr *draft, o members, list bool) []*trajectory.Message {
	kind := o.get("type").view()
	switch {
	case o.get("kwargs").isObject() && o.get("lc").exists():
		return d.langChain(o.get("kwargs").raw, className(o.get("id")))
	case o.get("data").isObject() && !o.get("role").exists():
		return d.langChain(o.get("data").raw, kind)
	case o.get("message").isObject() && !o.get("role").exists() && !list:
		if i := o.get("index").asText(); i != "" && i != "0" {
			return nil // a choice that the agent did not go on with
		}
		if inner := parse(o.get("message").raw); inner.first("role", "content", "tool_calls").exists() {
			return d.finish(dr, inner, false)
		}
		return nil
	case item(dr, o, kind):
		ms := dr.done()
		if d.memo.items == nil {
			d.memo.items = map[*trajectory.Message]bool{}
		}
		for _, m := range ms {
			d.memo.items[m] = true
		}
		return ms
	}
	role := o.first("role", "_role")
	if role.view() == "" && kind != "message" {
		role = o.get("type")
	}
	dr.role(role)
	dr.m.Name = d.memo.name(o.get("name").asText())
	dr.m.ToolCallID = dr.text(o.first("tool_call_id", "tool_use_id"))
	if dr.m.ToolCallID == "" && o.get("event.name").view() == "gen_ai.tool.message" {
		dr.m.ToolCallID = dr.text(o.get("id"))
	}
	if !list {
		d.content(dr, o.first("parts", "content"))
	}
	if dr.strange && dr.m.Role == trajectory.RoleTool && len(dr.results) == 0 {
		dr.result(o.first("parts", "content")) // what the tool returned is no content of a message
	}
	dr.addText(dr.text(o.get("refusal")))
	dr.addReasoning(dr.text(o.first("reasoning_content", "reasoning")))
	calls := o.get("tool_calls")
	// LangChain leaves out of its own list what is no JSON.
	if extra := o.get("additional_kwargs"); extra.isObject() {
		if all := extra.member("tool_calls"); all.length() > calls.length() {
			calls = all
		}
	}
	openAICalls(dr, calls)
	if blocks := o.get("blocks"); len(blocks.raw) > 2 {
		d.llamaBlocks(dr, blocks)
	}
	if broken := o.get("invalid_tool_calls"); len(broken.raw) > 2 {
		d.invalidCalls(dr, broken, o.get("additional_kwargs").member("tool_calls"))
	}
	return dr.done()
}

// llamaBlocks reads the blocks of a LlamaIndex message: text, and the calls that
// are most often shown beside them, too.
func (d *Decoder) llamaBlocks(dr *draft, blocks token) {
	calls, text := len(dr.m.ToolCalls), len(dr.texts)
	c := scanner{s: blocks.raw}
	for more := c.enter('['); more; more = c.next(']') {
		b := parse(c.value().raw)
		switch {
		case b.get("tool_name").exists() && calls == 0:
			dr.addCall(b.first("tool_call_id", "tool_id"), b.get("tool_name"), dr.value(b.get("tool_kwargs")))
		case b.get("text").isText() && text == 0:
			dr.addText(dr.text(b.get("text")))
		case b.get("block_type").view() == "thinking":
			dr.addReasoning(dr.text(b.get("content")))
		}
	}
}

// invalidCalls adds the calls whose arguments LangChain could not parse: the
// model asked for them all the same. LangChain keeps them apart; as they came
// all calls are in the provider's own form, where that is shown.
func (d *Decoder) invalidCalls(dr *draft, broken, all token) {
	if strings.HasPrefix(all.raw, "[{") {
		dr.m.ToolCalls = nil
		broken = all
	}
	openAICalls(dr, broken)
}

// content reads a message's content: text, a list of parts, or one part.
func (d *Decoder) content(dr *draft, v token) {
	switch {
	case strings.HasPrefix(v.raw, "["):
		c := scanner{s: v.raw}
		d.list(&c, dr)
	case v.isObject():
		p := parse(v.raw)
		if strings.HasPrefix(p.get("parts").raw, "[") { // Gemini's content
			d.content(dr, p.get("parts"))
			return
		}
		dr.strange = p.get("type").view() == "" // Gemini's one part, or what a tool returned
		if !dr.part(p) {
			dr.addText(dr.value(v))
		}
	default:
		dr.addText(dr.value(v))
	}
}

// list reads an array of parts.
func (d *Decoder) list(c *scanner, dr *draft) {
	for more := c.enter('['); more; more = c.next(']') {
		switch c.peek() {
		case '{':
			from := c.i
			p := c.object(d.r.inner[:0])
			d.r.inner = p
			dr.strange = dr.strange || len(p) != 1 && p.get("type").view() == ""
			if raw := c.s[from:c.i]; !c.bad && !dr.part(p) {
				dr.strange = true
				dr.parts = append(dr.parts, other(p.get("type").asText(), raw))
			}
		case '"':
			if v := c.value(); !c.bad {
				dr.strange = true // in a prompt a text, in a result a value
				dr.addText(dr.text(v))
			}
		default:
			dr.strange = true
			if v := c.value(); !c.bad {
				dr.parts = append(dr.parts, other("", v.raw))
			}
		}
	}
}

// langChain reads the inner object of a serialized LangChain message.
func (d *Decoder) langChain(raw, class string) []*trajectory.Message {
	o, dr := parse(raw), d.draft()
	if !o.get("role").exists() {
		kind := o.get("type").view()
		if kind == "" {
			kind = class
		}
		o = append(o, member{"role", quoted(kind)})
	}
	return d.finish(dr, o, false)
}

// className is the last element of the path in which LangChain names a class.
func className(path token) string {
	c, last := scanner{s: path.raw}, ""
	if c.peek() != '[' {
		return ""
	}
	for more := c.enter('['); more; more = c.next(']') {
		last = c.value().view()
	}
	return last
}

// quoted is a plain word as a token.
func quoted(word string) token { return token{raw: `"` + word + `"`, plain: true} }

// item reads an item of OpenAI's Responses API that is no message; false for
// anything else.
func item(dr *draft, o members, kind string) bool {
	switch kind {
	case "function_call", "custom_tool_call", "mcp_call":
		dr.m.Role = trajectory.RoleAssistant
		dr.addCall(o.first("call_id", "id"), o.get("name"), dr.value(o.first("arguments", "input")))
	case "function_call_output", "custom_tool_call_output":
		dr.m.Role = trajectory.RoleTool
		dr.add(dr.text(o.first("call_id", "id")), o.get("name"), dr.blocks(o.get("output")))
	case "reasoning":
		if o.get("role").exists() {
			return false
		}
		dr.m.Role = trajectory.RoleAssistant
		for _, list := range []token{o.get("summary"), o.get("content")} {
			dr.addReasoning(dr.blocks(list))
		}
	case "message":
		return false
	default:
		return false
	}
	return true
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
			name, arguments = o.get("name"), o.first("arguments", "args", "input")
		}
		d.addCall(o.get("id"), name, d.value(arguments))
	}
}

// blocks is the text of content that may be a list of text blocks, or of values.
func (d *draft) blocks(v token) string {
	if !strings.HasPrefix(v.raw, "[") {
		return d.value(v)
	}
	out := ""
	c := scanner{s: v.raw}
	for more := c.enter('['); more; more = c.next(']') {
		b := c.value()
		switch text, value := b.member("text"), b.member("json"); {
		case text.isText():
			out += text.view()
		case value.exists():
			out += value.raw
		default:
			return d.value(v)
		}
	}
	return out
}
