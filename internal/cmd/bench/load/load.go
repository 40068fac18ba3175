// Package load makes OTLP requests like those of agents in production, ready
// to be sent many times: for the benchmarks.
//
// A request holds 16 traces of 9 spans, mixed by the time at which the spans
// ended, as an SDK's exporter sends them. A trace is an agent's run: a root,
// four model calls that resend a growing history, four tool runs; about 26 KB.
// There are 64 different requests, so 1,024 different traces.
package load

import (
	"fmt"
	"math/rand/v2"
	"time"

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
type Set struct{ requests []request }

// New makes a load whose runs begin at start. The same arguments give the same
// bytes.
func New(kind Kind, start time.Time) (*Set, error) {
	s := &Set{}
	for i := range Requests {
		write, err := writerOf(kind, i)
		if err != nil {
			return nil, err
		}
		req, err := newRequest(i, write, start.Add(time.Duration(i)*time.Second))
		if err != nil {
			return nil, err
		}
		s.requests = append(s.requests, req)
	}
	return s, nil
}

// Append adds the n-th request of an endless load to dst: ids of traces, spans
// and responses are its own, all else repeats every [Requests] requests.
func (s *Set) Append(dst []byte, n int) []byte {
	at := len(dst)
	r := &s.requests[n%len(s.requests)]
	dst = append(dst, r.body...)
	r.stamp(dst[at:], uint64(n)) //nolint:gosec // a count
	return dst
}

// BytesPerTrace is the mean size of a trace as OTLP.
func (s *Set) BytesPerTrace() int {
	n := 0
	for i := range s.requests {
		n += len(s.requests[i].body)
	}
	return n / (len(s.requests) * TracesPerRequest)
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

func newRequest(i int, write writer, start time.Time) (request, error) {
	r := rand.New(rand.NewPCG(uint64(i), 1)) //nolint:gosec // reproducible
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	resource(rs.Resource().Attributes(), agents[i%len(agents)].service)
	out := &spans{list: rs.ScopeSpans().AppendEmpty(), agent: &agents[i%len(agents)]}
	for trace := range TracesPerRequest {
		out.begin(trace, start.Add(time.Duration(r.IntN(4000))*time.Millisecond))
		write(out, r)
	}
	out.list.Spans().Sort(func(a, b ptrace.Span) bool { return a.EndTimestamp() < b.EndTimestamp() })
	body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	if err != nil {
		return request{}, fmt.Errorf("encode load: %w", err)
	}
	return index(body, out.written, out.texts)
}
