package trajectoryprocessor

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// fickle refuses while err is set.
type fickle struct {
	consumertest.TracesSink
	mu      sync.Mutex
	err     error
	mutates bool
}

func (f *fickle) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *fickle) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: f.mutates}
}

func (f *fickle) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		if f.mutates { // a consumer that takes the request apart before it fails
			td.ResourceSpans().RemoveIf(func(ptrace.ResourceSpans) bool { return true })
		}
		return f.err
	}
	return f.TracesSink.ConsumeTraces(ctx, td)
}

// statusHost remembers reported statuses.
type statusHost struct {
	component.Host
	mu     sync.Mutex
	events []componentstatus.Status
}

func (h *statusHost) Report(e *componentstatus.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e.Status())
}

func TestWhatTheNextComponentRefusesForNowIsKept(t *testing.T) {
	for _, mutates := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			tt := componenttest.NewTelemetry()
			defer func() { require.NoError(t, tt.Shutdown(context.Background())) }()
			next := &fickle{err: errors.New("queue is full"), mutates: mutates}
			host := &statusHost{Host: componenttest.NewNopHost()}
			p, err := NewFactory().CreateTraces(t.Context(), settings(tt), defaults(), next)
			require.NoError(t, err)
			require.NoError(t, p.Start(t.Context(), host))
			for i := range byte(5) {
				require.NoError(t, p.ConsumeTraces(t.Context(), request(agent(1+i, 1, 0))))
				time.Sleep(6 * time.Second)
			}
			synctest.Wait()
			assert.Positive(t, counts(t, tt, "pending")[""])
			assert.Positive(t, counts(t, tt, "downstream_failures")["retryable"])
			next.set(nil)
			time.Sleep(6 * time.Second)
			synctest.Wait()
			list := trajectories(t, next.AllTraces())
			require.Len(t, list, 5)
			for i, tr := range list {
				assert.Equal(t, pcommon.TraceID{byte(1 + i)}.String(), tr.TraceIDs[0], "in order")
			}
			assert.Zero(t, counts(t, tt, "pending")[""])
			assert.Equal(t, []componentstatus.Status{componentstatus.StatusRecoverableError, componentstatus.StatusOK}, host.events)
			require.NoError(t, p.Shutdown(t.Context()))
			assert.Empty(t, counts(t, tt, "lost"))
		})
	}
}

func TestOnlyTheFailedPartIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := &fickle{}
		p := start(t, defaults(), nopSettings(), next)
		defer p.stop(t)
		require.NoError(t, p.ConsumeTraces(t.Context(), request(agent(1, 1, 0), agent(2, 1, 0))))
		failed := ptrace.NewTraces()
		failed.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName("the rest")
		next.set(consumererror.NewTraces(errors.New("half of it"), failed))
		time.Sleep(10 * time.Second)
		next.set(nil)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Equal(t, 1, next.SpanCount())
		for s := range allSpans(next.AllTraces()) {
			assert.Equal(t, "the rest", s.Name())
		}
	})
}

func TestWhatTheNextComponentRefusesForGoodIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tt := componenttest.NewTelemetry()
		defer func() { require.NoError(t, tt.Shutdown(context.Background())) }()
		next := &fickle{err: consumererror.NewPermanent(errors.New("never"))}
		p := start(t, defaults(), settings(tt), next)
		defer p.stop(t)
		require.NoError(t, p.ConsumeTraces(t.Context(), request(agent(1, 1, 0), agent(2, 1, 0))))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		assert.Equal(t, map[string]int64{"permanent": 2}, counts(t, tt, "lost"))
		assert.Equal(t, map[string]int64{"permanent": 1}, counts(t, tt, "downstream_failures"))
		assert.Zero(t, counts(t, tt, "pending")[""])
	})
}

func TestShutdownHasAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tt := componenttest.NewTelemetry()
		defer func() { require.NoError(t, tt.Shutdown(context.Background())) }()
		p := start(t, defaults(), settings(tt), &fickle{err: errors.New("still starting")})
		require.NoError(t, p.ConsumeTraces(t.Context(), request(agent(1, 1, 0), agent(2, 1, 0))))
		before := time.Now()
		p.stop(t)
		assert.LessOrEqual(t, time.Since(before), flushPatience+time.Second)
	})
}
