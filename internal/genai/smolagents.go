package genai

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// smolagents are Hugging Face's agents, seen by OpenInference: a run is asked
// for with keyword arguments and returns a RunResult, which is shown as its
// Python repr with every step of the run inside. The model sees earlier tool
// calls and results as text, under roles of their own.
// https://huggingface.co/docs/smolagents/tutorials/inspect_runs
var smolagents = dialect{
	name:  "smolagents",
	scope: "openinference.instrumentation.smolagents",
	read:  readSmolagents,
}

func readSmolagents(d *Decoder, s *trajectory.Span, _ ptrace.Span) {
	if s.Role != trajectory.RoleAgentSpan {
		return
	}
	if task := parse(d.r.text(fValueIn)).get("task"); task.isText() {
		s.In = d.memo.texts.read(task)
	}
	raw := strings.TrimSpace(d.r.text(fValueOut))
	out, ok := pyArgument(raw, "RunResult", "output")
	if !ok && !pyObject(raw) {
		out, ok = pyJSON(raw) // the answer alone, where it is a value
	}
	switch {
	case !ok:
	case out == "null":
		s.Out = ""
	default:
		s.Out = unquoted(out)
	}
}
