package genai

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// traceloop is OpenLLMetry: workflows, agents, tasks and tools say what they
// are in traceloop.span.kind and show their input and output in
// traceloop.entity.*; model calls speak semconv, or indexed attributes before
// version 0.55. What the application says about a run is copied to every span
// as traceloop.association.properties.*, LangChain's metadata with it.
// https://www.traceloop.com/docs/openllmetry/contributing/semantic-conventions
var traceloop = dialect{
	name:  "traceloop",
	scope: "@traceloop/instrumentation-openai",
	also: []string{
		"@traceloop/instrumentation-anthropic", "@traceloop/instrumentation-bedrock", "@traceloop/instrumentation-cohere",
		"@traceloop/instrumentation-google-generativeai", "@traceloop/instrumentation-together", "@traceloop/instrumentation-vertexai",
		"@traceloop/node-server-sdk", "opentelemetry.instrumentation.openai.v1", "opentelemetry.instrumentation.openai.v0", "traceloop.tracer",
	},
	prefix: "traceloop.",
	kind:   kindWord,
	read:   readTraceloop,
	rows: []row{
		{"traceloop.span.kind", fKind},
		{"traceloop.entity.name", fToolName},
		{"traceloop.entity.input", fIn},
		{"traceloop.entity.output", fOut},
		{"traceloop.association.properties.session_id", fConversation},
		{"traceloop.association.properties.thread_id", fConversation},
		{"traceloop.association.properties.conversation_id", fConversation},
		{"traceloop.association.properties.chat_id", fConversation},
		{"traceloop.association.properties.user_id", fUser},
	},
}

func readTraceloop(d *Decoder, s *trajectory.Span, span ptrace.Span) {
	r, a := d.r, span.Attributes()
	const properties = "traceloop.association.properties."
	langGraph(s, attr(a, properties+"lc_agent_name"), attr(a, properties+"langgraph_checkpoint_ns"))
	switch s.Role {
	case trajectory.RoleModelSpan:
		s.Call.Prompt, s.Call.Reply = d.openedTexts(s.Call.Prompt), d.openedTexts(s.Call.Reply)
	case trajectory.RoleAgentSpan:
		if name := r.text(fToolName); s.Agent == "" && (r.word() == "agent" || namedGraph(name, r.text(fIn))) {
			s.Agent = again(&d.memo.before.agent, name)
		}
	case trajectory.RoleToolSpan:
		d.wrapped(s.Tool)
	case trajectory.RoleOther:
	}
}

// namedGraph says whether a workflow is a graph of LangGraph's that the
// application gave a name: {"inputs": …, "kwargs": {"name": …}}. Runnables have
// the name of their class.
func namedGraph(name, in string) bool {
	if name == "" || name == "LangGraph" || strings.HasPrefix(name, "Runnable") {
		return false
	}
	o := parse(in)
	return strings.HasPrefix(o.get("inputs").raw, "{") && o.get("kwargs").member("name").asText() == name
}

// wrapped opens what Traceloop's LangChain callback makes of a tool's result:
// {"output": …, "kwargs": …} around the message that LangChain made of it.
func (d *Decoder) wrapped(t *trajectory.ToolRun) {
	if t.Result == nil || !strings.HasPrefix(*t.Result, "{") {
		return
	}
	raw := *t.Result
	if o := parse(raw); len(o) == 2 && o.get("output").exists() && o.get("kwargs").exists() {
		raw = o.get("output").raw
	}
	text, id, ok := d.returned(raw)
	if !ok {
		return
	}
	t.Result = new(d.memo.results.add(id, text))
	if t.CallID == "" {
		t.CallID = id
	}
}
