// Package load makes OTLP requests like those of agents in production, ready
// to be sent many times: for the benchmarks.
//
// A request holds 16 traces of 9 spans, mixed by the time at which the spans
// ended, as an SDK's exporter sends them. A trace is an agent's run: a root,
// four model calls that resend a growing history, four tool runs; about 26 KB.
// There are 64 different requests, so 1,024 different traces. [Shape] has other
// lengths of runs, and other ways in which spans are spread over requests.
package load

import (
	"fmt"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// Sizes of a load.
const (
	SpansPerTrace    = 9
	TracesPerRequest = 16
	SpansPerRequest  = SpansPerTrace * TracesPerRequest
	Requests         = 64 // different ones
)

// What one trace of an agent is made of.
const (
	ModelCalls = 4
	ToolRuns   = 4
)

// Kind says what the spans look like.
type Kind string

// Kinds of spans. Mix is half Semconv, a quarter OpenInference, a quarter
// Vercel, one convention a request.
const (
	Mix           Kind = "mix"
	Semconv       Kind = "semconv"
	OpenInference Kind = "openinference"
	Vercel        Kind = "vercel"
	Ordinary      Kind = "ordinary" // no GenAI at all: requests to a web shop
)

// Set is the requests of a load, encoded. It is read-only and safe for
// concurrent use.
type Set struct {
	shape  Shape
	groups [][]request
}

// New makes a load of [Plain] traces whose runs begin at start. The same arguments
// give the same bytes.
func New(kind Kind, start time.Time) (*Set, error) { return NewShaped(kind, Plain, start) }

// NewShaped makes a load of another shape.
func NewShaped(kind Kind, shape Shape, start time.Time) (*Set, error) {
	s := &Set{shape: shape}
	for i := range Requests {
		write, err := writerOf(kind, i)
		if err != nil {
			return nil, err
		}
		group, err := newGroup(i, shape, write, start.Add(time.Duration(i)*time.Second))
		if err != nil {
			return nil, err
		}
		s.groups = append(s.groups, group)
	}
	return s, nil
}

// Shape is how the spans of the load come.
func (s *Set) Shape() Shape { return s.shape }

// Append adds the n-th request of an endless load to dst, which is the first of
// the n-th group: ids of traces, spans and responses are its own, all else repeats
// every [Requests] groups.
func (s *Set) Append(dst []byte, n int) []byte { return s.AppendPart(dst, Request{Group: n}) }

// AppendPart adds a request of a group.
func (s *Set) AppendPart(dst []byte, want Request) []byte {
	at := len(dst)
	r := &s.groups[want.Group%len(s.groups)][want.Part]
	dst = append(dst, r.body...)
	r.stamp(dst[at:], uint64(want.Group)) //nolint:gosec // a count
	return dst
}

// BytesPerTrace is the mean size of a trace as OTLP.
func (s *Set) BytesPerTrace() int {
	n := 0
	for _, group := range s.groups {
		for i := range group {
			n += len(group[i].body)
		}
	}
	return n / (len(s.groups) * s.shape.Traces)
}

// writer writes the spans of one trace into a request. The ids are marks.
type writer func(out *spans, r *rand.Rand)

func writerOf(kind Kind, i int) (writer, error) {
	switch kind {
	case Mix:
		return []writer{semconv, openInference, semconv, vercel}[i%4], nil
	case Semconv:
		return semconv, nil
	case OpenInference:
		return openInference, nil
	case Vercel:
		return vercel, nil
	case Ordinary:
		return ordinary, nil
	}
	return nil, fmt.Errorf("load %q is not known; use %s, %s, %s, %s or %s", kind, Mix, Semconv, OpenInference, Vercel, Ordinary)
}

func newGroup(i int, shape Shape, write writer, start time.Time) ([]request, error) {
	r := rand.New(rand.NewPCG(uint64(i), 1)) //nolint:gosec // reproducible
	out := &spans{list: ptrace.NewScopeSpans(), agent: &agents[i%len(agents)], calls: shape.Calls}
	for trace := range shape.Traces {
		out.begin(trace, start.Add(time.Duration(r.IntN(4000))*time.Millisecond))
		write(out, r)
	}
	out.list.Spans().Sort(func(a, b ptrace.Span) bool { return a.EndTimestamp() < b.EndTimestamp() })
	group, ids := make([]request, shape.Requests), 0
	for part, td := range out.parts(shape) {
		body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
		if err != nil {
			return nil, fmt.Errorf("encode load: %w", err)
		}
		if group[part], err = index(body); err != nil {
			return nil, err
		}
		ids += len(group[part].ids)
	}
	// A trace, a span and a parent, but roots have no parent.
	if want := 3*out.written - shape.Traces + out.texts; ids != want {
		return nil, fmt.Errorf("the load has %d ids, want %d", ids, want)
	}
	return group, nil
}

// parts spreads the spans, which are sorted by end, over the requests.
func (s *spans) parts(shape Shape) []ptrace.Traces {
	list, to := make([]ptrace.Traces, shape.Requests), make([]ptrace.ScopeSpans, shape.Requests)
	for i := range list {
		list[i] = ptrace.NewTraces()
		rs := list[i].ResourceSpans().AppendEmpty()
		resource(rs.Resource().Attributes(), s.agent.service)
		to[i] = rs.ScopeSpans().AppendEmpty()
		s.list.Scope().CopyTo(to[i].Scope())
	}
	rank := map[pcommon.TraceID]int{}
	for _, span := range s.list.Spans().All() {
		id := span.TraceID()
		span.CopyTo(to[shape.part(rank[id])].Spans().AppendEmpty())
		rank[id]++
	}
	return list
}
