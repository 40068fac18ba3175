package trajectoryprocessor

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
)

// template is a request with n traces of one agent run: a root, four calls with
// a growing history, four tool runs.
func template(traces int, genai bool) ptrace.Traces {
	var spans []testSpan
	for range traces {
		spans = append(spans, agent(0, 1, 0))
		history := `[{"role":"user","parts":[{"type":"text","content":"` + strings.Repeat("Where is my parcel? ", 50) + `"}]}`
		for i := range byte(4) {
			c := chat(0, 2+2*i, 1)
			c.attrs["gen_ai.input.messages"] = history + "]"
			history += fmt.Sprintf(`,{"role":"assistant","parts":[{"type":"tool_call","id":"c%d","name":"track","arguments":{"id":%d}}]}`, i, i) +
				fmt.Sprintf(`,{"role":"tool","parts":[{"type":"tool_call_response","id":"c%d","response":%q}]}`, i, strings.Repeat("In Oslo. ", 100))
			spans = append(spans, c, tool(0, 3+2*i, 1))
		}
	}
	td := request(spans...)
	for s := range allSpans([]ptrace.Traces{td}) {
		if !genai {
			rename := map[string]any{}
			for k, v := range s.Attributes().All() {
				rename["app."+k] = v.AsRaw()
			}
			if err := s.Attributes().FromRaw(rename); err != nil {
				panic(err)
			}
		}
	}
	return td
}

// renumber gives the traces of a template new ids.
func renumber(td ptrace.Traces, next *uint64) {
	var id pcommon.TraceID
	for s := range allSpans([]ptrace.Traces{td}) {
		if s.ParentSpanID().IsEmpty() {
			*next++
			binary.BigEndian.PutUint64(id[8:], *next*0x9E3779B97F4A7C15)
		}
		s.SetTraceID(id)
	}
}

func newBenchmark(b *testing.B, cfg *Config) processor.Traces {
	b.Helper()
	p, err := NewFactory().CreateTraces(b.Context(), nopSettings(), cfg, consumertest.NewNop())
	require.NoError(b, err)
	require.NoError(b, p.Start(b.Context(), componenttest.NewNopHost()))
	b.Cleanup(func() { require.NoError(b, p.Shutdown(b.Context())) })
	return p
}

// BenchmarkConsume is the cost per span: taken in, assembled and handed on for
// agents' spans, looked at for ordinary ones.
func BenchmarkConsume(b *testing.B) {
	for name, genai := range map[string]bool{"agents": true, "ordinary": false} {
		b.Run(name, func(b *testing.B) {
			cfg := defaults()
			cfg.RootGrace, cfg.LateWindow, cfg.MaxMemoryMiB = 10*time.Millisecond, time.Second, 4096
			p := newBenchmark(b, cfg)
			td, next := template(10, genai), uint64(0)
			spans := td.SpanCount()
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				renumber(td, &next)
				require.NoError(b, p.ConsumeTraces(b.Context(), td))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*spans), "ns/span")
		})
	}
}

// BenchmarkOpen is the cost per span while many trajectories are open: it must
// not depend on how many.
func BenchmarkOpen(b *testing.B) {
	for _, open := range []int{1_000, 100_000} {
		b.Run(fmt.Sprint(open), func(b *testing.B) {
			cfg := defaults()
			cfg.MaxMemoryMiB, cfg.MaxOpen, cfg.Idle, cfg.MaxAge = 1<<14, open, time.Hour, time.Hour
			p := newBenchmark(b, cfg)
			td, next := request(chat(0, 2, 1)), uint64(0)
			span := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
			add := func() {
				next++
				var id pcommon.TraceID
				binary.BigEndian.PutUint64(id[8:], (next%uint64(open)+1)*0x9E3779B97F4A7C15)
				span.SetTraceID(id)
				var s pcommon.SpanID
				binary.BigEndian.PutUint64(s[:], next)
				span.SetSpanID(s)
				require.NoError(b, p.ConsumeTraces(b.Context(), td))
			}
			for range open {
				add()
			}
			b.ReportAllocs()
			for b.Loop() {
				add()
			}
		})
	}
}

// BenchmarkResume is what a start takes per span of the store: of trajectories
// that were handed on and are in their late window, and of open ones.
func BenchmarkResume(b *testing.B) {
	const requests, traces = 500, 4
	for _, handed := range []bool{true, false} {
		b.Run(fmt.Sprintf("handed=%v", handed), func(b *testing.B) {
			cfg := defaults()
			cfg.Storage, cfg.FlushInterval = &diskID, time.Millisecond
			if handed {
				cfg.RootGrace = 50 * time.Millisecond
			}
			d := &disk{data: map[string][]byte{}, lives: -1}
			first := func(d *disk) processor.Traces {
				p, err := NewFactory().CreateTraces(b.Context(), nopSettings(), cfg, consumertest.NewNop())
				require.NoError(b, err)
				require.NoError(b, p.Start(b.Context(), diskHost{componenttest.NewNopHost(), d}))
				return p
			}
			p, next := first(d), uint64(0)
			for range requests {
				td := template(traces, true)
				renumber(td, &next)
				require.NoError(b, p.ConsumeTraces(b.Context(), td))
			}
			time.Sleep(500 * time.Millisecond)
			require.NoError(b, p.Shutdown(b.Context()))
			for b.Loop() {
				p := first(d.after(-1, true))
				b.StopTimer()
				require.NoError(b, p.Shutdown(b.Context()))
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(requests*traces*9), "ns/span")
		})
	}
}
