package genai

import (
	"math"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// agentLightning is Agent Lightning 0.3: operations are traced functions, whose
// input and output are flattened to one attribute a leaf; annotations carry
// rewards. Model calls below it speak another dialect, AgentOps mostly. The
// rollout and its attempt are attributes of the resource.
// https://microsoft.github.io/agent-lightning/ (agentlightning.semconv)
var agentLightning = dialect{
	name:   "agentlightning",
	prefix: "agentlightning.",
	scope:  "agentlightning.tracer.otel",
	kind:   agentLightningRole,
	read:   readAgentLightning,
}

// agentLightningRole: whether an operation was a tool run only the call that
// asked for it can tell.
func agentLightningRole(_ *reader, name string) (trajectory.Role, bool) {
	return trajectory.RoleOther, strings.HasPrefix(name, "agentlightning.")
}

const (
	operationPrefix = "agentlightning.operation"
	rewardPrefix    = "agentlightning.reward."
	linkPrefix      = "agentlightning.link."
)

func readAgentLightning(d *Decoder, s *trajectory.Span, span ptrace.Span) {
	a := span.Attributes()
	switch {
	case s.Role != trajectory.RoleOther:
	case s.Name == operationPrefix:
		if name := attr(a, operationPrefix+".name"); name != "" {
			s.Tool = &trajectory.ToolRun{Name: d.memo.name(name), Arguments: positional(unflatten(a, operationPrefix+".input"))}
			if out := unflatten(a, operationPrefix+".output"); out != "" {
				s.Tool.Result = &out
			}
		}
	default:
		s.Facts = append(s.Facts, rewards(s, a)...)
	}
}

// positional writes arguments that have no names as other tracers do.
func positional(input string) string {
	if o := parse(input); len(o) == 1 && o[0].name == "args" && strings.HasPrefix(o[0].value.raw, "[") {
		return `{"args":` + o[0].value.raw + `,"kwargs":{}}`
	}
	return input
}

// annotation is a fact that a span of the run carries.
func annotation(s *trajectory.Span, name string, value float64) trajectory.Fact {
	return trajectory.Fact{Name: name, Value: &value, Source: "annotation", ObservedAt: s.End / 1000, TraceID: s.TraceID.String()}
}

// rewards reads agentlightning.reward.N.{name,value}, the primary one first,
// and the attribute reward of the first versions. Links say what they are of:
// the trajectory where there are none.
func rewards(s *trajectory.Span, a pcommon.Map) []trajectory.Fact {
	var out []trajectory.Fact
	for n := 0; ; n++ {
		v, ok := a.Get(rewardPrefix + strconv.Itoa(n) + ".value")
		value, isNumber := number(v, ok)
		if !ok {
			break
		}
		if name := attr(a, rewardPrefix+strconv.Itoa(n)+".name"); isNumber && name != "" {
			out = append(out, annotation(s, name, value))
		}
	}
	if v, ok := a.Get("reward"); ok && len(out) == 0 && strings.HasPrefix(s.Name, "agentlightning.") {
		if value, isNumber := number(v, true); isNumber {
			out = append(out, annotation(s, "reward", value))
		}
	}
	if len(out) > 1 {
		out[0].Label = "primary"
	}
	for i := range out {
		link(&out[i], a)
	}
	return out
}

func number(v pcommon.Value, ok bool) (float64, bool) {
	if !ok {
		return 0, false
	}
	switch v.Type() {
	case pcommon.ValueTypeDouble:
		n := v.Double()
		return n, !math.IsNaN(n) && !math.IsInf(n, 0)
	case pcommon.ValueTypeInt:
		return float64(v.Int()), true
	}
	return 0, false
}

// link says what a fact is of. What links by any other attribute is told apart
// by its explanation only.
func link(f *trajectory.Fact, a pcommon.Map) {
	for n := 0; ; n++ {
		at := linkPrefix + strconv.Itoa(n)
		key, value := attr(a, at+".key_match"), attr(a, at+".value_match")
		switch key {
		case "":
			return
		case "trace_id":
			f.TraceID = strings.ToLower(value)
		case "span_id":
			f.SpanID = strings.ToLower(value)
		case "gen_ai.response.id":
			f.ResponseID = value
		default:
			f.Explanation = strings.TrimSpace(f.Explanation + " " + key + "=" + value)
		}
	}
}
