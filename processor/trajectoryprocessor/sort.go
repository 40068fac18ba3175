package trajectoryprocessor

import (
	"context"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// marks are the traces of a request that have a span with a GenAI marker.
type marks map[pcommon.TraceID]struct{}

// marked finds the traces that are agents'. It is nil for ordinary requests.
func (a *assembler) marked(ctx context.Context, td ptrace.Traces) marks {
	var m marks
	invalid := 0
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			ours := ss.Scope().Name() == trajectory.ScopeName
			for _, span := range ss.Spans().All() {
				switch {
				case !genai.Marked(ss.Scope(), span) || ours && finished(span):
				case !valid(span):
					invalid++ // sort drops it
				default:
					if m == nil {
						m = marks{}
					}
					m[span.TraceID()] = struct{}{}
				}
			}
		}
	}
	if invalid > 0 {
		a.hub.tb.ProcessorTrajectorySpansInvalid.Add(ctx, int64(invalid))
	}
	return m
}

// finished says whether a span is a trajectory that left a trajectory
// processor.
func finished(span ptrace.Span) bool {
	_, ok := span.Attributes().Get(trajectory.AttrTrajectory)
	return ok
}

func valid(span ptrace.Span) bool { return !span.TraceID().IsEmpty() && !span.SpanID().IsEmpty() }

// fate is what becomes of a span.
type fate uint8

const (
	pass fate = iota // as it came
	hold
	drop // an agent's span without ids: it belongs to nothing, and whoever took it for a trace would be wrong
)

// sorted says what becomes of the spans of a request.
type sorted struct {
	fates                 []fate // per span, in order; nil = all pass
	held, passed, dropped int
	incomplete            map[trajectory.Reason]int64 // of the spans that were decoded
}

// sort decides for every span. Those that pass are noted: their trace may turn
// out to be an agent's. a.mu is held.
func (a *assembler) sort(td ptrace.Traces, m marks) *sorted {
	s := &sorted{}
	if m != nil {
		s.fates = make([]fate, 0, td.SpanCount())
	}
	var last pcommon.TraceID
	lastHeld := false
	at := 0
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			ours := ss.Scope().Name() == trajectory.ScopeName
			for _, span := range ss.Spans().All() {
				if id := span.TraceID(); at == 0 || id != last {
					last = id
					_, lastHeld = m[id]
					lastHeld = lastHeld || a.buf.Knows(trajectory.TraceID(id))
				}
				f := pass
				switch {
				case ours && finished(span):
				case !valid(span):
					if genai.Marked(ss.Scope(), span) {
						f = drop
					}
				case lastHeld:
					f = hold
				}
				s.add(at, f)
				if f == pass {
					a.note(span)
				}
				at++
			}
		}
	}
	return s
}

// add notes the fate of the span at a position.
func (s *sorted) add(at int, f fate) {
	switch f {
	case pass:
		s.passed++
	case hold:
		s.held++
	case drop:
		s.dropped++
	}
	if f != pass && s.fates == nil {
		s.fates = make([]fate, at, 2*at+8) // those before pass
	}
	if s.fates != nil {
		s.fates = append(s.fates, f)
	}
}

// remoteParent are the OTLP flags that say: it is known where the parent runs,
// and that is another process.
const remoteParent = 0x300

// note remembers a span that passes.
func (a *assembler) note(span ptrace.Span) {
	if valid(span) {
		a.buf.Pass(trajectory.TraceID(span.TraceID()), trajectory.SpanID(span.SpanID()), trajectory.SpanID(span.ParentSpanID()),
			span.Flags()&remoteParent == remoteParent, int64(span.StartTimestamp()), int64(span.EndTimestamp())) //nolint:gosec // OTLP times fit until 2262
	}
}

// copyOf returns a copy of the spans of one fate.
func (s *sorted) copyOf(td ptrace.Traces, f fate) ptrace.Traces {
	rest := ptrace.NewTraces()
	at := 0
	for _, rs := range td.ResourceSpans().All() {
		var toResource ptrace.ResourceSpans
		for _, ss := range rs.ScopeSpans().All() {
			var toScope ptrace.ScopeSpans
			for _, span := range ss.Spans().All() {
				at++
				if s.fates[at-1] != f {
					continue
				}
				if toResource == (ptrace.ResourceSpans{}) {
					toResource = rest.ResourceSpans().AppendEmpty()
					rs.Resource().CopyTo(toResource.Resource())
					toResource.SetSchemaUrl(rs.SchemaUrl())
				}
				if toScope == (ptrace.ScopeSpans{}) {
					toScope = toResource.ScopeSpans().AppendEmpty()
					ss.Scope().CopyTo(toScope.Scope())
					toScope.SetSchemaUrl(ss.SchemaUrl())
				}
				span.CopyTo(toScope.Spans().AppendEmpty())
			}
		}
	}
	return rest
}
