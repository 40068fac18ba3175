package repotest

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/tracegrad/tracegrad/internal/otlp"
	"github.com/tracegrad/tracegrad/processor/trajectoryprocessor"
)

// What every large value of these tests takes, and how many of them are sent.
const (
	largeBytes  = 64 << 10
	largeValues = 16
)

// holder is a processor that is asked what it says it holds.
type holder struct {
	processor.Traces
	tt   *componenttest.Telemetry
	cfg  *trajectoryprocessor.Config
	heap uint64 // when it was warm
	held int64
	id   uint64
}

func newHolder(t *testing.T, edit func(*trajectoryprocessor.Config)) *holder {
	t.Helper()
	f := trajectoryprocessor.NewFactory()
	h := &holder{tt: componenttest.NewTelemetry(), cfg: f.CreateDefaultConfig().(*trajectoryprocessor.Config)}
	if edit != nil {
		edit(h.cfg)
	}
	set := processortest.NewNopSettings(f.Type())
	set.TelemetrySettings = h.tt.NewTelemetrySettings()
	var err error
	h.Traces, err = f.CreateTraces(t.Context(), set, h.cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, h.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { _ = h.tt.Shutdown(context.Background()) })
	return h
}

// metric is the sum of a metric of the processor, over what it is told apart by.
func (h *holder) metric(name string) (sum int64) {
	m, err := h.tt.GetMetric("otelcol_processor_trajectory_" + name)
	if err != nil {
		return 0
	}
	var points []metricdata.DataPoint[int64]
	switch d := m.Data.(type) {
	case metricdata.Sum[int64]:
		points = d.DataPoints
	case metricdata.Gauge[int64]:
		points = d.DataPoints
	}
	for _, p := range points {
		sum += p.Value
	}
	return sum
}

// warm fills what is held once whatever is sent: tables of fixed size, buffers
// for making trajectories.
func (h *holder) warm(t *testing.T, s sample) {
	t.Helper()
	plain := ptrace.NewTraces()
	plain.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetSpanID(pcommon.SpanID{1})
	for range 2 {
		require.NoError(t, h.send(t, plain))
		s.set(s.td, strings.Repeat("x", largeBytes))
		require.NoError(t, h.send(t, s.td))
	}
	h.heap, h.held = heapInUse(), h.metric("held")
}

// grown is by how much what is held has grown since, as the processor says and
// as the heap shows.
func (h *holder) grown() (held, heap int64) {
	return h.metric("held") - h.held, int64(heapInUse()) - int64(h.heap) //nolint:gosec // a size
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC() // what was in pools is gone after the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// send sends a span as it came over the wire, in a trace of its own.
func (h *holder) send(t *testing.T, td ptrace.Traces) error {
	t.Helper()
	h.id++
	var m ptrace.ProtoMarshaler
	body, err := m.MarshalTraces(td)
	require.NoError(t, err)
	got, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(body)
	require.NoError(t, err)
	for _, rs := range got.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				var id pcommon.TraceID
				binary.BigEndian.PutUint64(id[:], h.id)
				s.SetTraceID(id)
			}
		}
	}
	return h.ConsumeTraces(t.Context(), got)
}

// enlarge makes a text of a value: where it is JSON its longest text grows.
func enlarge(v string, filler string) string {
	var parsed any
	if json.Unmarshal([]byte(v), &parsed) != nil || !strings.ContainsAny(v, "{[") {
		return filler
	}
	longest := ""
	var look func(any)
	look = func(v any) {
		switch v := v.(type) {
		case string:
			if len(v) > len(longest) {
				longest = v
			}
		case []any:
			for _, x := range v {
				look(x)
			}
		case map[string]any:
			for _, x := range v {
				look(x)
			}
		}
	}
	look(parsed)
	quoted, _ := json.Marshal(longest)
	if longest == "" || !strings.Contains(v, string(quoted)) {
		return filler
	}
	return strings.Replace(v, string(quoted), `"`+filler+`"`, 1)
}

// sample is a span of a capture with one of its texts.
type sample struct {
	name string
	td   ptrace.Traces
	set  func(td ptrace.Traces, filler string)
}

func only(td ptrace.Traces) (pcommon.Map, ptrace.Span) {
	rs := td.ResourceSpans().At(0)
	return rs.Resource().Attributes(), rs.ScopeSpans().At(0).Spans().At(0)
}

var digits = regexp.MustCompile(`\d+`)

// shape is an attribute, of whatever element of a list, and what its span does.
func shape(key string, s ptrace.Span) string {
	does := ""
	for _, k := range []string{"gen_ai.operation.name", "openinference.span.kind", "traceloop.span.kind"} {
		if v, ok := s.Attributes().Get(k); ok {
			does = v.Str()
			break
		}
	}
	return digits.ReplaceAllString(key, "N") + " " + does
}

// samples has every text that a span of the captures can carry, once per
// attribute and what the span does.
func samples(t *testing.T) []sample {
	t.Helper()
	var files []string
	for _, pattern := range []string{"testdata/captures/*__*.jsonl", "testdata/dialects/*__*.jsonl.gz"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		files = append(files, found...)
	}
	require.NotEmpty(t, files)
	var list []sample
	seen := map[string]bool{}
	for req, err := range otlp.Files(files...) {
		require.NoError(t, err)
		if req.Signal != otlp.Traces {
			continue
		}
		for _, rs := range req.Traces.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					for k, v := range s.Attributes().All() {
						name := shape(k, s)
						if v.Type() != pcommon.ValueTypeStr || seen[name] {
							continue
						}
						seen[name] = true
						td := ptrace.NewTraces()
						to := td.ResourceSpans().AppendEmpty()
						rs.Resource().CopyTo(to.Resource())
						scope := to.ScopeSpans().AppendEmpty()
						ss.Scope().CopyTo(scope.Scope())
						s.CopyTo(scope.Spans().AppendEmpty())
						was := v.Str()
						list = append(list, sample{name, td, func(td ptrace.Traces, filler string) {
							_, s := only(td)
							s.Attributes().PutStr(k, enlarge(was, filler))
						}})
					}
				}
			}
		}
	}
	return list
}

// pins are attributes of which a name or id is kept that is a part of a longer
// text: the text stays as long, uncounted.
var pins = map[string]bool{
	"gen_ai.conversation.id ": true, "mastra.model_chunk.output model_chunk": true, "mastra.model_generation.output model_generation": true,
	"mastra.model_step.output agent_step": true, "mlflow.spanOutputs ": true, "model ": true, "traceloop.entity.name execute_tool": true,
	"metadata ": true,
}

var elsewhere = []sample{
	{name: "name of the span", set: func(td ptrace.Traces, filler string) { _, s := only(td); s.SetName(filler) }},
	{name: "status message", set: func(td ptrace.Traces, filler string) {
		_, s := only(td)
		s.Status().SetCode(ptrace.StatusCodeError)
		s.Status().SetMessage(filler)
	}},
	{name: "service.name", set: func(td ptrace.Traces, filler string) { r, _ := only(td); r.PutStr("service.name", filler) }},
	{name: "configured attribute", set: func(td ptrace.Traces, filler string) { _, s := only(td); s.Attributes().PutStr("app.version", filler) }},
	{name: "configured tenant", set: func(td ptrace.Traces, filler string) { _, s := only(td); s.Attributes().PutStr("app.tenant", filler) }},
	{name: "configured task", set: func(td ptrace.Traces, filler string) { _, s := only(td); s.Attributes().PutStr("app.task", filler) }},
}

// TestHeldIsWhatTheHeapHolds: max_memory_mib bounds what the processor says it
// holds, so whatever a span may say has to be in it, in whichever attribute.
func TestHeldIsWhatTheHeapHolds(t *testing.T) {
	text := noise(rand.New(rand.NewPCG(1, 2))) //nolint:gosec // reproducible
	list := samples(t)
	for _, s := range slices.Clone(elsewhere) {
		s.td = list[0].td
		list = append(list, s)
	}
	worst := map[string]string{}
	all := os.Getenv("TRACEGRAD_TEST_ALL") != "" // minutes
	for n, s := range list {
		if !all && n%10 != 0 || pins[s.name] {
			continue
		}
		h := newHolder(t, func(c *trajectoryprocessor.Config) {
			c.Attributes, c.TenantKey, c.TaskKey = []string{"app.version"}, []string{"app.tenant"}, []string{"app.task"}
			c.Idle, c.RootGrace, c.MaxAge = time.Hour, time.Hour, time.Hour
		})
		h.warm(t, s)
		for n := range largeValues {
			s.set(s.td, letters(n, text))
			require.NoError(t, h.send(t, s.td))
		}
		s.set(s.td, "small")
		if held, grown := h.grown(); grown > held*5/2+largeBytes*largeValues/2 {
			worst[s.name] = fmt.Sprintf("%d KiB held, %d KiB on the heap", held>>10, grown>>10)
		}
		require.NoError(t, h.Shutdown(t.Context()))
	}
	for _, name := range slices.Sorted(maps.Keys(worst)) {
		t.Errorf("%s: %s", name, worst[name])
	}
	t.Logf("%d texts", len(list))
}

// letters is a text that no other one begins with.
func letters(n int, from string) string { return fmt.Sprintf("%06d ", n) + from[:largeBytes-7] }

func noise(r *rand.Rand) string {
	text := make([]byte, 0, largeBytes+16)
	for len(text) < largeBytes {
		text = fmt.Appendf(text, "%016x ", r.Uint64())
	}
	return string(text)
}
