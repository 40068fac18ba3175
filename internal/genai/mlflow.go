package genai

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// mlflow is what MLflow's tracing writes: a span's inputs and outputs; all
// values, numbers too, are JSON in a string. With its semconv switch on
// (MLFLOW_ENABLE_OTEL_GENAI_SEMCONV) the same spans speak semconv. In both, what
// is shown of a streamed reply has lost its tool calls: they are in events, one
// a chunk of the stream.
// https://mlflow.org/docs/latest/genai/tracing/
var mlflow = dialect{
	name:   "mlflow",
	prefix: "mlflow.",
	scope:  "mlflow.tracing.provider",
	kind:   mlflowKind,
	read:   readMLflow,
	rows: []row{
		{"mlflow.spanType", fKind},
		{"mlflow.spanInputs", fIn},
		{"mlflow.spanOutputs", fOut},
		{"mlflow.chat.tools", fTools},
		{"mlflow.chat.tokenUsage", fUsage},
		{"mlflow.llm.model", fResponseModel},
		{"mlflow.llm.provider", fProvider},
		{"mlflow.trace.session", fConversation},
		{"mlflow.trace.user", fUser},
	},
}

// mlflowKind is the type of the span; in semconv mode the types that semconv
// does not know stand for its operation.
func mlflowKind(r *reader, name string) (trajectory.Role, bool) {
	if role, known := kindWord(r, name); known {
		return role, true
	}
	role, known := words[strings.ToLower(r.text(fOperation))]
	return role, known
}

func readMLflow(d *Decoder, s *trajectory.Span, span ptrace.Span) {
	a := span.Attributes()
	s.Conversation, s.User = unquoted(s.Conversation), unquoted(s.User)
	jsonOnly(s, attr(a, "mlflow.spanInputs"), attr(a, "mlflow.spanOutputs"))
	switch s.Role {
	case trajectory.RoleModelSpan:
		c := s.Call
		c.ResponseModel, c.Provider = unquoted(c.ResponseModel), unquoted(c.Provider)
		d.streamed(s, span, "mlflow.chunk.item.", "mlflow.chunk.value")
	case trajectory.RoleToolSpan:
		if t := s.Tool; t.Result != nil { // JSON here, too
			t.Result = new(unquoted(*t.Result))
		}
	case trajectory.RoleAgentSpan:
		if s.Agent == "" && s.Name != d.r.text(fOperation) { // a span that semconv has no name for
			s.Agent = s.Name
		}
	}
}
