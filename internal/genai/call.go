package genai

import (
	"strings"

	"github.com/tidwall/gjson"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// call reads what a model span shows.
func (d *Decoder) call(s *trajectory.Span, span ptrace.Span) {
	r := d.r
	c := &trajectory.Call{ModelCall: trajectory.ModelCall{
		Provider: r.text(fProvider), RequestModel: r.text(fRequestModel), ResponseModel: r.text(fResponseModel),
		Adapter: r.text(fAdapter), Bundle: r.text(fBundle), ResponseID: r.text(fResponseID), FinishReason: r.finish(),
		InputTokens: r.integer(fInputTokens), OutputTokens: r.integer(fOutputTokens), CachedTokens: r.integer(fCachedTokens),
		Temperature: r.number(fTemperature), TopP: r.number(fTopP), TopK: r.integer(fTopK), MaxTokens: r.integer(fMaxTokens), Seed: r.integer(fSeed),
		Tools: d.tools(),
	}}
	s.Call = c
	if inv := r.text(fInvocation); inv != "" && gjson.Valid(inv) {
		invocation(c, gjson.Parse(inv))
	}
	d.prompt(s, c)
	d.reply(s, c)
	if c.ResponseID == "" && strings.HasPrefix(r.text(fValueOut), "{") {
		c.ResponseID = gjson.Get(r.text(fValueOut), "id").String()
	}
}

// prompt reads what the model was sent: semconv, else Vercel, else flattened
// messages, else the raw request.
func (d *Decoder) prompt(s *trajectory.Span, c *trajectory.Call) {
	r := d.r
	var missing trajectory.Reason
	switch {
	case r.has(fInputParts):
		c.Prompt, missing = d.messages(r.text(fInputParts), semconvMessage)
		if sys := d.instructions(r.text(fSystem)); sys != nil && (len(c.Prompt) == 0 || c.Prompt[0].Role != trajectory.RoleSystem) && len(c.Prompt) > 0 {
			c.Prompt = append([]*trajectory.Message{sys}, c.Prompt...)
		}
	case r.has(fVercelPrompt):
		c.Prompt, missing = d.messages(r.text(fVercelPrompt), vercelMessage)
	case len(r.flat.input) > 0:
		var cut bool
		if c.Prompt, cut = build(r.flat.input); cut {
			c.Prompt, missing = nil, trajectory.ReasonTruncated
		}
		if hidden(c.Prompt) {
			c.Prompt, missing = nil, trajectory.ReasonRedacted
		}
		c.Prompt = d.share(c.Prompt)
	case r.flat.prompt != "":
		c.Prompt = d.share([]*trajectory.Message{{Role: trajectory.RoleUser, Text: r.flat.prompt}})
	}
	if len(c.Prompt) == 0 && strings.HasPrefix(strings.TrimSpace(r.text(fValueIn)), "{") {
		if ms := gjson.Get(r.text(fValueIn), "messages"); ms.IsArray() {
			c.Prompt, missing = d.messages(ms.Raw, openAIMessage)
		}
	}
	s.Missing = addReason(s.Missing, missing)
}

// instructions reads gen_ai.system_instructions as one system message.
func (d *Decoder) instructions(raw string) *trajectory.Message {
	if raw == "" {
		return nil
	}
	if ms, ok := d.memo.get(raw); ok && len(ms) == 1 {
		return ms[0]
	}
	dr := draft{m: trajectory.Message{Role: trajectory.RoleSystem}}
	if v := gjson.Parse(raw); gjson.Valid(raw) && v.IsArray() {
		v.ForEach(func(_, p gjson.Result) bool {
			semconvPart(&dr, p)
			return true
		})
	} else {
		dr.addText(unquoted(raw))
	}
	ms := dr.done()
	if len(ms) != 1 || !says(ms[0]) {
		return nil
	}
	d.memo.put(raw, ms)
	return ms[0]
}

// reply reads what the model answered.
func (d *Decoder) reply(s *trajectory.Span, c *trajectory.Call) {
	r := d.r
	var missing trajectory.Reason
	switch {
	case r.has(fOutputParts):
		raw := r.text(fOutputParts)
		if c.Reply, missing = d.messages(raw, semconvMessage); c.FinishReason == "" {
			c.FinishReason = gjson.Get(raw, "0.finish_reason").String()
		}
	case r.has(fVercelText) || r.has(fVercelCalls) || r.has(fVercelObject) || r.has(fVercelReason):
		c.Reply, missing = d.vercelReply()
	case len(r.flat.output) > 0:
		var cut bool
		if c.Reply, cut = build(r.flat.output); cut {
			c.Reply, missing = nil, trajectory.ReasonTruncated
		}
		c.Reply = d.share(speaking(c.Reply))
	case r.flat.choice != "":
		c.Reply = d.share([]*trajectory.Message{{Role: trajectory.RoleAssistant, Text: r.flat.choice}})
	}
	if len(c.Reply) == 0 && missing == "" && strings.HasPrefix(r.text(fValueOut), "{") {
		if m := gjson.Get(r.text(fValueOut), "choices.0.message"); m.IsObject() {
			c.Reply = speaking(openAIMessage(m))
		}
	}
	for _, m := range c.Reply {
		if m.Role == "" {
			m.Role = trajectory.RoleAssistant
		}
	}
	if hidden(c.Reply) {
		c.Reply, missing = nil, trajectory.ReasonRedacted
	}
	s.Missing = addReason(s.Missing, missing)
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
	m := &trajectory.Message{Role: trajectory.RoleAssistant, Text: r.text(fVercelText), Reasoning: r.text(fVercelReason)}
	if m.Text == "" {
		m.Text = r.text(fVercelObject)
	}
	if raw := strings.TrimSpace(unquoted(r.text(fVercelCalls))); raw != "" {
		if !gjson.Valid(raw) {
			return nil, trajectory.ReasonTruncated
		}
		gjson.Parse(raw).ForEach(func(_, v gjson.Result) bool {
			m.ToolCalls = append(m.ToolCalls, vercelCall(v))
			return true
		})
	}
	if !says(m) {
		return nil, ""
	}
	return d.share([]*trajectory.Message{m}), ""
}

// share gives equal messages one pointer and counts the bytes of new ones.
func (d *Decoder) share(ms []*trajectory.Message) []*trajectory.Message {
	for i, m := range ms {
		key := sharedKey(m)
		if have, ok := d.memo.get(key); ok {
			ms[i] = have[0]
			continue
		}
		d.memo.put(key, []*trajectory.Message{m})
	}
	return ms
}

// sharedKey spells a message out; it cannot collide with raw JSON.
func sharedKey(m *trajectory.Message) string {
	var b strings.Builder
	for _, s := range []string{m.Role, m.Text, m.Reasoning, m.ToolCallID, m.Name, m.Parts} {
		b.WriteString(s)
		b.WriteByte(0)
	}
	for _, c := range m.ToolCalls {
		b.WriteString(c.ID)
		b.WriteByte(1)
		b.WriteString(c.Name)
		b.WriteByte(1)
		b.WriteString(c.Arguments)
		b.WriteByte(1)
	}
	return b.String()
}

// invocation fills request parameters from a JSON object of them.
func invocation(c *trajectory.Call, v gjson.Result) {
	num := func(dst **float64, name string) {
		if n := v.Get(name); *dst == nil && n.Type == gjson.Number {
			f := n.Float()
			*dst = &f
		}
	}
	whole := func(dst **int64, names ...string) {
		if n := first(v, names...); *dst == nil && n.Type == gjson.Number {
			i := n.Int()
			*dst = &i
		}
	}
	num(&c.Temperature, "temperature")
	num(&c.TopP, "top_p")
	whole(&c.TopK, "top_k")
	whole(&c.MaxTokens, "max_completion_tokens", "max_tokens", "max_output_tokens")
	whole(&c.Seed, "seed")
	if c.RequestModel == "" {
		c.RequestModel = v.Get("model").String()
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
	s := v.AsString()
	if strings.HasPrefix(s, "[") && gjson.Valid(s) {
		return gjson.Get(s, "0").String()
	}
	return s
}

// tools is the tool definitions as a JSON array. Agents send the same with
// every call: what was checked once is not checked again.
func (d *Decoder) tools() string {
	r := d.r
	if !r.has(fTools) {
		if raw := r.flat.toolsJSON(); raw != "" {
			return d.memo.same(raw)
		}
		return ""
	}
	v := r.values[fTools]
	if v.Type() != pcommon.ValueTypeSlice {
		raw := v.AsString()
		if d.memo.tools == raw && raw != "" {
			return raw
		}
		raw = unquoted(raw)
		if strings.HasPrefix(raw, "[") && gjson.Valid(raw) {
			return d.memo.same(raw)
		}
		return ""
	}
	var defs []string
	for i := range v.Slice().Len() {
		if s := v.Slice().At(i).AsString(); gjson.Valid(s) {
			defs = append(defs, s)
		}
	}
	if len(defs) == 0 {
		return ""
	}
	return d.memo.same("[" + strings.Join(defs, ",") + "]")
}

// tool reads a tool span.
func (r *reader) tool(span string) *trajectory.ToolRun {
	t := &trajectory.ToolRun{Name: r.text(fToolName), CallID: r.text(fToolCallID), Arguments: r.text(fToolArguments)}
	if t.Name == "" {
		t.Name = strings.TrimPrefix(span, "execute_tool ")
	}
	if t.Arguments == "" {
		t.Arguments = object(r.text(fValueIn))
	}
	if t.Arguments == "" {
		if p := object(r.text(fToolParameters)); !gjson.Get(p, "properties").IsObject() {
			t.Arguments = p
		}
	}
	t.Name, t.Arguments = strings.TrimSuffix(t.Name, ".__call__"), keyword(t.Arguments)
	if redacted(t.Arguments) && t.Arguments != "{}" {
		t.Arguments = ""
	}
	for _, f := range []field{fToolResult, fValueOut} {
		if v := r.text(f); r.has(f) && !redacted(v) && t.Result == nil {
			t.Result = &v
		}
	}
	return t
}

// keyword opens the arguments of a traced Python function, {"args": [],
// "kwargs": {…}}: the model wrote the inner object.
func keyword(args string) string {
	if !strings.Contains(args, `"kwargs"`) {
		return args
	}
	v := gjson.Parse(args)
	inner := v.Get("kwargs")
	if positional := v.Get("args"); !inner.IsObject() || positional.Exists() && len(positional.Array()) > 0 {
		return args
	}
	return inner.Raw
}

// object is s when it is a JSON object, else "".
func object(s string) string {
	if strings.HasPrefix(strings.TrimSpace(s), "{") && gjson.Valid(s) {
		return s
	}
	return ""
}

// array is s when it is a JSON array, else "".
func array(s string) string {
	if strings.HasPrefix(s, "[") && gjson.Valid(s) {
		return s
	}
	return ""
}

// spoken is the plain input and output that an agent or a workflow shows.
func (d *Decoder) spoken(r *reader) (in, out string) {
	if r.has(fInputParts) {
		ms, _ := d.messages(r.text(fInputParts), semconvMessage)
		in = lastText(ms, trajectory.RoleUser)
	}
	if r.has(fOutputParts) {
		ms, _ := d.messages(r.text(fOutputParts), semconvMessage)
		out = lastText(ms, trajectory.RoleAssistant)
	}
	if raw := r.text(fVercelInput); in == "" && raw != "" && gjson.Valid(raw) {
		v := gjson.Parse(raw)
		if p := v.Get("prompt"); p.Type == gjson.String {
			in = p.String()
		} else if ms := first(v, "messages", "prompt"); ms.IsArray() {
			parsed, _ := d.messages(ms.Raw, vercelMessage)
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
	return in, out
}

// plain texts are what a person wrote or reads; serialized state is not.
func plain(s string) bool {
	t := strings.TrimSpace(s)
	return t != "" && t[0] != '{' && t[0] != '[' && !redacted(t)
}

func lastText(ms []*trajectory.Message, role string) string {
	for i := len(ms) - 1; i >= 0; i-- {
		if ms[i].Role == role && ms[i].Text != "" {
			return ms[i].Text
		}
	}
	return ""
}
