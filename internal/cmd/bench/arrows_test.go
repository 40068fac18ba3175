//go:build unix

package main

import (
	"encoding/json"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/tracegrad/tracegrad/internal/cmd/bench/load"
	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/rewards"
)

// BenchmarkArrows runs the functions that a trajectory passes one by one, warm
// and without what is around them. An operation is one trajectory; cpu-ns/span
// is as in [BenchmarkStages].
func BenchmarkArrows(b *testing.B) {
	engine, err := rewards.Load(rewardRules)
	require.NoError(b, err)
	for _, kind := range []load.Kind{load.Semconv, load.OpenInference, load.Vercel} {
		traces := tracesOf(b, kind)
		decoded := make([][]*trajectory.Span, len(traces))
		whole := make([]*trajectory.Trajectory, len(traces))
		encoded := make([][]byte, len(traces))
		for i, spans := range traces {
			decoded[i] = decode(spans)
			whole[i] = trajectory.Assemble(decoded[i], trajectory.Options{CloseReason: trajectory.CloseComplete})
			whole[i].Rewards = engine.Score(whole[i], nil, 1)
			encoded[i] = trajectory.Encode(whole[i])
		}
		// The other side: what the standard library takes to see whether the same
		// content is JSON, and to read it.
		arrow(b, kind, "json-valid", func(i int) {
			for _, raw := range content(traces[i%len(traces)]) {
				require.True(b, json.Valid(raw))
			}
		})
		arrow(b, kind, "json-unmarshal", func(i int) {
			for _, raw := range content(traces[i%len(traces)]) {
				var v any
				require.NoError(b, json.Unmarshal(raw, &v))
			}
		})
		arrow(b, kind, "decode", func(i int) { decode(traces[i%len(traces)]) })
		arrow(b, kind, "assemble", func(i int) {
			trajectory.Assemble(decoded[i%len(traces)], trajectory.Options{CloseReason: trajectory.CloseComplete})
		})
		arrow(b, kind, "score", func(i int) { engine.Score(whole[i%len(traces)], nil, 1) })
		var buf []byte
		arrow(b, kind, "encode", func(i int) { buf = trajectory.AppendEncode(buf[:0], whole[i%len(traces)]) })
		arrow(b, kind, "read", func(i int) {
			_, err := trajectory.DecodeOwned(encoded[i%len(traces)])
			require.NoError(b, err)
		})
		arrow(b, kind, "rows", func(i int) { dataset.Rows("batch", 1, whole[i%len(traces)]) })
	}
}

func arrow(b *testing.B, kind load.Kind, name string, do func(i int)) {
	b.Run(string(kind)+"/"+name, func(b *testing.B) {
		n, before := 0, cpuTime(b)
		b.ReportAllocs()
		for b.Loop() {
			do(n)
			n++
		}
		b.ReportMetric(float64(cpuTime(b)-before)/float64(n*load.SpansPerTrace), "cpu-ns/span")
	})
}

// received is a span with its surroundings.
type received struct {
	resource ptrace.ResourceSpans
	scope    ptrace.ScopeSpans
	span     ptrace.Span
}

// tracesOf is 256 traces of a kind, each in the order of arrival.
func tracesOf(b *testing.B, kind load.Kind) [][]received {
	b.Helper()
	set, err := load.New(kind, time.Now())
	require.NoError(b, err)
	var list [][]received
	for n := range 16 {
		req := ptraceotlp.NewExportRequest()
		require.NoError(b, req.UnmarshalProto(set.Append(nil, n)))
		at := map[trajectory.TraceID]int{}
		for _, rs := range req.Traces().ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					id := trajectory.TraceID(span.TraceID())
					i, known := at[id]
					if !known {
						i = len(list)
						at[id], list = i, append(list, nil)
					}
					list[i] = append(list[i], received{rs, ss, span})
				}
			}
		}
	}
	return list
}

// content is the JSON in the attributes of a trace.
func content(trace []received) [][]byte {
	var list [][]byte
	for _, r := range trace {
		for _, v := range r.span.Attributes().All() {
			if s := v.Str(); s != "" && (s[0] == '{' || s[0] == '[') {
				list = append(list, unsafe.Slice(unsafe.StringData(s), len(s))) // read only
			}
		}
	}
	return list
}

// shared is what the decoders of an assembler share.
var shared genai.Shared

func decode(trace []received) []*trajectory.Span {
	dec := genai.NewDecoder(genai.Options{Shared: &shared})
	spans := make([]*trajectory.Span, len(trace))
	for i, r := range trace {
		spans[i] = dec.Decode(r.resource.Resource(), r.scope.Scope(), r.span)
		spans[i].Seq = uint64(i)
	}
	return spans
}
