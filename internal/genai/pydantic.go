package genai

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// pydanticAI is Pydantic AI's own instrumentation: semconv, with names of its
// own for agents and tools in the first versions of its format, and its messages
// as a list of events in one attribute in version 1.
// https://ai.pydantic.dev/logfire/
var pydanticAI = dialect{
	name:   "pydantic-ai",
	scope:  "pydantic-ai",
	prefix: "pydantic_ai.",
	kind:   pydanticRole,
	read:   readPydantic,
}

// pydanticRole goes by names: up to format 3, agents and tools have no operation.
func pydanticRole(r *reader, name string) (trajectory.Role, bool) {
	switch {
	case name == "agent run", strings.HasSuffix(name, " run") && !r.has(fOperation), strings.HasPrefix(name, "invoke_agent"):
		return trajectory.RoleAgentSpan, true
	case r.has(fToolName) && (strings.HasPrefix(name, "running tool") || strings.HasPrefix(name, "execute_tool")):
		return trajectory.RoleToolSpan, true
	}
	return trajectory.RoleOther, false
}

func readPydantic(d *Decoder, s *trajectory.Span, span ptrace.Span) {
	attrs := span.Attributes()
	switch s.Role {
	case trajectory.RoleAgentSpan:
		if s.Agent == "" {
			s.Agent = attr(attrs, "agent_name")
		}
		if s.Out == "" {
			s.Out = attr(attrs, "final_result")
		}
	case trajectory.RoleToolSpan:
		if s.Tool.Arguments == "" {
			s.Tool.Arguments = attr(attrs, "tool_arguments")
		}
		if v, ok := attrs.Get("tool_response"); ok && s.Tool.Result == nil && !redacted(v.AsString()) && !d.r.scrubbed(v.AsString()) {
			s.Tool.Result = new(d.memo.results.add(s.Tool.CallID, v.AsString()))
		}
	case trajectory.RoleModelSpan:
		if s.Call.Tools == "" {
			s.Call.Tools = d.memo.take(d.shared().toolArray(pydanticTools(attr(attrs, "model_request_parameters"))))
		}
		if raw := attr(attrs, "events"); raw != "" && len(s.Call.Prompt) == 0 && len(s.Call.Reply) == 0 {
			d.eventList(s, raw)
		}
	}
}

// pydanticTools is the list of tools in the parameters of a request, as JSON.
func pydanticTools(raw string) string {
	o := parse(raw)
	list := make([]string, 0, 2)
	for _, m := range []string{"function_tools", "output_tools"} {
		if t := o.get(m).raw; strings.HasPrefix(t, "[") && len(t) > 2 {
			list = append(list, t[1:len(t)-1])
		}
	}
	if len(list) == 0 {
		return ""
	}
	return "[" + strings.Join(list, ",") + "]"
}

// eventList reads the events of a call, which are its messages: what the model
// was sent in order, and its choice.
func (d *Decoder) eventList(s *trajectory.Span, raw string) {
	c, sent := scanner{s: raw}, len(raw)
	if c.peek() != '[' {
		return
	}
	var reply []*trajectory.Message
	for more := c.enter('['); more; more = c.next(']') {
		c.peek()
		from := c.i
		e := c.value()
		if e.member("event.name").view() != "gen_ai.choice" {
			continue
		}
		sent = min(sent, from)
		if m := e.member("message"); m.isObject() {
			reply = append(reply, d.message(&scanner{s: m.raw})...)
		}
	}
	if !c.done() {
		s.Missing = addReason(s.Missing, trajectory.ReasonTruncated)
		return
	}
	if sent < len(raw) {
		raw = strings.TrimRight(raw[:sent], ", \n\t\r") + "]"
	}
	var missing trajectory.Reason
	s.Call.Prompt, missing = d.history(raw)
	s.Call.Reply = d.spokenBy(speaking(reply), trajectory.RoleAssistant)
	if hidden(s.Call.Reply) {
		s.Call.Reply, missing = nil, trajectory.ReasonRedacted
	}
	s.Missing = addReason(s.Missing, missing)
}
