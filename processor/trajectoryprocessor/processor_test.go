package trajectoryprocessor

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

func TestATrajectoryLeavesAsOneSpan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := loadConfig(t, "")
		cfg.Rewards.File, cfg.Writer, cfg.TaskKey = "testdata/rewards.yaml", "here", []string{"app.task"}
		p := start(t, cfg, nopSettings(), nil)
		defer p.stop(t)
		root := agent(1, 1, 0)
		root.attrs["app.task"] = "parcels"
		require.NoError(t, p.ConsumeTraces(t.Context(), request(chat(1, 2, 1), tool(1, 3, 1))))
		require.NoError(t, p.ConsumeTraces(t.Context(), request(root)))
		assert.Empty(t, p.sink.AllTraces())
		time.Sleep(cfg.RootGrace + time.Second)
		synctest.Wait()

		require.Len(t, p.sink.AllTraces(), 1)
		td := p.sink.AllTraces()[0]
		require.Equal(t, 1, td.SpanCount())
		rs := td.ResourceSpans().At(0)
		assert.Equal(t, map[string]any{"service.name": "shop"}, rs.Resource().Attributes().AsRaw())
		assert.Equal(t, trajectory.ScopeName, rs.ScopeSpans().At(0).Scope().Name())
		span := rs.ScopeSpans().At(0).Spans().At(0)
		assert.Equal(t, "trajectory assistant", span.Name())
		assert.Equal(t, pcommon.TraceID{1}, span.TraceID())
		assert.False(t, span.SpanID().IsEmpty())
		tr := trajectories(t, p.sink.AllTraces())[0]
		at := span.Attributes().AsRaw()
		delete(at, trajectory.AttrTrajectory)
		assert.Equal(t, map[string]any{
			"tracegrad.trajectory.id": trajectory.IDOf(pcommon.TraceID{1}.String()), "tracegrad.trajectory.revision": tr.Revision,
			"tracegrad.task.key": "parcels", "tracegrad.close_reason": "complete", "tracegrad.status": "ok", "tracegrad.trainable": true,
			"tracegrad.model_calls": int64(1), "tracegrad.tool_calls": int64(1), "tracegrad.span_count": int64(3),
			"gen_ai.agent.name": "assistant", "gen_ai.conversation.id": "c1", "user.id": "u1",
			"tracegrad.reward.answered": 1.0, "tracegrad.reward.tool_error": 0.0,
		}, at)
		assert.Equal(t, "here", tr.Writer)
		assert.Equal(t, "In Oslo.", tr.Output)
		assert.Len(t, tr.Steps, 2)
		require.Len(t, tr.Rewards, 3)
		assert.True(t, tr.Rewards[2].Provisional, "a rule that waits for feedback does not keep the trajectory from training")
		assert.Nil(t, tr.Rewards[2].Value)
	})
}

func TestRevisionsAreDifferentSpans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, defaults(), nopSettings(), nil)
		defer p.stop(t)
		for i := range byte(3) {
			require.NoError(t, p.ConsumeTraces(t.Context(), request(chat(1, 2+i, 1), agent(1, 1, 0))))
			time.Sleep(10 * time.Second)
			synctest.Wait()
		}
		list := trajectories(t, p.sink.AllTraces())
		require.Len(t, list, 3)
		ids := map[pcommon.SpanID]bool{}
		for s := range allSpans(p.sink.AllTraces()) {
			ids[s.SpanID()] = true
		}
		assert.Len(t, ids, 3)
		for i, tr := range list {
			assert.Equal(t, list[0].ID, tr.ID)
			assert.Equal(t, i+1, tr.ModelCalls, "every revision is the whole trajectory")
			assert.Equal(t, list[0].FirstSeenAt, tr.FirstSeenAt)
		}
	})
}

func TestOrdinaryRequestsPassUntouched(t *testing.T) {
	p := start(t, defaults(), nopSettings(), nil)
	defer p.stop(t)
	td := request(ordinary(1, 1, 0), ordinary(1, 2, 1), testSpan{service: "web"})
	td.MarkReadOnly()
	require.NoError(t, p.ConsumeTraces(t.Context(), td))
	require.Len(t, p.sink.AllTraces(), 1)
	same := td == p.sink.AllTraces()[0]
	assert.True(t, same, "the very same request")
}

func TestMixedRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, defaults(), nopSettings(), nil)
		defer p.stop(t)
		// The root went by before anything said that this is an agent.
		require.NoError(t, p.ConsumeTraces(t.Context(), request(ordinary(1, 1, 0))))
		td := request(ordinary(2, 1, 0), chat(1, 3, 2), ordinary(1, 4, 3), ordinary(2, 2, 1), ordinary(3, 1, 0))
		td.MarkReadOnly()
		require.NoError(t, p.ConsumeTraces(t.Context(), td))
		// Now the trace is known: ordinary spans of it are its structure.
		require.NoError(t, p.ConsumeTraces(t.Context(), request(ordinary(1, 2, 1))))
		time.Sleep(10 * time.Second)
		synctest.Wait()

		list := p.sink.AllTraces()
		require.Len(t, list, 3)
		rest := list[1]
		require.Equal(t, 3, rest.SpanCount())
		require.Equal(t, 1, rest.ResourceSpans().Len(), "resources without spans are left out")
		assert.Equal(t, "resource-schema", rest.ResourceSpans().At(0).SchemaUrl())
		assert.Equal(t, "scope-schema", rest.ResourceSpans().At(0).ScopeSpans().At(0).SchemaUrl())
		for s := range allSpans(list[1:2]) {
			assert.NotEqual(t, pcommon.TraceID{1}, s.TraceID())
		}
		tr := trajectories(t, list)
		require.Len(t, tr, 1)
		assert.Equal(t, 4, tr[0].SpanCount)
		assert.Equal(t, trajectory.CloseComplete, tr[0].CloseReason, "the root was remembered")
	})
}

// TestSpansWithoutIDs: an agent's span without ids is dropped and counted; one
// that is nobody's passes.
func TestSpansWithoutIDs(t *testing.T) {
	tt := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tt.Shutdown(context.Background())) }()
	p := start(t, defaults(), settings(tt), nil)
	require.NoError(t, p.ConsumeTraces(t.Context(), request(chat(0, 1, 0), ordinary(0, 0, 0), chat(1, 0, 0))))
	require.Len(t, p.sink.AllTraces(), 1)
	require.Equal(t, 1, p.sink.AllTraces()[0].SpanCount())
	for s := range allSpans(p.sink.AllTraces()) {
		assert.False(t, genai.Marked(pcommon.NewInstrumentationScope(), s))
	}
	require.NoError(t, p.ConsumeTraces(t.Context(), request(chat(0, 1, 0))))
	require.NoError(t, p.ConsumeTraces(t.Context(), request(agent(1, 1, 0), chat(1, 0, 1))))
	assert.Len(t, p.sink.AllTraces(), 1)
	assert.Equal(t, map[string]int64{"": 4}, counts(t, tt, "spans_invalid"))
	p.stop(t)
	list := trajectories(t, p.sink.AllTraces())
	require.Len(t, list, 1)
	assert.Equal(t, 1, list[0].SpanCount)
}

// TestStragglersOfARunThatIsGone: after a restart, say, spans come whose root
// was never seen. Nothing says that it is elsewhere: what is left is no run.
func TestStragglersOfARunThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, defaults(), nopSettings(), nil)
		defer p.stop(t)
		remote := request(chat(3, 2, 1))
		for s := range allSpans([]ptrace.Traces{remote}) {
			s.SetFlags(remoteParent)
		}
		require.NoError(t, p.ConsumeTraces(t.Context(), request(chat(1, 2, 1))))
		require.NoError(t, p.ConsumeTraces(t.Context(), request(agent(2, 2, 1), chat(2, 3, 2), tool(2, 4, 1))))
		require.NoError(t, p.ConsumeTraces(t.Context(), remote))
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		list := trajectories(t, p.sink.AllTraces())
		require.Len(t, list, 3)
		for _, tr := range list {
			assert.Equal(t, trajectory.CloseIdle, tr.CloseReason)
			if tr.TraceIDs[0] == (pcommon.TraceID{3}).String() {
				assert.True(t, tr.Trainable, "called from another process: the call is the root")
				continue
			}
			assert.False(t, tr.Trainable)
			assert.Contains(t, tr.Reasons, trajectory.ReasonOrphans)
		}
	})
}

func TestFinishedTrajectoriesPassASecondProcessor(t *testing.T) {
	second := start(t, defaults(), nopSettings(), nil)
	first := start(t, defaults(), nopSettings(), second)
	require.NoError(t, first.ConsumeTraces(t.Context(), request(agent(1, 1, 0), chat(1, 2, 1))))
	first.stop(t)
	assert.Len(t, trajectories(t, second.sink.AllTraces()), 1)
	second.stop(t)
	assert.Len(t, trajectories(t, second.sink.AllTraces()), 1)
}

func TestShutdownHandsOutWhatIsOpen(t *testing.T) {
	for name, begin := range map[string]bool{"started": true, "never started": false} {
		t.Run(name, func(t *testing.T) {
			sink := &consumertest.TracesSink{}
			p, err := NewFactory().CreateTraces(t.Context(), nopSettings(), defaults(), sink)
			require.NoError(t, err)
			if begin {
				require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
			}
			for i := range byte(100) {
				require.NoError(t, p.ConsumeTraces(t.Context(), request(chat(1+i, 2, 1))))
			}
			require.NoError(t, p.Shutdown(t.Context()))
			require.NoError(t, p.Shutdown(t.Context()))
			list := trajectories(t, sink.AllTraces())
			require.Len(t, list, 100)
			assert.Equal(t, trajectory.CloseShutdown, list[0].CloseReason)
			assert.Contains(t, list[0].Reasons, trajectory.ReasonClosedEarly)
			require.ErrorIs(t, p.ConsumeTraces(t.Context(), request(chat(1, 2, 1))), errStopped)
			require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()), "a stopped processor stays stopped")
		})
	}
}

func TestASenderIsAskedToRetryWhenMemoryIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tt := componenttest.NewTelemetry()
		defer func() { require.NoError(t, tt.Shutdown(context.Background())) }()
		cfg := defaults()
		cfg.MaxMemoryMiB, cfg.MaxTrajectoryMiB = 1, 1
		p := start(t, cfg, settings(tt), nil)
		defer p.stop(t)
		big := func(trace byte, kib int) ptrace.Traces {
			s := chat(trace, 2, 1)
			s.attrs["gen_ai.input.messages"] = `[{"role":"user","parts":[{"type":"text","content":"` + strings.Repeat("x", kib<<10) + `"}]}]`
			return request(s, ordinary(9, trace, 0))
		}
		require.NoError(t, p.ConsumeTraces(t.Context(), big(1, 200)))
		passed := len(p.sink.AllTraces())
		var last error
		n := byte(2)
		for ; last == nil && n < 50; n++ {
			last = p.ConsumeTraces(t.Context(), big(n, 200))
		}
		require.Error(t, last)
		require.False(t, consumererror.IsPermanent(last))
		assert.Len(t, p.sink.AllTraces(), passed+int(n)-3, "nothing of a refused request goes on")
		assert.Equal(t, map[string]int64{"full": 1}, counts(t, tt, "spans_refused"))

		var many []testSpan
		for i := range byte(4) {
			s := chat(100+i, 2, 1)
			s.attrs["gen_ai.input.messages"] = `[{"role":"user","parts":[{"type":"text","content":"` + strings.Repeat("y", 300<<10) + `"}]}]`
			many = append(many, s)
		}
		time.Sleep(cfg.Idle + 2*time.Second)
		synctest.Wait()
		last = p.ConsumeTraces(t.Context(), request(many...))
		require.Error(t, last)
		require.True(t, consumererror.IsPermanent(last), "it can never fit")

		time.Sleep(cfg.Idle + 2*time.Second)
		synctest.Wait()
		require.NoError(t, p.ConsumeTraces(t.Context(), big(n, 200)), "closed trajectories make room")
	})
}

// TestARefusedRequestIsNoCheaperTheNextTime: what a decoder remembers of it was
// not taken.
func TestARefusedRequestIsNoCheaperTheNextTime(t *testing.T) {
	for _, parent := range []byte{0, 1} {
		cfg := defaults()
		cfg.MaxMemoryMiB, cfg.MaxTrajectoryMiB = 1, 1
		p := start(t, cfg, nopSettings(), nil)
		big := func(trace byte) ptrace.Traces {
			s := chat(trace, 2, parent)
			s.attrs["gen_ai.input.messages"] = `[{"role":"user","parts":[{"type":"text","content":"` + strings.Repeat(string('a'+rune(trace)), 400<<10) + `"}]}]`
			return request(s)
		}
		require.NoError(t, p.ConsumeTraces(t.Context(), big(1)))
		require.NoError(t, p.ConsumeTraces(t.Context(), big(2)))
		for range 3 {
			require.Error(t, p.ConsumeTraces(t.Context(), big(3)))
		}
		p.stop(t)
	}
}

func TestAMissingRewardKeepsATrajectoryFromTraining(t *testing.T) {
	cfg := defaults()
	cfg.Rewards.File = "testdata/mask.yaml"
	p := start(t, cfg, nopSettings(), nil)
	require.NoError(t, p.ConsumeTraces(t.Context(), request(agent(1, 1, 0), chat(1, 2, 1))))
	p.stop(t)
	list := trajectories(t, p.sink.AllTraces())
	require.Len(t, list, 1)
	assert.False(t, list[0].Trainable)
	assert.Contains(t, list[0].Reasons, trajectory.ReasonRewardMissing)
}

func TestManySenders(t *testing.T) {
	cfg := defaults()
	cfg.RootGrace, cfg.Idle = 20*time.Millisecond, 50*time.Millisecond
	p := start(t, cfg, nopSettings(), nil)
	var wg sync.WaitGroup
	for g := range byte(8) {
		wg.Go(func() {
			for i := range byte(25) {
				id := 1 + g*25 + i
				assert.NoError(t, p.ConsumeTraces(t.Context(), request(chat(id, 2, 1), ordinary(255, id, 0))))
				assert.NoError(t, p.ConsumeTraces(t.Context(), request(agent(id, 1, 0))))
			}
		})
	}
	wg.Wait()
	p.stop(t)
	newest := map[string]int{}
	for _, tr := range trajectories(t, p.sink.AllTraces()) {
		newest[tr.ID] = max(newest[tr.ID], tr.SpanCount)
	}
	assert.Len(t, newest, 200)
	for _, n := range newest {
		assert.Equal(t, 2, n)
	}
}
