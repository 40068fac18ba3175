package load

import (
	"fmt"
	"strings"
)

// Shape says how long the runs of agents are and how their spans are spread over
// requests.
type Shape struct {
	Name  string
	About string

	Calls    int  // model calls of a trace
	Traces   int  // of a group: traces whose spans are sent in the same requests
	Requests int  // of a group: the spans of each trace are spread over them, in the order in which they end
	Open     int  // traces that are on their way at the same time
	Late     bool // the last request of a group holds one tool run of each trace, sent when the trace was handed on
}

// Plain is what most agents send: whole runs, several in a request.
var Plain = Shape{Name: "plain", About: "16 whole traces a request", Calls: ModelCalls, Traces: TracesPerRequest, Requests: 1, Open: TracesPerRequest}

// Shapes are all that are measured. Interleaved has any number of open traces:
// see [Shape.WithOpen].
var Shapes = []Shape{
	Plain,
	{Name: "conv12", About: "conversations of 12 model calls, over 4 requests", Calls: 12, Traces: 4, Requests: 4, Open: 64},
	{Name: "conv40", About: "conversations of 40 model calls, over 12 requests", Calls: 40, Traces: 1, Requests: 12, Open: 64},
	{Name: "split", About: "the spans of a trace over 3 requests", Calls: ModelCalls, Traces: TracesPerRequest, Requests: 3, Open: 256},
	{Name: "interleaved", About: "each span of a trace in another request", Calls: ModelCalls, Traces: TracesPerRequest, Requests: SpansPerTrace, Open: 1024},
	{Name: "late", About: "a tool run of each trace comes when its trajectory was handed on", Calls: ModelCalls, Traces: TracesPerRequest, Requests: 2, Open: 4096, Late: true},
}

// ShapeOf finds a shape by its name.
func ShapeOf(name string) (Shape, error) {
	for _, s := range Shapes {
		if s.Name == name {
			return s, nil
		}
	}
	known := make([]string, len(Shapes))
	for i, s := range Shapes {
		known[i] = s.Name
	}
	return Shape{}, fmt.Errorf("shape %q is not known: use %s", name, strings.Join(known, ", "))
}

// WithOpen is the shape with so many open traces, rounded to whole groups.
func (s Shape) WithOpen(traces int) Shape {
	s.Open = max(traces, s.Traces)
	return s
}

// ToolRuns is how many tools one trace runs.
func (s Shape) ToolRuns() int {
	rounds := s.Calls - 1
	return rounds + rounds/2
}

// Spans is how many spans one trace has: its root, its calls, its tools.
func (s Shape) Spans() int { return 1 + s.Calls + s.ToolRuns() }

// GroupSpans is how many spans a group has.
func (s Shape) GroupSpans() int { return s.Traces * s.Spans() }

// part is the request of a group that the span of a trace goes into which ends
// as the rank-th.
func (s Shape) part(rank int) int {
	if s.Late { // of the spans before the root and the answer the last one, a tool run
		if rank == s.Spans()-3 {
			return 1
		}
		return 0
	}
	return rank * s.Requests / s.Spans()
}

// Request names a request of a load: the part of a group.
type Request struct{ Group, Part int }

// Order is that in which the requests of so many groups are sent: while the
// parts of one come, others begin and end, so that about Open traces are on
// their way.
func (s Shape) Order(groups int) []Request {
	stride := 0
	if s.Requests > 1 {
		stride = max(1, (s.Open/s.Traces)/(s.Requests-1))
	}
	list := make([]Request, 0, groups*s.Requests)
	for t := range groups + (s.Requests-1)*stride {
		for part := range s.Requests {
			if g := t - part*stride; g >= 0 && g < groups {
				list = append(list, Request{g, part})
			}
		}
	}
	return list
}
