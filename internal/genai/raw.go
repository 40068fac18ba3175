package genai

import (
	"strings"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// Many dialects show a call as the client library sent and got it: one JSON
// value with the whole request, one with the whole response. Their forms do not
// contradict each other, so one reader knows them all.

// request reads the messages of a request: a list of messages, an object that
// holds one (OpenAI, Anthropic, Gemini, Bedrock, LangChain), or plain text.
// Tool definitions are read where the call shows none.
func (d *Decoder) request(raw string, c *trajectory.Call) ([]*trajectory.Message, trajectory.Reason) {
	raw = strings.TrimSpace(unquoted(raw))
	switch {
	case raw == "" || raw == "null":
		return nil, ""
	case raw[0] == '[':
		ms, missing := d.history(opened(raw))
		return d.spokenBy(ms, trajectory.RoleUser), missing
	case raw[0] != '{':
		if redacted(raw) {
			return nil, trajectory.ReasonRedacted
		}
		return d.says(trajectory.RoleUser, raw), ""
	}
	o := parse(raw)
	if o == nil {
		return nil, trajectory.ReasonTruncated
	}
	d.parameters(o, c)
	list := o.first("messages", "input", "contents", "prompt", "prompts")
	ms, missing := d.several(list, trajectory.RoleUser)
	alone := len(ms)
	if sys := o.first("system", "instructions", "system_instruction", "systemInstruction", "system_prompt"); sys.exists() && missing == "" {
		ms = d.withInstructions(sys, ms)
	} else if cfg := o.get("config"); cfg.isObject() && missing == "" {
		ms = d.withInstructions(cfg.first("system_instruction", "systemInstruction"), ms)
	}
	if c != nil {
		c.Apart = len(ms) > alone
	}
	return unhidden(ms, missing)
}

// unhidden are messages of which none stands for redacted text.
func unhidden(ms []*trajectory.Message, missing trajectory.Reason) ([]*trajectory.Message, trajectory.Reason) {
	if hidden(ms) {
		return nil, trajectory.ReasonRedacted
	}
	return ms, missing
}

// several reads what may be a list of messages, one message or plain text.
func (d *Decoder) several(v token, role string) ([]*trajectory.Message, trajectory.Reason) {
	switch {
	case strings.HasPrefix(v.raw, "["):
		ms, missing := d.history(opened(v.raw))
		return d.spokenBy(ms, role), missing
	case v.isObject():
		ms := speaking(d.message(&scanner{s: v.raw}))
		return d.spokenBy(ms, role), ""
	case v.isText():
		if s := v.view(); s != "" {
			return d.says(role, d.memo.texts.read(v)), ""
		}
	}
	return nil, ""
}

// opened takes the one list out of a list of lists: LangChain asks for batches.
func opened(raw string) string {
	c := scanner{s: raw}
	if c.peek() != '[' {
		return raw
	}
	c.i++
	if c.peek() != '[' {
		return raw
	}
	inner := c.value()
	if c.peek() != ']' || c.bad {
		return raw // a batch of several is no call
	}
	return inner.raw
}

// withInstructions puts instructions that were sent apart before the messages.
func (d *Decoder) withInstructions(v token, ms []*trajectory.Message) []*trajectory.Message {
	if !v.exists() || v.isNull() {
		return ms
	}
	dr := d.draft()
	if v.isObject() && (v.member("parts").exists() || v.member("content").exists()) {
		v = v.first("parts", "content")
	}
	d.content(dr, v)
	dr.m.Role = trajectory.RoleSystem
	sys := dr.done()
	if len(sys) != 1 || !says(sys[0]) || len(ms) > 0 && ms[0].Role == trajectory.RoleSystem && ms[0].Text == sys[0].Text {
		return ms
	}
	return append([]*trajectory.Message{d.memo.shared(sys[0])}, ms...)
}

// parameters reads what a request says beside its messages.
func (d *Decoder) parameters(o members, c *trajectory.Call) {
	if c == nil {
		return
	}
	if c.RequestModel == "" {
		c.RequestModel = d.memo.name(o.get("model").asText())
	}
	d.r.goesOnFrom(o)
	cfg := parse(o.first("config", "generationConfig", "generation_config").raw) // Gemini's
	tools := o.get("tools")
	if !tools.exists() {
		tools = cfg.get("tools")
	}
	if c.Tools == "" && strings.HasPrefix(tools.raw, "[") && tools.raw != "[]" {
		c.Tools = d.memo.take(d.shared().toolArray(tools.raw))
	}
	if n := d.r.numbers; n != nil {
		n.parameters(c, o)
		n.parameters(c, cfg)
	}
}

// response reads the answer out of a response: chat completions, Responses,
// Anthropic's and Gemini's messages, LangChain's generations, a list of
// messages, or plain text.
func (d *Decoder) response(raw string, c *trajectory.Call) ([]*trajectory.Message, trajectory.Reason) {
	raw = strings.TrimSpace(unquoted(raw))
	switch {
	case raw == "" || raw == "null":
		return nil, ""
	case raw[0] == '[':
		if o := firstOf(token{raw: raw}); o.get("object").view() == "response" { // the Agents SDK's list of one
			d.about(o, c)
			ms, missing := d.answer(o, raw)
			return unhidden(speaking(d.spokenBy(ms, trajectory.RoleAssistant)), missing)
		}
		ms, missing := d.said(opened(raw))
		return speaking(d.spokenBy(ms, trajectory.RoleAssistant)), missing
	case raw[0] != '{':
		if redacted(raw) {
			return nil, trajectory.ReasonRedacted
		}
		return d.says(trajectory.RoleAssistant, raw), ""
	}
	o := parse(raw)
	if o == nil {
		return nil, trajectory.ReasonTruncated
	}
	d.about(o, c)
	ms, missing := d.answer(o, raw)
	ms = d.withRaw(ms, o.get("raw"))
	return unhidden(speaking(d.spokenBy(ms, trajectory.RoleAssistant)), missing)
}

// withRaw adds the text that a framework left out of its own message beside tool
// calls, from the provider's response that it shows, too.
func (d *Decoder) withRaw(ms []*trajectory.Message, raw token) []*trajectory.Message {
	if len(ms) != 1 || ms[0].Text != "" || len(ms[0].ToolCalls) == 0 || !raw.isObject() {
		return ms
	}
	own, _ := d.answer(parse(raw.raw), raw.raw)
	if len(own) != 1 || own[0].Text == "" || len(own[0].ToolCalls) != len(ms[0].ToolCalls) {
		return ms
	}
	m := *ms[0]
	m.Text = own[0].Text
	return []*trajectory.Message{d.memo.shared(&m)}
}

// answer finds the message in a response.
func (d *Decoder) answer(o members, raw string) ([]*trajectory.Message, trajectory.Reason) {
	switch {
	case o.get("choices").exists():
		choice := firstOf(o.get("choices"))
		if m := choice.first("message", "delta"); m.isObject() {
			return d.message(&scanner{s: m.raw}), ""
		}
		return d.several(choice.get("text"), trajectory.RoleAssistant)
	case o.get("candidates").exists():
		return d.several(firstOf(o.get("candidates")).get("content"), trajectory.RoleAssistant)
	case o.get("content").member("parts").exists():
		return d.several(o.get("content"), trajectory.RoleAssistant)
	case o.get("generations").exists():
		g := firstOf(token{raw: opened(o.get("generations").raw)})
		if m := g.get("message"); m.isObject() {
			return d.message(&scanner{s: m.raw}), ""
		}
		return d.several(g.get("text"), trajectory.RoleAssistant)
	case o.get("messages").exists():
		ms, missing := d.said(opened(o.get("messages").raw))
		return ms, missing
	case strings.HasPrefix(o.get("output").raw, "["):
		return d.said(o.get("output").raw)
	case o.get("output").isObject() && o.get("output").member("message").isObject(): // Bedrock
		return d.message(&scanner{s: o.get("output").member("message").raw}), ""
	case o.get("message").isObject():
		return d.message(&scanner{s: o.get("message").raw}), ""
	case o.get("role").exists(), o.get("content").exists(), o.get("tool_calls").exists(), o.get("parts").exists(), o.get("lc").exists():
		return d.message(&scanner{s: raw}), ""
	case o.get("toolCalls").exists(), o.get("text").isText():
		return d.generated(o), ""
	}
	return nil, ""
}

// generated reads the AI SDK's result of a call.
func (d *Decoder) generated(o members) []*trajectory.Message {
	dr := d.draft()
	dr.m.Role = trajectory.RoleAssistant
	dr.addText(dr.text(o.get("text")))
	if thought := o.first("reasoningText", "reasoning"); thought.isText() {
		dr.addReasoning(dr.text(thought))
	}
	c := scanner{s: o.get("toolCalls").raw}
	for more := c.enter('['); more; more = c.next(']') {
		v := c.value()
		dr.addCall(v.member("toolCallId"), v.member("toolName"), dr.value(v.first("input", "args")))
	}
	return dr.done()
}

// fakeID is what the OpenAI Agents SDK writes where it makes a response out of
// something else.
const fakeID = "__fake_id__"

// goesOnFrom finds the response that a request goes on from, in the request or
// in the response to it.
func (r *reader) goesOnFrom(o members) {
	id := o.get("previous_response_id")
	if !id.exists() {
		id = o.get("thread").member("previous_message_id") // Anthropic's
	}
	if r.previous == "" && id.isText() {
		r.previous = strings.Clone(id.view())
	}
}

// about reads what a response says beside its answer: it, what LangChain keeps
// beside its message, and the provider's response inside a framework's.
func (d *Decoder) about(o members, c *trajectory.Call) {
	if c == nil {
		return
	}
	if list := o.get("generations"); list.exists() {
		g := firstOf(token{raw: opened(list.raw)})
		m := g.get("message")
		if inner := m.member("kwargs"); inner.isObject() {
			m = inner
		}
		d.aboutOne(parse(m.member("response_metadata").raw), c)
		d.aboutOne(parse(g.first("generation_info", "generationInfo").raw), c)
	}
	d.aboutOne(o, c)
	if raw := o.get("raw"); raw.isObject() {
		d.aboutOne(parse(raw.raw), c)
	}
}

func (d *Decoder) aboutOne(o members, c *trajectory.Call) {
	d.r.goesOnFrom(o)
	if id := o.get("id"); c.ResponseID == "" && id.isText() && !runID(id.view()) {
		if id.view() == fakeID {
			id = firstOf(o.get("output")).get("provider_data").member("response_id")
		}
		c.ResponseID = d.memo.texts.read(id)
	}
	if model := o.first("model", "model_name"); c.ResponseModel == "" && model.isText() {
		c.ResponseModel = d.memo.name(model.view())
	}
	if c.FinishReason == "" {
		reason := o.first("stop_reason", "stopReason", "finish_reason", "finishReason")
		if !reason.exists() && o.get("choices").exists() {
			reason = firstOf(o.get("choices")).get("finish_reason")
		}
		c.FinishReason = d.memo.name(reason.asText())
	}
	if used := o.first("usage", "usage_metadata", "usageMetadata"); used.isObject() && d.r.numbers != nil {
		d.usage(c, d.r.numbers, used.raw)
	}
}

// runID says whether an id is LangChain's own, of the run that the model call
// was.
func runID(id string) bool {
	return strings.HasPrefix(id, "lc_run-") || strings.HasPrefix(id, "run-")
}

// firstOf is the first object of a list.
func firstOf(list token) members {
	c := scanner{s: list.raw}
	if c.peek() != '[' {
		return nil
	}
	if c.i++; c.peek() != '{' {
		return nil
	}
	return parse(c.value().raw)
}
