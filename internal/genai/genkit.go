package genai

import (
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// genkit is what Firebase Genkit writes: an action's input and output as JSON.
// "generate" spans are structure: each holds a model call, the tool runs that it
// asked for and the next "generate".
// https://genkit.dev/docs/observability/
var genkit = dialect{
	name:   "genkit",
	prefix: "genkit:",
	scope:  "genkit-tracer",
	kind:   kindWord,
	read:   readGenkit,
	rows: []row{
		{"genkit:metadata:subtype", fKind},
		{"genkit:type", fKind},
		{"genkit:input", fIn},
		{"genkit:output", fOut},
		{"genkit:sessionId", fConversation},
		{"genkit:metadata:sessionId", fConversation},
	},
}

func readGenkit(d *Decoder, s *trajectory.Span, span ptrace.Span) {
	a := span.Attributes()
	jsonOnly(s, attr(a, "genkit:input"), attr(a, "genkit:output"))
	switch s.Role {
	case trajectory.RoleModelSpan:
		if s.Call.RequestModel == "" {
			s.Call.RequestModel = d.memo.name(attr(a, "genkit:name"))
		}
	case trajectory.RoleOther:
		if d.r.word() == "flow" {
			graph(s)
		}
	}
}
