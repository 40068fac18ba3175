package genai

import (
	"slices"
	"strings"

	"github.com/tidwall/gjson"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// call reads what a model span shows.
func (d *Decoder) call(s *trajectory.Span, n *numbers) {
	r, b, c := d.r, &d.memo.before, s.Call
	r.numbers = n
	*c = trajectory.Call{ModelCall: trajectory.ModelCall{
		Provider: again(&b.provider, r.text(fProvider)), RequestModel: again(&b.requestModel, r.text(fRequestModel)),
		ResponseModel: again(&b.responseModel, r.text(fResponseModel)), Adapter: again(&b.adapter, r.text(fAdapter)),
		Bundle: again(&b.bundle, r.text(fBundle)), ResponseID: r.text(fResponseID), FinishReason: again(&b.finish, r.finish()),
		InputTokens: r.count(fInputTokens, &n.input), OutputTokens: r.count(fOutputTokens, &n.output), CachedTokens: r.count(fCachedTokens, &n.cached),
		Temperature: r.number(fTemperature, &n.temperature), TopP: r.number(fTopP, &n.topP),
		TopK: r.integer(fTopK, &n.topK), MaxTokens: r.integer(fMaxTokens, &n.maxTokens), Seed: r.integer(fSeed, &n.seed),
		Tools: d.tools(), PromptTokenIDs: r.ids(fPromptTokenIDs), TokenIDs: r.ids(fTokenIDs), Logprobs: r.logprobs(fLogprobs),
		LogprobsMode: r.text(fLogprobsMode), Constrained: r.flag(fConstrained),
	}, Fetched: r.text(fOperation) == "fetch_response"}
	d.invocation(c, n)
	d.usage(c, n, r.text(fUsage))
	d.prompt(s, c)
	d.reply(s, c)
	if c.FinishReason == "error" && s.Error == "" {
		s.Error = "finish reason: error"
	}
	if c.ResponseID == "" && strings.HasPrefix(r.text(fValueOut), "{") {
		c.ResponseID = gjson.Get(r.text(fValueOut), "id").String()
	}
	if c.ResponseID == fakeID {
		c.ResponseID = ""
	}
	if c.InputTokens != nil && *c.InputTokens == 0 && c.OutputTokens != nil && *c.OutputTokens == 0 {
		c.InputTokens, c.OutputTokens = nil, nil // a stream that did not count: no call reads nothing
	}
}

// prompt reads what the model was sent: semconv, else Vercel, else flattened
// messages, else the raw request.
func (d *Decoder) prompt(s *trajectory.Span, c *trajectory.Call) {
	r := d.r
	var missing trajectory.Reason
	switch {
	case r.has(fInputParts):
		c.Prompt, missing = d.history(r.text(fInputParts))
		if sys := d.instructions(r.text(fSystem)); sys != nil && len(c.Prompt) > 0 && (c.Prompt[0].Role != trajectory.RoleSystem || c.Prompt[0].Text != sys.Text) {
			c.Prompt, c.Apart = append([]*trajectory.Message{sys}, c.Prompt...), true
		}
	case r.has(fVercelPrompt):
		c.Prompt, missing = d.history(r.text(fVercelPrompt))
	case len(r.flat.input) > 0 || r.flat.cut:
		c.Prompt, missing = d.flattened(&r.flat, r.flat.input, false)
	case len(r.indexed.input) > 0 || r.indexed.cut:
		c.Prompt, missing = d.flattened(&r.indexed, r.indexed.input, false)
	case r.flat.prompt != "":
		c.Prompt = d.says(trajectory.RoleUser, r.flat.prompt)
	}
	if raw := r.first(fRequest, fIn); len(c.Prompt) == 0 && raw != "" {
		c.Prompt, missing = d.request(raw, c)
	}
	if raw := strings.TrimSpace(r.text(fValueIn)); len(c.Prompt) == 0 && structured(raw) {
		if ms, cut := d.request(raw, c); len(ms) > 0 || cut != "" && missing == "" {
			c.Prompt, missing = ms, cut
		}
	}
	s.Missing = addReason(s.Missing, missing)
}

// flattened reads messages that are one attribute a leaf.
func (d *Decoder) flattened(f *flat, list []flatMessage, reply bool) ([]*trajectory.Message, trajectory.Reason) {
	ms, all := d.build(f, list, reply)
	switch {
	case hidden(ms):
		return nil, trajectory.ReasonRedacted
	case all != whole:
		return ms, trajectory.ReasonTruncated
	}
	return ms, ""
}

// wantsTools says whether any message asks for a tool.
func wantsTools(ms []*trajectory.Message) bool {
	return slices.ContainsFunc(ms, func(m *trajectory.Message) bool { return len(m.ToolCalls) > 0 })
}

// asking is a reply that asks for tools which only another convention on the
// same span shows.
func (d *Decoder) asking(reply []*trajectory.Message, calls []trajectory.ToolCall) []*trajectory.Message {
	if len(reply) == 0 {
		return []*trajectory.Message{d.memo.shared(&trajectory.Message{Role: trajectory.RoleAssistant, ToolCalls: calls})}
	}
	m := *reply[len(reply)-1]
	m.ToolCalls = calls
	return append(slices.Clone(reply[:len(reply)-1]), d.memo.shared(&m))
}

// structured says whether a value may be a request or a response: an object, or
// a list of objects.
func structured(raw string) bool {
	return strings.HasPrefix(raw, "{") || strings.HasPrefix(raw, "[{") || strings.HasPrefix(raw, "[[{")
}

// instructions reads gen_ai.system_instructions as one system message.
func (d *Decoder) instructions(raw string) *trajectory.Message {
	if raw == "" {
		return nil
	}
	if ms, ok := d.memo.get(raw); ok && len(ms) == 1 {
		return ms[0]
	}
	dr := d.draft()
	c := scanner{s: raw}
	if c.peek() == '[' {
		d.list(&c, dr)
	}
	if !c.done() || raw[0] != '[' && c.i == 0 {
		dr = d.draft()
		dr.addText(unquoted(raw))
	}
	dr.m.Role, dr.m.ToolCalls = trajectory.RoleSystem, nil // instructions ask for nothing to be run
	ms := dr.done()
	if len(ms) != 1 || !says(ms[0]) {
		return nil
	}
	d.memo.put(raw, ms)
	return ms[0]
}

// says is one message of plain text.
func (d *Decoder) says(role, text string) []*trajectory.Message {
	return []*trajectory.Message{d.memo.shared(&trajectory.Message{Role: role, Text: text})}
}

// reply reads what the model answered.
func (d *Decoder) reply(s *trajectory.Span, c *trajectory.Call) {
	r := d.r
	var missing trajectory.Reason
	switch {
	case r.has(fOutputParts):
		raw := r.text(fOutputParts)
		if c.Reply, missing = d.said(raw); c.FinishReason == "" {
			c.FinishReason = gjson.Get(raw, "0.finish_reason").Str
		}
		if unfinished(raw) {
			c.Reply = trajectory.Together(c.Reply)
		} else {
			c.Reply = trajectory.Settled(c.Reply)
			if n, ok := r.float(fChoices); ok && n > 1 && len(c.Reply) > 1 {
				c.Reply = c.Reply[:1] // as of a response: the first of several answers
			}
		}
	case r.has(fVercelText) || r.has(fVercelCalls) || r.has(fVercelObject) || r.has(fVercelReason):
		c.Reply, missing = d.vercelReply()
	case len(r.flat.output) > 0:
		c.Reply, missing = d.flattened(&r.flat, r.flat.output, true)
	case len(r.indexed.output) > 0:
		c.Reply, missing = d.flattened(&r.indexed, r.indexed.output, true)
	case r.flat.choice != "":
		c.Reply = d.says(trajectory.RoleAssistant, r.flat.choice)
	}
	if raw := r.first(fResponse, fOut); len(c.Reply) == 0 && missing == "" && raw != "" {
		c.Reply, missing = d.response(raw, c)
	}
	if raw := r.text(fValueOut); len(c.Reply) == 0 && missing != trajectory.ReasonRedacted && structured(raw) {
		if c.Reply, _ = d.response(raw, c); len(c.Reply) > 0 {
			missing = ""
		}
	}
	c.Reply = d.spokenBy(c.Reply, trajectory.RoleAssistant)
	if calls := r.indexed.calls(); len(calls) > 0 && missing == "" && !wantsTools(c.Reply) {
		c.Reply = d.asking(c.Reply, calls)
	}
	if c.FinishReason == "" {
		c.FinishReason = d.memo.name(r.indexed.finish())
	}
	if hidden(c.Reply) {
		c.Reply, missing = nil, trajectory.ReasonRedacted
	}
	s.Missing = addReason(s.Missing, missing)
}

// unfinished says whether a list of messages has some that did not finish: the
// pieces of a stream.
func unfinished(raw string) bool {
	return strings.Contains(raw, `"finish_reason":""`) || strings.Contains(raw, `"finish_reason": ""`)
}

// spokenBy gives messages without a role one. Messages are shared: it changes
// copies.
func (d *Decoder) spokenBy(ms []*trajectory.Message, role string) []*trajectory.Message {
	for i, m := range ms {
		if m.Role == "" {
			x := *m
			x.Role = role
			ms = slices.Clone(ms)
			ms[i] = d.memo.shared(&x)
		}
	}
	return ms
}

// speaking drops replies that say nothing: an empty message is not shown.
func speaking(ms []*trajectory.Message) []*trajectory.Message {
	out := ms[:0]
	for _, m := range ms {
		if says(m) {
			out = append(out, m)
		}
	}
	return out
}

func (d *Decoder) vercelReply() ([]*trajectory.Message, trajectory.Reason) {
	r := d.r
	m := trajectory.Message{Role: trajectory.RoleAssistant, Text: r.text(fVercelText), Reasoning: r.text(fVercelReason)}
	if m.Text == "" {
		m.Text = r.text(fVercelObject)
	}
	if raw := strings.TrimSpace(unquoted(r.text(fVercelCalls))); raw != "" {
		var ok bool
		if m.ToolCalls, ok = d.vercelCalls(raw); !ok {
			return nil, trajectory.ReasonTruncated
		}
	}
	if !says(&m) {
		return nil, ""
	}
	return []*trajectory.Message{d.memo.shared(&m)}, ""
}

// vercelCalls reads ai.response.toolCalls.
func (d *Decoder) vercelCalls(raw string) ([]trajectory.ToolCall, bool) {
	c := scanner{s: raw}
	dr := d.draft()
	if c.peek() != '[' {
		return nil, valid(raw)
	}
	for more := c.enter('['); more; more = c.next(']') {
		v := c.value()
		dr.addCall(v.member("toolCallId"), v.member("toolName"), dr.value(v.first("input", "args")))
	}
	return dr.m.ToolCalls, c.done()
}

// invocation fills request parameters from a JSON object of them.
func (d *Decoder) invocation(c *trajectory.Call, n *numbers) {
	s := scanner{s: d.r.text(fInvocation)}
	if s.peek() != '{' {
		return
	}
	o := s.object(d.r.members[:0])
	d.r.members = o
	if !s.done() {
		return
	}
	n.parameters(c, o)
	d.r.goesOnFrom(o)
	if c.RequestModel == "" {
		c.RequestModel = d.memo.name(o.get("model").asText())
	}
}

// parameters fills what is not known yet from an object of parameters.
func (n *numbers) parameters(c *trajectory.Call, o members) {
	fill(&c.Temperature, &n.temperature, o.get("temperature"), token.float)
	fill(&c.TopP, &n.topP, o.first("top_p", "topP"), token.float)
	fill(&c.TopK, &n.topK, o.first("top_k", "topK"), token.integer)
	fill(&c.MaxTokens, &n.maxTokens, o.first("max_completion_tokens", "max_tokens", "max_output_tokens", "maxOutputTokens"), token.integer)
	fill(&c.Seed, &n.seed, o.get("seed"), token.integer)
}

// fill sets what is not known yet to the number in v, if it is one.
func fill[T any](dst **T, room *T, v token, read func(token) T) {
	if *dst == nil && v.isNumber() {
		*room = read(v)
		*dst = room
	}
}

// finish is the first finish reason; lists may be JSON in a string.
func (r *reader) finish() string {
	if !r.has(fFinish) {
		return ""
	}
	v := r.values[fFinish]
	if v.Type() == pcommon.ValueTypeSlice {
		return v.Slice().At(0).AsString()
	}
	s := unquoted(v.AsString())
	if strings.HasPrefix(s, "[") && valid(s) {
		return gjson.Get(s, "0").String()
	}
	s, _, _ = strings.Cut(s, ", ") // LangSmith joins them
	return s
}

// tools is the tool definitions as a JSON array. Agents send the same with
// every call: what was checked once is not checked again.
func (d *Decoder) tools() string {
	r := d.r
	defs := r.flat.tools
	if r.has(fTools) {
		v := r.values[fTools]
		if v.Type() != pcommon.ValueTypeSlice {
			return d.memo.take(d.shared().toolArray(unquoted(v.AsString())))
		}
		defs = defs[:0]
		for _, e := range v.Slice().All() {
			defs = append(defs, e.AsString())
		}
		r.flat.tools = defs
	}
	if len(defs) == 0 {
		defs = r.indexed.definitions()
	}
	if len(defs) == 0 {
		return ""
	}
	return d.memo.take(d.shared().toolList(defs))
}

// tool reads a tool span.
func (d *Decoder) tool(s *trajectory.Span) {
	r, t := d.r, s.Tool
	*t = trajectory.ToolRun{Name: r.text(fToolName), CallID: r.text(fToolCallID), Arguments: r.text(fToolArguments)}
	if strings.HasPrefix(t.Arguments, `"`) {
		if inner := unquoted(t.Arguments); object(inner) != "" {
			t.Arguments = inner // the text that the provider sent
		}
	}
	if t.Name == "" {
		t.Name = strings.TrimPrefix(s.Name, "execute_tool ")
	}
	if t.Arguments == "" {
		t.Arguments = object(r.text(fValueIn))
	}
	if t.Arguments == "" {
		t.Arguments = given(r.text(fIn))
	}
	if t.Arguments == "" {
		if p := object(r.text(fToolParameters)); !gjson.Get(p, "properties").IsObject() {
			t.Arguments = p
		}
	}
	t.Name, t.Arguments = d.memo.name(strings.TrimSuffix(t.Name, ".__call__")), keyword(t.Arguments)
	if redacted(t.Arguments) && t.Arguments != "{}" || r.scrubbed(t.Arguments) {
		if t.Arguments != "N/A" {
			s.Missing = addReason(s.Missing, trajectory.ReasonRedacted)
		}
		t.Arguments = ""
	}
	for _, f := range []field{fToolResult, fValueOut} {
		switch text := r.text(f); {
		case !r.has(f) || t.Result != nil:
		case redacted(text) || r.scrubbed(text):
			s.Missing = addReason(s.Missing, trajectory.ReasonRedacted)
		default:
			t.Result = new(d.memo.results.add(t.CallID, text))
		}
	}
	if raw := unquoted(r.text(fOut)); t.Result == nil && r.has(fOut) && !redacted(raw) {
		if text, id, ok := d.returned(raw); ok {
			raw = text
			if t.CallID == "" {
				t.CallID = id
			}
		}
		t.Result = new(d.memo.results.add(t.CallID, raw))
	}
}

// scrubbed says whether Logfire put a placeholder into a text.
func (r *reader) scrubbed(text string) bool {
	return r.has(fScrubbed) && strings.Contains(text, scrubbed)
}

// keyword opens the arguments of a traced function, {"args": [], "kwargs": {…}}
// or LangChain's {"input_str": …, "inputs": {…}, …}: the model wrote the inner
// object.
func keyword(args string) string {
	if !strings.Contains(args, `"kwargs"`) && !strings.Contains(args, `"input_str"`) {
		return args
	}
	v := gjson.Parse(args)
	if given := v.Get("input_str"); given.Exists() && (v.Get("tags").Exists() || v.Get("kwargs").Exists()) {
		if inner := v.Get("inputs"); inner.IsObject() {
			return inner.Raw
		}
		return inputText(given.String())
	}
	if inner := called(v); inner.IsObject() {
		return inner.Raw
	}
	return args
}

// called is the one object that a function was called with: its keywords, or
// its only argument, as in JavaScript. It does not exist for any other call.
func called(v gjson.Result) (inner gjson.Result) {
	args, kwargs := v.Get("args").Array(), v.Get("kwargs")
	if len(args) == 1 && args[0].IsObject() && len(kwargs.Map()) == 0 {
		return args[0]
	}
	v.ForEach(func(k, m gjson.Result) bool {
		switch {
		case k.Str == "kwargs":
			inner = m
			return true
		case k.Str == "args" && len(m.Array()) == 0, k.Str == "sanitize_inputs_outputs":
			return true
		}
		inner = gjson.Result{} // an argument of its own
		return false
	})
	return inner
}

// inputText is the arguments that LangChain hands to a tool as text: JSON, or
// str() of them.
func inputText(s string) string {
	if object(s) != "" {
		return s
	}
	if py, ok := pyJSON(s); ok && object(py) != "" {
		return py
	}
	return s
}

// object is s when it is a JSON object, else "".
func object(s string) string {
	if strings.HasPrefix(strings.TrimSpace(s), "{") && valid(s) {
		return s
	}
	return ""
}

// array is s when it is a JSON array, else "".
func array(s string) string {
	if strings.HasPrefix(s, "[") && valid(s) {
		return s
	}
	return ""
}

// spoken is the plain input and output that an agent or a workflow shows. top
// says that the span may stand for the whole run: graph nodes repeat its state.
func (d *Decoder) spoken(r *reader, top bool) (in, out string) {
	if r.has(fInputParts) {
		ms, _ := d.said(r.text(fInputParts))
		in = lastText(ms, trajectory.RoleUser)
	}
	if r.has(fOutputParts) {
		ms, _ := d.said(r.text(fOutputParts))
		out = lastText(ms, trajectory.RoleAssistant)
	}
	if raw := r.text(fVercelInput); in == "" && raw != "" {
		o := parse(raw)
		if p := o.get("prompt"); p.isText() {
			in = d.memo.texts.read(p)
		} else if ms := o.first("messages", "prompt"); strings.HasPrefix(ms.raw, "[") {
			parsed, _ := d.said(ms.raw)
			in = lastText(parsed, trajectory.RoleUser)
		}
	}
	if out == "" {
		out = r.text(fVercelText)
	}
	if out == "" {
		out = r.text(fVercelObject)
	}
	if v := r.text(fValueIn); in == "" && plain(v) {
		in = v
	}
	if v := r.text(fValueOut); out == "" && plain(v) {
		out = v
	}
	if raw := r.text(fIn); in == "" && raw != "" && top {
		in = d.toldIn(raw)
	}
	if raw := r.text(fOut); out == "" && raw != "" && top {
		out = d.toldOut(raw)
	}
	return in, out
}

// plain texts are what a person wrote or reads; serialized state is not.
func plain(s string) bool {
	t := strings.TrimSpace(s)
	return t != "" && t[0] != '{' && t[0] != '[' && !redacted(t) && !pyObject(t)
}

func lastText(ms []*trajectory.Message, role string) string {
	for i := len(ms) - 1; i >= 0; i-- {
		if ms[i].Role == role && ms[i].Text != "" {
			return ms[i].Text
		}
	}
	return ""
}
