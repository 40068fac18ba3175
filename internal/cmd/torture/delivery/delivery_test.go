package delivery

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/tracegrad/tracegrad/internal/cmd/bench/load"
	"github.com/tracegrad/tracegrad/internal/cmd/torture/ledger"
)

func runs(t *testing.T, n int) (list []ptrace.Traces) {
	t.Helper()
	set, err := load.New(load.Mix, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	require.NoError(t, err)
	for i := range n {
		req := ptraceotlp.NewExportRequest()
		require.NoError(t, req.UnmarshalProto(set.Append(nil, i)))
		list = append(list, req.Traces())
	}
	return list
}

// Every span is delivered, some twice, runs in parts and to one Collector each;
// the spans that a delivery names are the ones in its bytes.
func TestPlanDeliversEverySpan(t *testing.T) {
	shape := Shape{Over: 2 * time.Second, Parts: 4, Spread: time.Second, Late: 3 * time.Second, Collectors: 2}
	plan, err := Plan(rand.New(rand.NewPCG(1, 2)), runs(t, 12), shape)
	require.NoError(t, err)
	type key struct{ trace, span string }
	times, collectors, parts, sent := map[key]int{}, map[string]int{}, map[string]int{}, 0
	for i, d := range plan {
		require.True(t, i == 0 || plan[i-1].At <= d.At, "by time")
		req := ptraceotlp.NewExportRequest()
		require.NoError(t, req.UnmarshalProto(d.Body))
		inBody := map[key]int{}
		for _, p := range byTrace(req.Traces()) {
			for _, s := range p {
				inBody[key{s.span.TraceID().String(), s.span.SpanID().String()}]++
				sent++
				assert.NotEmpty(t, s.rs.Resource().Attributes().AsRaw()["service.name"])
			}
		}
		assert.Len(t, inBody, len(d.Spans))
		seen := map[string]bool{}
		for _, s := range d.Spans {
			assert.Positive(t, inBody[key{s.Trace, s.ID}])
			times[key{s.Trace, s.ID}]++
			if at, ok := collectors[s.Trace]; ok {
				assert.Equal(t, at, d.Collector, "a trace goes to one collector")
			}
			collectors[s.Trace] = d.Collector
			if !seen[s.Trace] {
				parts[s.Trace]++
				seen[s.Trace] = true
			}
		}
	}
	const traces = 12 * load.TracesPerRequest
	assert.Len(t, collectors, traces)
	assert.Len(t, times, traces*load.SpansPerTrace, "every span, by its own id")
	assert.Greater(t, sent, len(times)*105/100, "duplicates")
	assert.Greater(t, plan[len(plan)-1].At, shape.Late, "late parts")
	inParts, byCollector := 0, map[int]int{}
	for trace, n := range parts {
		byCollector[collectors[trace]]++
		if n > 1 {
			inParts++
		}
	}
	assert.Greater(t, inParts, traces/2)
	assert.Greater(t, byCollector[0], traces/4)
	assert.Greater(t, byCollector[1], traces/4)
}

func TestPlanIsOfItsSeed(t *testing.T) {
	shape := Shape{Over: time.Second, Parts: 3, Spread: time.Second, Late: time.Second, Collectors: 1}
	some := runs(t, 2)
	plan := func(seed uint64) (spans [][]ledger.Span) {
		p, err := Plan(rand.New(rand.NewPCG(seed, 0)), some, shape)
		require.NoError(t, err)
		for _, d := range p {
			spans = append(spans, d.Spans)
		}
		return spans
	}
	once := plan(1)
	assert.Equal(t, once, plan(1))
	assert.NotEqual(t, plan(1), plan(2))
}
