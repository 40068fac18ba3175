package load

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// spans collects the spans of one group, trace by trace.
type spans struct {
	list    ptrace.ScopeSpans
	agent   *agent
	calls   int // model calls of a trace
	trace   int
	root    int // its number; children hang below it
	clock   time.Time
	began   time.Time
	written int
	texts   int // response ids written
}

// begin starts the next trace, whose first span is its root.
func (s *spans) begin(trace int, at time.Time) {
	s.trace, s.root, s.began, s.clock = trace, s.written, at, at
}

// add appends a span that takes so long and moves the clock to its end. The
// root takes as long as what was added before it.
func (s *spans) add(name string, kind ptrace.SpanKind, took time.Duration) pcommon.Map {
	start := s.clock.Add(3 * time.Millisecond)
	s.clock = start.Add(took)
	return s.write(name, kind, s.written+1, start)
}

func (s *spans) addRoot(name string, kind ptrace.SpanKind) pcommon.Map {
	s.clock = s.clock.Add(3 * time.Millisecond)
	return s.write(name, kind, s.root, s.began)
}

func (s *spans) write(name string, kind ptrace.SpanKind, number int, start time.Time) pcommon.Map {
	span := s.list.Spans().AppendEmpty()
	span.SetTraceID(traceMark(s.trace))
	span.SetSpanID(spanMark(number))
	if number != s.root {
		span.SetParentSpanID(spanMark(s.root))
	}
	span.SetName(name)
	span.SetKind(kind)
	span.SetFlags(0x100) // the parent is known not to be remote
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
	span.SetEndTimestamp(pcommon.NewTimestampFromTime(s.clock))
	s.written++
	span.Attributes().EnsureCapacity(32)
	return span.Attributes()
}

// response is a new response id.
func (s *spans) response() string {
	s.texts++
	return "chatcmpl-" + responseMark(s.texts)
}

func (s *spans) scope(name, version string) {
	s.list.Scope().SetName(name)
	s.list.Scope().SetVersion(version)
}

func resource(at pcommon.Map, service string) {
	for _, kv := range [][2]string{
		{"service.name", service},
		{"service.version", "1.4.0"},
		{"service.instance.id", "6c3cfaf2-5f9c-416a-92f0-d173fe3f028c"},
		{"deployment.environment.name", "production"},
		{"telemetry.sdk.language", "python"},
		{"telemetry.sdk.name", "opentelemetry"},
		{"telemetry.sdk.version", "1.45.2"},
		{"k8s.namespace.name", "shop"},
		{"k8s.pod.name", service + "-7d9c5b6f4-x2x9l"},
		{"host.name", "node-17"},
	} {
		at.PutStr(kv[0], kv[1])
	}
}
