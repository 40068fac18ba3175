package genai

import (
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// langfuse is what Langfuse's SDKs write: observations of a type, each with
// what went in and what came out. Their span processor also marks the spans of
// other instrumentations with the trace's attributes, so a span without a type
// of its own is what its own dialect says. Streamed tool calls are merged into
// one by the JavaScript SDK, which drops their ids; errors are a level.
// https://langfuse.com/integrations/native/opentelemetry
var langfuse = dialect{
	name:   "langfuse",
	prefix: "langfuse.",
	scope:  "langfuse-sdk",
	kind:   kindWord,
	read:   readLangfuse,
	rows: []row{
		{"langfuse.observation.type", fKind},
		{"langfuse.observation.input", fIn},
		{"langfuse.observation.output", fOut},
		{"langfuse.observation.model.name", fResponseModel},
		{"langfuse.observation.model.parameters", fInvocation},
		{"langfuse.observation.usage_details", fUsage},
		{"langfuse.observation.metadata.finish_reason", fFinish},
		{"langfuse.session.id", fConversation},
		{"langfuse.user.id", fUser},
	},
}

func readLangfuse(d *Decoder, s *trajectory.Span, span ptrace.Span) {
	a := span.Attributes()
	if s.Error == "" && attr(a, "langfuse.observation.level") == "ERROR" {
		s.Error = attr(a, "langfuse.observation.status_message")
		if s.Error == "" {
			s.Error = "error"
		}
	}
	if strings.Contains(s.Error, handover) {
		s.Error = ""
	}
	const metadata = "langfuse.observation.metadata."
	if namespace := unquoted(attr(a, metadata+"langgraph_checkpoint_ns")); namespace != "" || attr(a, metadata+"ls_integration") != "" {
		langGraph(s, unquoted(attr(a, metadata+"lc_agent_name")), namespace)
		graph(s)
	}
	switch s.Role {
	case trajectory.RoleModelSpan:
		d.langfuseCall(s)
		return
	case trajectory.RoleAgentSpan:
		if s.Agent == "" && s.Name != "LangGraph" {
			s.Agent = s.Name
		}
	case trajectory.RoleToolSpan:
		return
	}
	if s.In == "" {
		s.In = d.toldIn(attr(a, "langfuse.trace.input"))
	}
	if s.Out == "" {
		s.Out = d.toldOut(attr(a, "langfuse.trace.output"))
	}
	if s.Error != "" && strings.HasSuffix(s.Out, s.Error) {
		s.Out = "" // the error, shown a second time
	}
}

// langfuseCall mends what Langfuse's LangChain handlers write into a prompt:
// tool definitions stand behind the messages, as messages of the role tool; the
// JavaScript handler puts the tool's name where a result's role belongs.
func (d *Decoder) langfuseCall(s *trajectory.Span) {
	c := s.Call
	n := len(c.Prompt)
	for n > 0 && definition(c.Prompt[n-1]) {
		n--
	}
	if n < len(c.Prompt) {
		defs := make([]string, 0, len(c.Prompt)-n)
		for _, m := range c.Prompt[n:] {
			defs = append(defs, m.Text)
		}
		if c.Tools == "" {
			c.Tools = d.memo.take(d.shared().toolList(defs))
		}
		c.Prompt = c.Prompt[:n:n]
	}
	d.namedRoles(c)
}

// namedRoles gives the role of a tool to the messages that have the name of a
// tool for it: one that was asked for before.
func (d *Decoder) namedRoles(c *trajectory.Call) {
	var asked []string
	own := false
	for i, m := range c.Prompt {
		for k := range m.ToolCalls {
			asked = append(asked, m.ToolCalls[k].Name)
		}
		if m.Role == trajectory.RoleTool || !slices.Contains(asked, m.Role) {
			continue
		}
		if !own {
			c.Prompt, own = slices.Clone(c.Prompt), true
		}
		x := *m
		x.Role, x.Name = trajectory.RoleTool, m.Role
		c.Prompt[i] = d.memo.shared(&x)
	}
}

// definition says whether a message is a tool's definition.
func definition(m *trajectory.Message) bool {
	if m.Role != trajectory.RoleTool || m.ToolCallID != "" || !strings.HasPrefix(m.Text, "{") {
		return false
	}
	o := parse(m.Text)
	if f := o.get("function"); f.isObject() && o.get("type").view() == "function" {
		return f.member("name").isText()
	}
	return o.get("name").isText() && o.first("parameters", "input_schema").isObject()
}
