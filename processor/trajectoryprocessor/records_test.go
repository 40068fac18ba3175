package trajectoryprocessor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// written is a log record of a message, under the n-th span of a trace.
func written(span ptrace.Span, event, role, text string) plog.Logs {
	ld := plog.NewLogs()
	r := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	r.SetEventName(event)
	r.SetTraceID(span.TraceID())
	r.SetSpanID(span.SpanID())
	r.SetTimestamp(span.StartTimestamp() + 1)
	m := r.Body().SetEmptyMap()
	if event == "gen_ai.choice" {
		m = m.PutEmptyMap("message")
	}
	m.PutStr("role", role)
	m.PutStr("content", text)
	ld.MarkReadOnly()
	return ld
}

// TestRecordsReachTheirSpans: log records say what the spans of every traces
// pipeline do not, before or after these, once or twice.
func TestRecordsReachTheirSpans(t *testing.T) {
	f := NewFactory()
	cfg := defaults()
	sinks := [2]*consumertest.TracesSink{{}, {}}
	logs := &consumertest.LogsSink{}
	lp, err := f.CreateLogs(t.Context(), nopSettings(), cfg, logs)
	require.NoError(t, err)
	call := ptrace.NewSpan()
	call.SetTraceID([16]byte{1})
	call.SetSpanID([8]byte{2})
	call.SetStartTimestamp(1_000_000_000)
	call.SetEndTimestamp(2_000_000_000)
	call.Attributes().PutStr("gen_ai.operation.name", "chat")
	td := ptrace.NewTraces()
	call.CopyTo(td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty())
	question, answer := written(call, "gen_ai.user.message", "user", "Why?"), written(call, "gen_ai.choice", "assistant", "Because.")
	for i, sink := range sinks {
		tp, err := f.CreateTraces(t.Context(), nopSettings(), cfg, sink)
		require.NoError(t, err)
		defer func() {
			require.NoError(t, tp.Shutdown(t.Context()))
			all := trajectories(t, sink.AllTraces())
			require.Len(t, all, 1, "pipeline %d", i)
			assert.Equal(t, "Why?", all[0].Input)
			assert.Equal(t, "Because.", all[0].Output)
			assert.Len(t, all[0].Steps, 1)
		}()
		defer func() { require.NoError(t, tp.ConsumeTraces(t.Context(), td)) }()
	}
	require.NoError(t, lp.ConsumeLogs(t.Context(), question))
	require.NoError(t, lp.ConsumeLogs(t.Context(), answer))
	require.NoError(t, lp.ConsumeLogs(t.Context(), answer))
	assert.Len(t, logs.AllLogs(), 3, "they pass on")
	require.NoError(t, lp.Shutdown(t.Context()))
}

// TestRecordsAreRefusedWhenFull: the sender is told to come back; nothing of
// the request is passed on before.
func TestRecordsAreRefusedWhenFull(t *testing.T) {
	f := NewFactory()
	cfg := defaults()
	logs := &consumertest.LogsSink{}
	tp, err := f.CreateTraces(t.Context(), nopSettings(), cfg, consumertest.NewNop())
	require.NoError(t, err)
	lp, err := f.CreateLogs(t.Context(), nopSettings(), cfg, logs)
	require.NoError(t, err)
	tp.(*tracesProcessor).assembler.buf.Hold(1 << 40)
	call := ptrace.NewSpan()
	call.SetTraceID([16]byte{1})
	call.SetSpanID([8]byte{2})
	require.Error(t, lp.ConsumeLogs(t.Context(), written(call, "gen_ai.user.message", "user", "Why?")))
	assert.Empty(t, logs.AllLogs())
	require.NoError(t, lp.Shutdown(t.Context()))
	require.NoError(t, tp.Shutdown(t.Context()))
}
