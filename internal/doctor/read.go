package doctor

import (
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/internal/otlp"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// remembered is what a decoder may remember of histories that are sent again.
const remembered = 64 << 20

// Reader decodes requests for an exam.
type Reader struct {
	exam *Exam
	dec  *genai.Decoder
	held int
}

// NewReader returns a reader that fills e.
func NewReader(e *Exam) *Reader {
	return &Reader{exam: e, dec: genai.NewDecoder(genai.Options{})}
}

// Take looks at one request. After [ErrEnough] no more need be read.
func (r *Reader) Take(req otlp.Request) error {
	switch req.Signal {
	case otlp.Traces:
		return r.traces(req.Traces)
	case otlp.Logs:
		return r.logs(req.Logs)
	}
	return nil
}

// traces decodes the spans of traces that carry a GenAI marker; the others are
// counted.
func (r *Reader) traces(td ptrace.Traces) error {
	ours := map[pcommon.TraceID]bool{}
	each(td, func(_ pcommon.Resource, scope pcommon.InstrumentationScope, s ptrace.Span) {
		if genai.Marked(scope, s) {
			ours[s.TraceID()] = true
		}
	})
	var spans []span
	each(td, func(res pcommon.Resource, scope pcommon.InstrumentationScope, s ptrace.Span) {
		switch {
		case s.TraceID().IsEmpty() || s.SpanID().IsEmpty():
		case ours[s.TraceID()] || r.exam.buf.Knows(trajectory.TraceID(s.TraceID())):
			spans = append(spans, r.decode(res, scope, s))
		default:
			r.exam.pass(text(res.Attributes(), "service.name"), trajectory.TraceID(s.TraceID()), trajectory.SpanID(s.SpanID()),
				trajectory.SpanID(s.ParentSpanID()), int64(s.StartTimestamp()), int64(s.EndTimestamp())) //nolint:gosec // until 2262
		}
	})
	return r.exam.add(spans)
}

func each(td ptrace.Traces, visit func(pcommon.Resource, pcommon.InstrumentationScope, ptrace.Span)) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				visit(rs.Resource(), ss.Scope(), s)
			}
		}
	}
}

func (r *Reader) decode(res pcommon.Resource, scope pcommon.InstrumentationScope, s ptrace.Span) span {
	d := r.dec.Decode(res, scope, s)
	r.hold(d)
	out := span{Span: d, origin: originOf(res, scope)}
	out.note.dropped = s.DroppedAttributesCount() > 0 || s.DroppedEventsCount() > 0
	out.note.attrs = uint16(min(s.Attributes().Len(), 1<<16-1)) //nolint:gosec // bounded
	for _, m := range d.Missing {
		if m == trajectory.ReasonTruncated {
			out.note.limit = longest(s.Attributes())
		}
	}
	if s.ParentSpanID().IsEmpty() {
		out.context = append(pairs(res.Attributes(), nil), pairs(s.Attributes(), nil)...)
	}
	return out
}

// hold bounds what the decoder remembers.
func (r *Reader) hold(s *trajectory.Span) {
	if r.held += max(s.Size, 0); r.held > remembered {
		r.dec.Forget()
		r.held = 0
	}
}

func originOf(res pcommon.Resource, scope pcommon.InstrumentationScope) Origin {
	a := res.Attributes()
	return Origin{Service: text(a, "service.name"), Scope: scope.Name(), Version: scope.Version(), Language: text(a, "telemetry.sdk.language")}
}

func text(m pcommon.Map, key string) string {
	if v, ok := m.Get(key); ok {
		return v.AsString()
	}
	return ""
}

// longest is the number of characters of the longest text in m.
func longest(m pcommon.Map) int32 {
	n := 0
	for _, v := range m.All() {
		if v.Type() == pcommon.ValueTypeStr && len(v.Str()) > n {
			n = max(n, utf8.RuneCountInString(v.Str()))
		}
	}
	return int32(min(n, 1<<31-1)) //nolint:gosec // bounded
}

// told are the beginnings of names that the dialects, the SDK and the network
// instrumentations use: what is left is the application's own word.
var told = []string{
	"gen_ai.", "llm.", "input.", "output.", "openinference.span", "ai.", "traceloop.entity", "traceloop.span", "langfuse.observation", "langfuse.internal",
	"telemetry.", "process.", "host.", "os.", "code.", "thread.", "exception.", "error.", "http.", "url.", "net.", "network.", "server.", "client.", "rpc.",
	"service.name", "service.instance", "logfire.", "mlflow.", "mastra.agent_run", "mastra.span", "pydantic_ai.", "span.", "messaging.", "langsmith.span",
	"agentops.", "operation.name", "resource.name", "otel.", "sampling.", "openai.", "anthropic.", "model_name", "final_result",
}

// Bounds of the attributes that are looked at.
const (
	maxPairs = 64
	maxValue = 80
)

// pairs are the short attributes of m that nothing else reads.
func pairs(m pcommon.Map, out []pair) []pair {
	for k, v := range m.All() {
		if len(out) >= maxPairs {
			break
		}
		switch v.Type() {
		case pcommon.ValueTypeStr, pcommon.ValueTypeInt, pcommon.ValueTypeBool:
		default:
			continue
		}
		value := v.AsString()
		if value == "" || len(value) > maxValue || hasPrefix(k, told) {
			continue
		}
		out = append(out, pair{k, value})
	}
	return out
}

func hasPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}
