package genai

import (
	"encoding/json"
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// dspy programs, seen by OpenInference, have no messages: a module takes input
// fields and returns a prediction, which adapters write into prompts and read
// out of replies. ReAct asks for its tools in text.
// https://dspy.ai/tutorials/observability/
var dspy = dialect{
	name:  "dspy",
	scope: "openinference.instrumentation.dspy",
	read:  readDSPy,
}

// readDSPy reads the prediction that a program returned.
func readDSPy(d *Decoder, s *trajectory.Span, _ ptrace.Span) {
	if s.Role != trajectory.RoleOther || !strings.HasSuffix(s.Name, ".forward") {
		return
	}
	if args := parse(d.r.text(fValueIn)).get("input_args"); args.isObject() {
		s.In = d.fields(parse(args.raw))
	}
	s.Out = d.fields(parse(d.r.text(fValueOut)))
}

// fields are what a signature asks for or a prediction answers: the text of the
// one field, else all of them as JSON. How ReAct and ChainOfThought got there is
// no part of the answer.
func (d *Decoder) fields(o members) string {
	var all []string
	var one token
	for _, m := range o {
		switch m.name {
		case "trajectory", "reasoning", "rationale":
			continue
		}
		one = m.value
		name, _ := json.Marshal(m.name) // a string: cannot fail
		all = append(all, string(name)+": "+m.value.raw)
	}
	if len(all) == 1 && one.isText() {
		return d.memo.texts.read(one)
	}
	if len(all) == 0 {
		return ""
	}
	return "{" + strings.Join(all, ", ") + "}"
}
