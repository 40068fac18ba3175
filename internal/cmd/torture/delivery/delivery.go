// Package delivery cuts runs of agents into the requests that reach Collectors
// on a bad day: each run in parts, in any order and mixed with others, some
// parts late, some requests and spans twice.
package delivery

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/tracegrad/tracegrad/internal/cmd/torture/ledger"
)

// Delivery is one encoded request.
type Delivery struct {
	At        time.Duration // since the plan's start
	Collector int           // all spans of a trace go to the same one
	Body      []byte
	Spans     []ledger.Span // in it, each once
}

// Shape says how bad the day is.
type Shape struct {
	Over       time.Duration // runs begin within this time
	Parts      int           // most parts of a run
	Spread     time.Duration // between the parts of a run
	Late       time.Duration // how much later a late part comes
	Collectors int
}

// What share of a plan is out of order.
const (
	lateParts   = 0.05
	twiceSpans  = 0.02 // in the same request
	twiceBodies = 0.08 // again, later

	tick = 25 * time.Millisecond // what falls into one is one request
)

// slot is what becomes one request.
type slot struct {
	tick      int
	collector int
}

// piece is a span with what it hangs below.
type piece struct {
	rs   ptrace.ResourceSpans
	ss   ptrace.ScopeSpans
	span ptrace.Span
}

// Plan is the deliveries of the runs in the given spans, by time. The same
// random numbers give the same plan.
func Plan(r *rand.Rand, runs []ptrace.Traces, shape Shape) ([]Delivery, error) {
	slots := map[slot][]piece{}
	for _, td := range runs {
		traces := byTrace(td)
		for _, id := range slices.SortedFunc(maps.Keys(traces), compareIDs) {
			scatter(r, id, traces[id], shape, slots)
		}
	}
	var plan []Delivery
	order := func(a, b slot) int { return cmp.Or(cmp.Compare(a.tick, b.tick), cmp.Compare(a.collector, b.collector)) }
	for _, at := range slices.SortedFunc(maps.Keys(slots), order) {
		d, err := encode(r, slots[at])
		if err != nil {
			return nil, err
		}
		d.At, d.Collector = time.Duration(at.tick)*tick, at.collector
		plan = append(plan, d)
		if r.Float64() < twiceBodies {
			d.At += time.Duration(r.Int64N(int64(shape.Over)))
			plan = append(plan, d)
		}
	}
	slices.SortStableFunc(plan, func(a, b Delivery) int { return cmp.Compare(a.At, b.At) })
	return plan, nil
}

func compareIDs(a, b pcommon.TraceID) int { return slices.Compare(a[:], b[:]) }

func byTrace(td ptrace.Traces) map[pcommon.TraceID][]piece {
	traces := map[pcommon.TraceID][]piece{}
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				traces[span.TraceID()] = append(traces[span.TraceID()], piece{rs, ss, span})
			}
		}
	}
	return traces
}

// scatter puts the spans of a trace into the slots of its parts.
func scatter(r *rand.Rand, id pcommon.TraceID, spans []piece, shape Shape, slots map[slot][]piece) {
	begins := time.Duration(r.Int64N(int64(shape.Over)))
	parts := make([]time.Duration, 1+r.IntN(shape.Parts))
	for i := range parts {
		parts[i] = begins + time.Duration(r.Int64N(int64(shape.Spread)))
		if r.Float64() < lateParts {
			parts[i] += shape.Late
		}
	}
	to := fnv.New32a()
	_, _ = to.Write(id[:])
	for _, p := range spans {
		at := slot{int(parts[r.IntN(len(parts))] / tick), int(to.Sum32() % uint32(shape.Collectors))}
		slots[at] = append(slots[at], p)
	}
}

func encode(r *rand.Rand, pieces []piece) (d Delivery, err error) {
	td := ptrace.NewTraces()
	r.Shuffle(len(pieces), func(i, j int) { pieces[i], pieces[j] = pieces[j], pieces[i] })
	for _, p := range pieces {
		add(td, p)
		if r.Float64() < twiceSpans {
			add(td, p)
		}
		d.Spans = append(d.Spans, ledger.Span{Trace: p.span.TraceID().String(), ID: p.span.SpanID().String(), Step: !p.span.ParentSpanID().IsEmpty()})
	}
	if d.Body, err = ptraceotlp.NewExportRequestFromTraces(td).MarshalProto(); err != nil {
		return d, fmt.Errorf("encode a request: %w", err)
	}
	return d, nil
}

// add appends a span. Neighbours of one resource and scope share it, as an
// SDK's exporter groups them.
func add(td ptrace.Traces, p piece) {
	list := td.ResourceSpans()
	if n := list.Len(); n > 0 {
		last := list.At(n - 1)
		if scope := last.ScopeSpans().At(0); last.Resource().Attributes().Equal(p.rs.Resource().Attributes()) && scope.Scope().Name() == p.ss.Scope().Name() {
			p.span.CopyTo(scope.Spans().AppendEmpty())
			return
		}
	}
	rs := list.AppendEmpty()
	p.rs.Resource().CopyTo(rs.Resource())
	ss := rs.ScopeSpans().AppendEmpty()
	p.ss.Scope().CopyTo(ss.Scope())
	p.span.CopyTo(ss.Spans().AppendEmpty())
}
