package genai

import (
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// liveKit is what LiveKit's agents write beside semconv, and before they spoke
// it: the name of the span says what it is. llm_node is the agent's hook around
// llm_request and shows the same call; llm_request_run is one attempt at it.
// Names have the part "pii" since content can be stripped by it.
// https://docs.livekit.io/agents/build/metrics/
var liveKit = dialect{
	name:   "livekit",
	prefix: "lk.",
	scope:  "livekit-agents",
	kind:   liveKitKind,
	read:   readLiveKit,
	rows: []row{
		{"lk.function_tool.name", fToolName},
		{"lk.function_tool.id", fToolCallID},
		{"lk.pii.function_tool.arguments", fToolArguments},
		{"lk.function_tool.arguments", fToolArguments},
		{"lk.pii.function_tool.output", fToolResult},
		{"lk.function_tool.output", fToolResult},
		{"lk.pii.user_input", fIn},
		{"lk.user_input", fIn},
		{"lk.agent_name", fAgent},
		{"lk.room_sid", fConversation},
	},
}

func liveKitKind(_ *reader, name string) (trajectory.Role, bool) {
	switch name {
	case "llm_request":
		return trajectory.RoleModelSpan, true
	case "function_tool":
		return trajectory.RoleToolSpan, true
	case "agent_turn":
		return trajectory.RoleAgentSpan, true
	case "llm_node", "llm_request_run", "judge_evaluation", "tts_node", "tts_request", "tts_request_run":
		return trajectory.RoleOther, true
	}
	return trajectory.RoleOther, false
}

func readLiveKit(_ *Decoder, s *trajectory.Span, span ptrace.Span) {
	a := span.Attributes()
	s.Judge = s.Judge || s.Name == "judge_evaluation"
	switch s.Role {
	case trajectory.RoleModelSpan:
		// The messages are those that the span it names does not show.
		if _, ok := a.Get("lk.input.base_span_id"); ok {
			s.Missing = addReason(s.Missing, trajectory.ReasonTruncated)
		}
	case trajectory.RoleToolSpan:
		if v, ok := a.Get("lk.function_tool.is_error"); ok && v.AsString() == "true" && s.Error == "" {
			s.Error = "error"
			if s.Tool.Result != nil {
				s.Error, s.Tool.Result = *s.Tool.Result, nil
			}
		}
	case trajectory.RoleAgentSpan:
		for _, k := range []string{"lk.pii.response.text", "lk.response.text"} {
			if v := attr(a, k); s.Out == "" {
				s.Out = v
			}
		}
	}
}
