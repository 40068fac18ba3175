package genai

import (
	"encoding/json"
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// haystack is what opentelemetry-haystack makes of Haystack's own tracing: what
// a span is stands in its name. Content is JSON; where it holds an object that
// has none, a tool's function or a callback, the whole of it is its repr.
// https://docs.haystack.deepset.ai/docs/tracing
var haystack = dialect{
	name:   "haystack",
	prefix: "haystack.",
	kind:   haystackRole,
	read:   readHaystack,
	rows: []row{
		{"haystack.tool.name", fToolName},
		{"haystack.agent.step.tool.input", fIn},
		{"haystack.agent.step.tool.output", fOut},
		{"haystack.component.type", fComponent},
	},
}

// haystackRole maps names of spans. Of components only generators call a model;
// others are structure, agents have a span of their own.
func haystackRole(r *reader, name string) (trajectory.Role, bool) {
	switch name {
	case "haystack.agent.step.llm":
		return trajectory.RoleModelSpan, true
	case "haystack.agent.step.tool":
		return trajectory.RoleToolSpan, true
	case "haystack.agent.run", "haystack.pipeline.run", "haystack.async_pipeline.run":
		return trajectory.RoleAgentSpan, true
	case "haystack.component.run":
		if strings.HasSuffix(r.text(fComponent), "Generator") {
			return trajectory.RoleModelSpan, true
		}
	}
	return trajectory.RoleOther, strings.HasPrefix(name, "haystack.")
}

func readHaystack(d *Decoder, s *trajectory.Span, span ptrace.Span) {
	a := span.Attributes()
	first := func(names ...string) string {
		for _, n := range names {
			raw, ok := tagged(attr(a, n))
			if ok {
				return raw
			}
			if attr(a, n) != "" && s.Role == trajectory.RoleModelSpan {
				s.Missing = addReason(s.Missing, trajectory.ReasonTruncated)
			}
		}
		return ""
	}
	switch s.Role {
	case trajectory.RoleModelSpan:
		d.generator(s, first("haystack.agent.step.llm.input", "haystack.component.input"), first("haystack.agent.step.llm.output", "haystack.component.output"))
	case trajectory.RoleAgentSpan:
		s.In, s.Out = d.toldIn(first("haystack.agent.input")), d.toldOut(first("haystack.agent.output"))
	case trajectory.RoleToolSpan:
		if v, ok := a.Get("haystack.tool.error"); ok && v.Bool() && s.Tool.Result != nil {
			if s.Error == "" {
				s.Error = d.memo.texts.read(parse(*s.Tool.Result).get("error"))
			}
			s.Tool.Result = nil // what the model is told of it is another text
		}
	case trajectory.RoleOther:
	}
}

// tagged is what Haystack wrote of a value: JSON, else its repr.
func tagged(raw string) (string, bool) {
	if raw == "" || valid(raw) {
		return raw, raw != ""
	}
	return pyObjects(raw)
}

// generator reads what a generator was given and what it returned: {messages,
// tools, generation_kwargs} and {replies}, of which the first is what goes on.
func (d *Decoder) generator(s *trajectory.Span, in, out string) {
	c := s.Call
	if in != "" {
		ms, missing := d.request(in, c)
		c.Prompt, s.Missing = ms, addReason(s.Missing, missing)
		o := parse(in)
		d.r.numbers.parameters(c, parse(o.get("generation_kwargs").raw))
		if c.Tools = d.haystackTools(o.get("tools")); c.Tools != "" {
			c.Tools = d.memo.take(d.shared().toolArray(c.Tools))
		}
	}
	o := parse(out)
	list := scanner{s: o.get("replies").raw}
	if list.peek() != '[' || !list.enter('[') {
		return
	}
	meta := firstOf(o.get("meta")) // of generators without chat
	if reply := list.value(); reply.isObject() {
		c.Reply = d.spokenBy(speaking(d.message(&scanner{s: reply.raw})), trajectory.RoleAssistant)
		meta = parse(parse(reply.raw).first("meta", "_meta").raw)
	} else if reply.isText() {
		c.Reply = d.says(trajectory.RoleAssistant, d.memo.texts.read(reply))
	}
	if c.ResponseModel == "" {
		c.ResponseModel = d.memo.name(meta.get("model").asText())
	}
	if c.FinishReason == "" {
		c.FinishReason = d.memo.name(meta.get("finish_reason").asText())
	}
	if usage := meta.get("usage"); usage.isObject() {
		d.usage(c, d.r.numbers, usage.raw)
	}
}

// haystackTools are the definitions of tools in OpenAI's form; "" where one is
// not shown.
func (d *Decoder) haystackTools(tools token) string {
	if !strings.HasPrefix(tools.raw, "[") {
		return ""
	}
	var out []json.RawMessage
	c := scanner{s: tools.raw}
	for more := c.enter('['); more; more = c.next(']') {
		o := parse(c.value().raw)
		if inner := o.get("data"); inner.isObject() {
			o = parse(inner.raw)
		}
		t := flatTool{name: o.get("name").asText(), description: o.get("description").asText(), parameters: o.get("parameters").raw}
		if t.name == "" {
			return "" // a set of tools
		}
		out = append(out, json.RawMessage(t.definition()))
	}
	raw, err := json.Marshal(out)
	if err != nil || len(out) == 0 {
		return ""
	}
	return string(raw)
}

// haystackPart reads a part of a message of Haystack's that is named by its one
// member; in a repr it has the fields alone. false = another.
func (d *draft) haystackPart(name string, v token, p members) bool {
	switch name {
	case "tool_call":
		d.addCall(v.member("id"), v.member("tool_name"), d.value(v.member("arguments")))
	case "tool_name":
		d.addCall(p.get("id"), v, d.value(p.get("arguments")))
	case "tool_call_result":
		d.addResult(v.member("origin").member("id"), v.member("origin").member("tool_name"), v.member("result"))
	case "result":
		origin := p.get("origin")
		if !origin.isObject() {
			return false
		}
		d.addResult(origin.member("id"), origin.member("tool_name"), v)
	case "reasoning_text":
		d.addReasoning(d.text(v))
	default:
		return false
	}
	return true
}
