package genai

import (
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// beeAI is IBM's BeeAI framework, seen by OpenInference: what happens on the way
// (errors, retries) has spans of its own, of the kind of the span they are
// below.
// https://framework.beeai.dev/modules/observability
var beeAI = dialect{
	name:  "beeai",
	scope: "openinference.instrumentation.beeai",
	read:  readBeeAI,
}

func readBeeAI(d *Decoder, s *trajectory.Span, _ ptrace.Span) {
	r := d.r
	if s.Role == trajectory.RoleToolSpan && !r.has(fToolName) || s.Role == trajectory.RoleModelSpan && !r.has(fResponseModel) && !r.flat.any() {
		s.Role, s.Call, s.Tool, s.Missing = trajectory.RoleOther, nil, nil, nil // what happened on the way
		return
	}
	in := parse(r.text(fValueIn)).get("input")
	switch s.Role {
	case trajectory.RoleToolSpan:
		if in.isObject() && r.text(fToolArguments) == "" {
			s.Tool.Arguments = d.memo.texts.keep(in.raw)
		}
	case trajectory.RoleAgentSpan:
		if in.isText() {
			s.In = d.memo.texts.read(in)
		}
	}
}
