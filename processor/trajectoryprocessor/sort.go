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

// copyRest returns a copy of the spans that pass.
func (s *sorted) copyRest(td ptrace.Traces) ptrace.Traces {
	_, parts := s.split(td, pass, func(ptrace.Span) pcommon.TraceID { return pcommon.TraceID{} })
	return parts[0]
}

// byTrace returns copies of the spans that are held, a request for each trace; td
// itself if that is all of it.
func (s *sorted) byTrace(td ptrace.Traces) ([]pcommon.TraceID, []ptrace.Traces) {
	if id, ok := onlyTrace(td); ok && s.passed+s.dropped == 0 {
		return []pcommon.TraceID{id}, []ptrace.Traces{td}
	}
	return s.split(td, hold, ptrace.Span.TraceID)
}

// onlyTrace is the trace of all spans of a request.
func onlyTrace(td ptrace.Traces) (only pcommon.TraceID, ok bool) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				if ok && span.TraceID() != only {
					return only, false
				}
				only, ok = span.TraceID(), true
			}
		}
	}
	return only, ok
}

// split copies the spans of one fate into a request for each key, in the order in
// which the keys come.
func (s *sorted) split(td ptrace.Traces, f fate, by func(ptrace.Span) pcommon.TraceID) (keys []pcommon.TraceID, parts []ptrace.Traces) {
	type place struct {
		part     int
		rs, ss   int // positions in td of what is there last
		resource ptrace.ResourceSpans
		scope    ptrace.ScopeSpans
	}
	places := map[pcommon.TraceID]*place{}
	at := 0
	for i, rs := range td.ResourceSpans().All() {
		for k, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				at++
				if s.fates[at-1] != f {
					continue
				}
				key := by(span)
				p := places[key]
				if p == nil {
					p = &place{part: len(parts), rs: -1}
					places[key] = p
					keys, parts = append(keys, key), append(parts, ptrace.NewTraces())
				}
				if p.rs != i {
					p.resource = parts[p.part].ResourceSpans().AppendEmpty()
					rs.Resource().CopyTo(p.resource.Resource())
					p.resource.SetSchemaUrl(rs.SchemaUrl())
					p.rs, p.ss = i, -1
				}
				if p.ss != k {
					p.scope = p.resource.ScopeSpans().AppendEmpty()
					ss.Scope().CopyTo(p.scope.Scope())
					p.scope.SetSchemaUrl(ss.SchemaUrl())
					p.ss = k
				}
				span.CopyTo(p.scope.Spans().AppendEmpty())
			}
		}
	}
	return keys, parts
}
