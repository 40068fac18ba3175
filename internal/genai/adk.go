package genai

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// adk is Google's Agent Development Kit. An older form (JavaScript, and Python
// with schema 1) shows request and response as JSON on call_llm, below which
// hang the tools that the call asked for and the agent that it handed over to;
// the newer one speaks semconv.
// https://github.com/google/adk-python/blob/main/src/google/adk/telemetry/tracing.py
var adk = dialect{
	name:   "google-adk",
	scope:  "gcp.vertex.agent",
	prefix: "gcp.vertex.agent.",
	kind:   adkRole,
	read:   adkRead,
	rows: []row{
		{"gcp.vertex.agent.llm_request", fRequest},
		{"gcp.vertex.agent.llm_response", fResponse},
		{"gcp.vertex.agent.tool_call_args", fToolArguments},
		{"gcp.vertex.agent.tool_response", fToolResult},
		{"gcp.vertex.agent.session_id", fConversation},
	},
}

// adkRole goes by the span's name: a call that failed has nothing else.
func adkRole(_ *reader, name string) (trajectory.Role, bool) {
	switch name {
	case "call_llm":
		return trajectory.RoleModelSpan, true
	case "invocation":
		return trajectory.RoleAgentSpan, true
	}
	return trajectory.RoleOther, false
}

// adkUnknown stands where a tool has not answered yet.
const adkUnknown = "<not specified>"

func adkRead(d *Decoder, s *trajectory.Span, _ ptrace.Span) {
	switch s.Role {
	case trajectory.RoleToolSpan:
		t := s.Tool
		if t.Name == "(merged tools)" { // the results of parallel calls once more, in one event
			s.Role, s.Tool = trajectory.RoleOther, nil
			return
		}
		if t.CallID == adkUnknown {
			t.CallID = ""
		}
		if t.Result != nil && len(*t.Result) < 64 && strings.Contains(*t.Result, `"`+adkUnknown+`"`) {
			t.Result = nil
		}
	case trajectory.RoleModelSpan:
		if raw := d.r.text(fResponse); s.Error == "" && (strings.Contains(raw, `"errorCode"`) || strings.Contains(raw, `"error_code"`)) {
			o := parse(raw)
			s.Error = o.first("errorMessage", "error_message", "errorCode", "error_code").asText()
		}
	}
}
