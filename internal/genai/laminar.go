package genai

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// laminar is what Laminar's SDKs write: observed functions with their input and
// output as JSON, and model calls in the names of semconv with messages in the
// client library's form.
// https://laminar.sh/docs/tracing/introduction
var laminar = dialect{
	name:   "laminar",
	prefix: "lmnr.",
	scope:  "lmnr.tracer",
	kind:   kindWord,
	read:   readLaminar,
	rows: []row{
		{"lmnr.span.type", fKind},
		{"lmnr.span.input", fIn},
		{"lmnr.span.output", fOut},
		{"lmnr.association.properties.session_id", fConversation},
		{"lmnr.association.properties.user_id", fUser},
	},
}

func readLaminar(d *Decoder, s *trajectory.Span, span ptrace.Span) {
	a := span.Attributes()
	jsonOnly(s, attr(a, "lmnr.span.input"), attr(a, "lmnr.span.output"))
	if d.r.word() == "DEFAULT" {
		graph(s) // an observed function that nobody called is the run
	}
}

// jsonOnly takes back what was read of an input or an output that is no JSON though
// the dialect writes nothing else: it was cut.
func jsonOnly(s *trajectory.Span, in, out string) {
	cut := func(raw string) bool { return raw != "" && strings.ContainsAny(raw[:1], `{["`) && !valid(raw) }
	if s.Role == trajectory.RoleModelSpan { // read as JSON, or with that reason
		return
	}
	if cut(in) {
		s.In = ""
		if s.Tool != nil {
			s.Tool.Arguments = ""
			s.Missing = addReason(s.Missing, trajectory.ReasonTruncated)
		}
	}
	if cut(out) {
		s.Out = ""
		if s.Tool != nil {
			s.Tool.Result = nil
			s.Missing = addReason(s.Missing, trajectory.ReasonTruncated)
		}
	}
}
