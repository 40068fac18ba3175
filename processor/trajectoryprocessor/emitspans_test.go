package trajectoryprocessor

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

func TestEmitSpans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := defaults()
		cfg.Emit, cfg.Rewards.File = emitSpans, "testdata/rewards.yaml"
		p := start(t, cfg, nopSettings(), nil)
		defer p.stop(t)
		in := request(agent(1, 1, 0), chat(1, 2, 1), tool(1, 3, 1), ordinary(1, 4, 1))
		in.MarkReadOnly()
		require.NoError(t, p.ConsumeTraces(t.Context(), in))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.NoError(t, p.ConsumeTraces(t.Context(), request(chat(1, 5, 1))))
		time.Sleep(10 * time.Second)
		synctest.Wait()

		list := p.sink.AllTraces()
		require.Len(t, list, 2)
		require.Equal(t, 4, list[0].SpanCount())
		require.Equal(t, 1, list[1].SpanCount(), "spans leave once")
		id := trajectory.IDOf(pcommon.TraceID{1}.String())
		added := map[byte]map[string]any{}
		for s := range allSpans(list) {
			at := s.Attributes().AsRaw()
			assert.Equal(t, id, at[trajectory.AttrID])
			assert.NotContains(t, at, trajectory.AttrTrajectory)
			only := map[string]any{}
			for k, v := range at {
				if k != trajectory.AttrID && len(k) > 10 && k[:10] == "tracegrad." {
					only[k] = v
				}
			}
			added[s.SpanID()[0]] = only
		}
		assert.Equal(t, "complete", added[1][trajectory.AttrCloseReason])
		assert.InDelta(t, 1.0, added[1]["tracegrad.reward.answered"], 0)
		assert.Equal(t, map[string]any{"tracegrad.step.index": int64(0)}, added[2])
		assert.Equal(t, map[string]any{"tracegrad.step.index": int64(1), "tracegrad.reward.tool_error": 0.0}, added[3])
		assert.Empty(t, added[4])

		// But for what was added the spans are the originals.
		got := ptrace.NewTraces()
		list[0].CopyTo(got)
		for s := range allSpans([]ptrace.Traces{got}) {
			s.Attributes().RemoveIf(func(k string, _ pcommon.Value) bool { return len(k) > 10 && k[:10] == "tracegrad." })
		}
		assert.Equal(t, texts(t, in), texts(t, got))
	})
}

// texts writes a request out, resource by resource.
func texts(t *testing.T, td ptrace.Traces) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, rs := range td.ResourceSpans().All() {
		one := ptrace.NewTraces()
		rs.CopyTo(one.ResourceSpans().AppendEmpty())
		raw, err := (&ptrace.JSONMarshaler{}).MarshalTraces(one)
		require.NoError(t, err)
		name, _ := rs.Resource().Attributes().Get("service.name")
		out[name.Str()] = string(raw)
	}
	return out
}

func TestKeyAttributes(t *testing.T) {
	cfg := defaults()
	cfg.Key, cfg.KeyAttributes = keyAttributes, []string{"app.run", "service.name"}
	p := start(t, cfg, nopSettings(), nil)
	with := func(s testSpan, run string) testSpan {
		s.attrs["app.run"] = run
		return s
	}
	require.NoError(t, p.ConsumeTraces(t.Context(), request(
		with(agent(1, 1, 0), "a"), with(agent(2, 1, 0), "a"), with(agent(3, 1, 0), "b"), agent(4, 1, 0), agent(5, 1, 0))))
	p.stop(t)
	var got [][]string
	for _, tr := range trajectories(t, p.sink.AllTraces()) {
		got = append(got, tr.TraceIDs)
	}
	id := func(b byte) string { return pcommon.TraceID{b}.String() }
	assert.ElementsMatch(t, [][]string{{id(1), id(2)}, {id(3)}, {id(4)}, {id(5)}}, got)
}

// TestEmitSpansFinalForm: of a span that was sent before it ended, the final
// form leaves.
func TestEmitSpansFinalForm(t *testing.T) {
	p := start(t, func() *Config { c := defaults(); c.Emit = emitSpans; return c }(), nopSettings(), nil)
	early := request(agent(1, 1, 0), chat(1, 2, 1))
	for s := range allSpans([]ptrace.Traces{early}) {
		if s.SpanID()[0] == 2 {
			s.SetEndTimestamp(0)
			s.SetName("unended")
		}
	}
	require.NoError(t, p.ConsumeTraces(t.Context(), early))
	require.NoError(t, p.ConsumeTraces(t.Context(), request(chat(1, 2, 1))))
	p.stop(t)
	list := p.sink.AllTraces()
	require.Len(t, list, 1)
	require.Equal(t, 2, list[0].SpanCount())
	for s := range allSpans(list) {
		assert.NotEqual(t, "unended", s.Name())
		assert.NotZero(t, s.EndTimestamp())
	}
}
