package genai

import (
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// evaluationEvent is the semconv event that carries a score.
const evaluationEvent = "gen_ai.evaluation.result"

// facts reads the evaluations that a span carries as events.
func facts(span ptrace.Span) []trajectory.Fact {
	var out []trajectory.Fact
	for i := range span.Events().Len() {
		e := span.Events().At(i)
		if e.Name() != evaluationEvent {
			continue
		}
		a := e.Attributes()
		f := trajectory.Fact{
			ID: attr(a, trajectory.AttrFactID), Name: attr(a, "gen_ai.evaluation.name"), Value: score(a),
			Label: attr(a, "gen_ai.evaluation.score.label"), Explanation: attr(a, "gen_ai.evaluation.explanation"),
			Source: "evaluation", ObservedAt: int64(e.Timestamp()) / 1000, //nolint:gosec // until 2262
			TraceID: span.TraceID().String(), SpanID: span.SpanID().String(), ResponseID: attr(a, "gen_ai.response.id"),
		}
		if f.Name != "" {
			out = append(out, f)
		}
	}
	return out
}

func score(a pcommon.Map) *float64 {
	v, ok := a.Get("gen_ai.evaluation.score.value")
	if !ok {
		return nil
	}
	switch v.Type() {
	case pcommon.ValueTypeDouble:
		if n := v.Double(); !math.IsNaN(n) && !math.IsInf(n, 0) {
			return &n
		}
	case pcommon.ValueTypeInt:
		n := float64(v.Int())
		return &n
	}
	return nil
}
