package trajectoryprocessor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
)

func TestInstancesShareOverSignals(t *testing.T) {
	f := NewFactory()
	cfg := defaults()
	sink, logs := &consumertest.TracesSink{}, &consumertest.LogsSink{}
	tp, err := f.CreateTraces(t.Context(), nopSettings(), cfg, sink)
	require.NoError(t, err)
	lp, err := f.CreateLogs(t.Context(), nopSettings(), cfg, logs)
	require.NoError(t, err)
	require.NoError(t, lp.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, tp.Start(t.Context(), componenttest.NewNopHost()))

	ld := plog.NewLogs()
	ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr("x")
	ld.MarkReadOnly()
	require.NoError(t, lp.ConsumeLogs(t.Context(), ld))
	require.Len(t, logs.AllLogs(), 1)
	same := ld == logs.AllLogs()[0]
	assert.True(t, same, "logs pass unchanged")

	require.NoError(t, tp.ConsumeTraces(t.Context(), request(agent(1, 1, 0))))
	require.NoError(t, lp.Shutdown(t.Context()))
	require.NoError(t, lp.Shutdown(t.Context()))
	require.NoError(t, tp.ConsumeTraces(t.Context(), request(chat(1, 2, 1))), "the traces instance goes on")
	require.NoError(t, tp.Shutdown(t.Context()))
	assert.Len(t, trajectories(t, sink.AllTraces()), 1)
}

func TestInstancesAreReleased(t *testing.T) {
	insts := &instances{hubs: map[*Config]*hub{}}
	cfg := defaults()
	a, leaveA, err := insts.join(nopSettings(), cfg)
	require.NoError(t, err)
	b, leaveB, err := insts.join(nopSettings(), cfg)
	require.NoError(t, err)
	assert.Same(t, a, b)
	leaveA()
	leaveA()
	assert.Len(t, insts.hubs, 1)
	leaveB()
	assert.Empty(t, insts.hubs)
	c, leaveC, err := insts.join(nopSettings(), cfg)
	require.NoError(t, err)
	defer leaveC()
	assert.NotSame(t, a, c)
}

func TestEveryTracesPipelineHasItsOwnTrajectories(t *testing.T) {
	f := NewFactory()
	cfg := defaults()
	one, two := &consumertest.TracesSink{}, &consumertest.TracesSink{}
	p1, err := f.CreateTraces(t.Context(), nopSettings(), cfg, one)
	require.NoError(t, err)
	p2, err := f.CreateTraces(t.Context(), nopSettings(), cfg, two)
	require.NoError(t, err)
	require.NoError(t, p1.ConsumeTraces(t.Context(), request(agent(1, 1, 0))))
	require.NoError(t, p2.ConsumeTraces(t.Context(), request(agent(2, 1, 0))))
	require.NoError(t, p1.Shutdown(t.Context()))
	require.NoError(t, p2.Shutdown(t.Context()))
	assert.Len(t, trajectories(t, one.AllTraces()), 1)
	assert.Len(t, trajectories(t, two.AllTraces()), 1)
}
