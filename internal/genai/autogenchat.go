package genai

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// autogenChat is AutoGen's AgentChat, seen by OpenInference: agents are graph
// nodes, a reply is AutoGen's CreateResult.
// https://microsoft.github.io/autogen/stable/user-guide/agentchat-user-guide/tracing.html
var autogenChat = dialect{
	name:  "autogen-agentchat",
	scope: "openinference.instrumentation.autogen_agentchat",
	read:  readAutogenChat,
}

func readAutogenChat(d *Decoder, s *trajectory.Span, span ptrace.Span) {
	switch s.Role {
	case trajectory.RoleAgentSpan:
		if d.r.text(fAgent) == "" {
			if s.Agent = attr(span.Attributes(), "graph.node.id"); s.Agent == "" {
				s.Agent, _, _ = strings.Cut(s.Name, ".on_messages")
			}
		}
	case trajectory.RoleModelSpan:
		result := parse(d.r.text(fValueOut))
		if s.Call.FinishReason == "" {
			s.Call.FinishReason = d.memo.name(result.get("finish_reason").asText())
		}
		if thought := result.get("thought"); thought.isText() && len(s.Call.Reply) == 1 {
			s.Call.Reply = []*trajectory.Message{d.thinking(*s.Call.Reply[0], d.memo.texts.read(thought))}
		}
	}
}

// thinking is a reply with the text that came beside its calls, else with the
// reasoning that came before its text.
func (d *Decoder) thinking(m trajectory.Message, thought string) *trajectory.Message {
	switch {
	case len(m.ToolCalls) > 0 && m.Text == "":
		m.Text = thought
	case m.Reasoning == "":
		m.Reasoning = thought
	}
	return d.memo.shared(&m)
}
