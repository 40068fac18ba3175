package trajectoryprocessor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

func beginWith(t *testing.T, d *disk, cfg *Config, next consumer.Traces) life {
	t.Helper()
	cfg.Storage = &diskID
	l := life{sink: &until{disk: d}}
	if next == nil {
		next = l.sink
	}
	var err error
	f := NewFactory()
	l.traces, err = f.CreateTraces(t.Context(), nopSettings(), cfg, next)
	require.NoError(t, err)
	l.logs, err = f.CreateLogs(t.Context(), nopSettings(), cfg, new(consumertest.LogsSink))
	require.NoError(t, err)
	host := diskHost{componenttest.NewNopHost(), d}
	require.NoError(t, l.logs.Start(t.Context(), host))
	require.NoError(t, l.traces.Start(t.Context(), host))
	return l
}

func emptyDisk() *disk { return &disk{data: map[string][]byte{}, lives: -1, lands: true} }

func (d *disk) kill() { d.mu.Lock(); d.dead = true; d.mu.Unlock() }

func (d *disk) count() (n int, requests int, bytes int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for k, v := range d.data {
		if k == keyFirst || k == keyLimit {
			continue
		}
		n++
		bytes += len(v)
		if v[0] == 1 || v[0] == 2 {
			requests++
		}
	}
	return
}

func wide(spans ptrace.Traces, from uint32) ptrace.Traces {
	for _, rs := range spans.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				var id [16]byte
				binary.BigEndian.PutUint32(id[:], from+1)
				binary.BigEndian.PutUint32(id[12:], from+1)
				s.SetTraceID(id)
			}
		}
	}
	return spans
}

// TestWhatIsMarkedDoesNotGoOutAgain: however many were due at once.
func TestWhatIsMarkedDoesNotGoOutAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := emptyDisk()
		l := beginWith(t, d, defaults(), nil)
		for i := range uint32(400) {
			require.NoError(t, l.traces.ConsumeTraces(t.Context(), wide(request(agent(1, 1, 0), chat(1, 2, 1)), i)))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Len(t, trajectories(t, l.sink.AllTraces()), 400)
		l.end(t)
		for life := range 3 {
			l = beginWith(t, d, defaults(), nil)
			time.Sleep(time.Minute)
			synctest.Wait()
			l.end(t)
			assert.Empty(t, trajectories(t, l.sink.AllTraces()), "life %d", life)
		}
	})
}

// TestTheStoreEmptiesItselfUnderLoad: there is always a batch that is not full yet.
func TestTheStoreEmptiesItselfUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := emptyDisk()
		cfg := defaults()
		cfg.MaxMemoryMiB, cfg.MaxTrajectoryMiB, cfg.LateWindow = 64, 4, time.Second
		l := beginWith(t, d, cfg, nil)
		n := uint32(0)
		for i := range 200 {
			for range 10 {
				c := chat(1, 2, 1)
				c.attrs["gen_ai.input.messages"] = `[{"role":"user","parts":[{"type":"text","content":"` + strings.Repeat("x", 30000+int(n*7919%5000)) + `"}]}]`
				require.NoError(t, l.traces.ConsumeTraces(t.Context(), wide(request(agent(1, 1, 0), c), n)))
				n++
			}
			time.Sleep(200 * time.Millisecond)
			if i > 100 {
				_, requests, _ := d.count()
				require.Less(t, requests, 700, "after %d requests", n)
			}
		}
		l.end(t)
	})
}

// TestDowntimeIsNoAge: a trajectory does not grow old while nobody listens.
func TestDowntimeIsNoAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := emptyDisk()
		l := beginWith(t, d, defaults(), nil)
		require.NoError(t, l.traces.ConsumeTraces(t.Context(), request(agent(1, 1, 0), chat(1, 2, 1))))
		l.end(t)
		time.Sleep(2 * time.Hour)
		l = beginWith(t, d, defaults(), nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		l.end(t)
		list := trajectories(t, l.sink.AllTraces())
		require.Len(t, list, 1)
		assert.Equal(t, trajectory.CloseComplete, list[0].CloseReason)
	})
}

// TestTruncatedIsNotDeletedBeforeItIsTaken: also without a late window.
func TestTruncatedIsNotDeletedBeforeItIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := emptyDisk()
		cfg := defaults()
		cfg.MaxTrajectoryMiB, cfg.LateWindow = 1, 0
		l := beginWith(t, d, cfg, nil)
		c := chat(1, 2, 1)
		c.attrs["gen_ai.input.messages"] = `[{"role":"user","parts":[{"type":"text","content":"` + strings.Repeat("x", 2<<20) + `"}]}]`
		require.NoError(t, l.traces.ConsumeTraces(t.Context(), request(agent(1, 1, 0), c)))
		l.end(t)
		out := len(trajectories(t, l.sink.AllTraces()))
		l = beginWith(t, d, cfg, nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		l.end(t)
		assert.Equal(t, 1, out+len(trajectories(t, l.sink.AllTraces())))
	})
}

// TestEvictedAtTheStartIsNotDeletedBeforeItIsTaken: what a replay must close goes out.
func TestEvictedAtTheStartIsNotDeletedBeforeItIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := emptyDisk()
		cfg := defaults()
		cfg.MaxOpen, cfg.LateWindow = 1, 0
		l := beginWith(t, d, cfg, nil)
		require.NoError(t, l.traces.ConsumeTraces(t.Context(), request(agent(1, 1, 0), chat(1, 2, 1))))
		require.NoError(t, l.traces.ConsumeTraces(t.Context(), request(agent(2, 1, 0), chat(2, 2, 1))))
		d.kill()
		l.end(t)
		n := len(trajectories(t, l.sink.AllTraces()))
		d = d.after(-1, true)
		l = beginWith(t, d, cfg, nil)
		l.end(t)
		n += len(trajectories(t, l.sink.AllTraces()))
		l = beginWith(t, d, cfg, nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		l.end(t)
		assert.Equal(t, 2, n+len(trajectories(t, l.sink.AllTraces())))
	})
}

// TestWhatPassedIsNotMadeUp: a span that passed before a crash does not come again without its name.
func TestWhatPassedIsNotMadeUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := emptyDisk()
		cfg := defaults()
		cfg.Emit = emitSpans
		l := beginWith(t, d, cfg, nil)
		require.NoError(t, l.traces.ConsumeTraces(t.Context(), request(ordinary(1, 1, 0))))
		require.NoError(t, l.traces.ConsumeTraces(t.Context(), request(chat(1, 2, 1))))
		d.kill()
		l.end(t)
		out := l.sink.AllTraces()
		d = d.after(-1, true)
		l = beginWith(t, d, cfg, nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		l.end(t)
		seen := map[string]int{}
		for s := range allSpans(append(out, l.sink.AllTraces()...)) {
			seen[fmt.Sprintf("%s %q", s.SpanID(), s.Name())]++
		}
		assert.Len(t, seen, 2, "%v", seen)
	})
}

// TestRecordsAreNotTakenAfterShutdown: they would be acknowledged and lost.
func TestRecordsAreNotTakenAfterShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := emptyDisk()
		l := beginWith(t, d, defaults(), nil)
		require.NoError(t, l.traces.ConsumeTraces(t.Context(), request(agent(1, 1, 0), chat(1, 2, 1))))
		require.NoError(t, l.traces.Shutdown(context.Background()))
		s := ptrace.NewSpan()
		s.SetTraceID(pcommon.TraceID{1})
		s.SetSpanID(pcommon.SpanID{2})
		require.Error(t, l.logs.ConsumeLogs(t.Context(), written(s, "gen_ai.user.message", "user", "Why?")), "acknowledged, not stored, though its trajectory is open")
	})
}

// TestRefusedRequestsDoNotFillTheStore: while the next component takes nothing.
func TestRefusedRequestsDoNotFillTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := emptyDisk()
		cfg := defaults()
		cfg.MaxMemoryMiB, cfg.MaxTrajectoryMiB = 8, 4
		f := &fickle{err: errors.New("later")}
		l := beginWith(t, d, cfg, f)
		big := func(i uint32, n int) ptrace.Traces {
			c := chat(1, 2, 1)
			c.attrs["gen_ai.input.messages"] = `[{"role":"user","parts":[{"type":"text","content":"` + strings.Repeat(fmt.Sprintf("%08d", i), n/8) + `"}]}]`
			return wide(request(agent(1, 1, 0), c), i)
		}
		serial := uint32(0)
		six := func() ptrace.Traces {
			td := ptrace.NewTraces()
			for range 6 {
				serial++
				big(1000+serial, 900<<10).ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
			}
			return td
		}
		i := uint32(0)
		for ; l.traces.(*tracesProcessor).assembler.held() < 5<<20; i++ {
			require.NoError(t, l.traces.ConsumeTraces(t.Context(), big(i, 100<<10)))
			time.Sleep(10 * time.Second)
			require.Less(t, i, uint32(200))
		}
		_, _, before := d.count()
		refused := 0
		for range 60 {
			if err := l.traces.ConsumeTraces(t.Context(), six()); err != nil {
				refused++
			}
			time.Sleep(5 * time.Second)
		}
		_, _, after := d.count()
		assert.Greater(t, refused, 10)
		assert.Less(t, after, 4*before)
		ctx, c := context.WithTimeout(context.Background(), time.Second)
		defer c()
		_ = l.traces.Shutdown(ctx)
	})
}

// TestGaugesMayBeReadDuringTheStart: run with -race.
func TestGaugesMayBeReadDuringTheStart(t *testing.T) {
	d := emptyDisk()
	l := beginWith(t, d, defaults(), nil)
	for i := range uint32(3000) {
		require.NoError(t, l.traces.ConsumeTraces(t.Context(), wide(request(agent(1, 1, 0), chat(1, 2, 1)), i)))
	}
	l.end(t)
	cfg := defaults()
	cfg.Storage = &diskID
	p, err := NewFactory().CreateTraces(t.Context(), nopSettings(), cfg, new(consumertest.TracesSink))
	require.NoError(t, err)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				p.(*tracesProcessor).assembler.stored() // what the gauge does when it is read
			}
		}
	}()
	require.NoError(t, p.Start(t.Context(), diskHost{componenttest.NewNopHost(), d}))
	close(stop)
	<-done
	ctx, c := context.WithTimeout(context.Background(), time.Second)
	defer c()
	_ = p.Shutdown(ctx)
}

var _ storage.Client = (*disk)(nil)

// firstCall and secondCall are traces of a bare client, in one conversation.
func firstCall() testSpan { return call(1, "["+asked+"]", "["+tracks+"]") }

func secondCall() testSpan { return call(2, "["+asked+","+tracks+","+tracked+"]", "["+answered+"]") }

const (
	asked    = `{"role":"user","parts":[{"type":"text","content":"Where is my parcel?"}]}`
	tracks   = `{"role":"assistant","parts":[{"type":"tool_call","id":"call_1","name":"track","arguments":{"id":1}}]}`
	tracked  = `{"role":"tool","parts":[{"type":"tool_call_response","id":"call_1","response":"Oslo"}]}`
	answered = `{"role":"assistant","parts":[{"type":"text","content":"In Bergen."}]}`
)

func call(trace byte, in, out string) testSpan {
	c := chat(trace, 2, 0)
	c.attrs["gen_ai.input.messages"], c.attrs["gen_ai.output.messages"] = in, out
	return c
}

// TestNoHalfOfATrajectoryComesBack: a request of two traces, of which one lives for long.
func TestNoHalfOfATrajectoryComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := emptyDisk()
		l := beginWith(t, d, defaults(), nil)
		require.NoError(t, l.traces.ConsumeTraces(t.Context(), request(firstCall())))
		time.Sleep(time.Second)
		require.NoError(t, l.traces.ConsumeTraces(t.Context(), request(secondCall(), agent(9, 2, 1))))
		for i := range byte(18) { // trace 9 lives on
			time.Sleep(45 * time.Second)
			require.NoError(t, l.traces.ConsumeTraces(t.Context(), request(chat(9, 10+i, 2))))
		}
		d.kill()
		l.end(t)
		d = d.after(-1, true)
		_, has := d.data[keyOf(1)]
		assert.False(t, has)
		l = beginWith(t, d, defaults(), nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		l.end(t)
		assert.Len(t, trajectories(t, l.sink.AllTraces()), 1, "trace 9 only")
	})
}

// TestNoHalfOutranksTheWhole: the same, of a trace with a root.
func TestNoHalfOutranksTheWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := emptyDisk()
		l := beginWith(t, d, defaults(), nil)
		// root and a grandchild with trace 9 in one request; the child between and another in the next
		require.NoError(t, l.traces.ConsumeTraces(t.Context(), request(agent(1, 1, 0), tool(1, 4, 3), agent(9, 2, 1))))
		time.Sleep(time.Second)
		require.NoError(t, l.traces.ConsumeTraces(t.Context(), request(agent(1, 3, 1), chat(1, 2, 1))))
		for i := range byte(18) { // trace 9 lives on
			time.Sleep(45 * time.Second)
			require.NoError(t, l.traces.ConsumeTraces(t.Context(), request(chat(9, 10+i, 2))))
		}
		first := trajectories(t, l.sink.AllTraces())
		assert.Len(t, first, 1)
		d.kill()
		l.end(t)
		d = d.after(-1, true)
		l = beginWith(t, d, defaults(), nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		l.end(t)
		for _, tr := range trajectories(t, l.sink.AllTraces()) {
			if tr.ID == first[0].ID {
				assert.Less(t, tr.Revision, first[0].Revision)
			}
		}
	})
}

// stalling is a store that is slower than root_grace.
type stalling struct {
	*disk
	stall chan time.Duration
}

func (s *stalling) Batch(ctx context.Context, ops ...*storage.Operation) error {
	select {
	case d := <-s.stall:
		time.Sleep(d)
	default:
	}
	return s.disk.Batch(ctx, ops...)
}

// TestASlowStoreLosesNothing: a trajectory closes while a span of it is being stored.
func TestASlowStoreLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := emptyDisk()
		st := &stalling{d, make(chan time.Duration, 1)}
		cfg := defaults()
		cfg.FlushInterval = time.Millisecond
		l := beginWith(t, d, cfg, nil)
		l.traces.(*tracesProcessor).assembler.durable.store.client = st
		require.NoError(t, l.traces.ConsumeTraces(t.Context(), request(agent(1, 1, 0), chat(1, 2, 1))))
		st.stall <- 6 * time.Second
		require.NoError(t, l.traces.ConsumeTraces(t.Context(), request(chat(1, 3, 1)))) // acknowledged
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		first := trajectories(t, l.sink.AllTraces())
		d.kill()
		l.end(t)
		l = beginWith(t, d.after(-1, true), defaults(), nil)
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		l.end(t)
		most := 0
		for _, tr := range append(first, trajectories(t, l.sink.AllTraces())...) {
			most = max(most, tr.SpanCount)
		}
		assert.Equal(t, 3, most)
	})
}

func shortly() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 200*time.Millisecond)
}

// TestTwoCrashesAreNoMoreThanOne: the clocks of the second life are those that the third goes through.
func TestTwoCrashesAreNoMoreThanOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := emptyDisk()
		l := beginWith(t, d, defaults(), nil)
		first := request(firstCall())
		time.Sleep(time.Second)
		require.NoError(t, l.traces.ConsumeTraces(t.Context(), request(secondCall())))
		d.kill()
		l.end(t)
		time.Sleep(5 * time.Minute)
		d = d.after(-1, true)
		l = beginWith(t, d, defaults(), nil)
		require.NoError(t, l.traces.ConsumeTraces(t.Context(), request(agent(9, 1, 0), chat(9, 2, 1))))
		time.Sleep(20 * time.Second) // 9 is handed on
		require.NoError(t, l.traces.ConsumeTraces(t.Context(), first))
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		d.kill()
		l.end(t)
		l = beginWith(t, d.after(-1, true), defaults(), nil)
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		l.end(t)
		assert.Empty(t, trajectories(t, l.sink.AllTraces()))
	})
}

// TestNothingIsPendingWhenAllIsTaken: also where the last trajectory filled a batch.
func TestNothingIsPendingWhenAllIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := emptyDisk()
		cfg := defaults()
		cfg.MaxMemoryMiB, cfg.MaxTrajectoryMiB = 16, 8
		l := beginWith(t, d, cfg, nil)
		big := func(i uint32, n int) ptrace.Traces {
			c := chat(1, 2, 1)
			c.attrs["gen_ai.input.messages"] = `[{"role":"user","parts":[{"type":"text","content":"` + strings.Repeat(fmt.Sprintf("%08d", i), n/8) + `"}]}]`
			return wide(request(agent(1, 1, 0), c), i)
		}
		require.NoError(t, l.traces.ConsumeTraces(t.Context(), big(1, 300<<10)))
		time.Sleep(6 * time.Second)
		require.NoError(t, l.traces.ConsumeTraces(t.Context(), big(2, 300<<10)))
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Len(t, trajectories(t, l.sink.AllTraces()), 2)
		assert.Zero(t, l.traces.(*tracesProcessor).assembler.pending())
		l.end(t)
	})
}

// an error of the store although the transaction was done.
type liar struct {
	*disk
	lie bool
}

func (s *liar) Batch(ctx context.Context, ops ...*storage.Operation) error {
	err := s.disk.Batch(ctx, ops...)
	if s.lie {
		s.lie = false
		return errors.New("fsync")
	}
	return err
}

// TestAnEntryThatWasStoredDespiteAnErrorIsDeleted: the sender was told to retry.
func TestAnEntryThatWasStoredDespiteAnErrorIsDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := emptyDisk()
		l := beginWith(t, d, defaults(), nil)
		l.traces.(*tracesProcessor).assembler.durable.store.client = &liar{d, true}
		require.Error(t, l.traces.ConsumeTraces(t.Context(), request(agent(1, 1, 0), chat(1, 2, 1))))
		require.NoError(t, l.traces.ConsumeTraces(t.Context(), request(agent(1, 1, 0), chat(1, 2, 1))))
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		_, r, _ := d.count()
		assert.Zero(t, r)
		l.end(t)
	})
}

// TestAStartThatFailsTouchesNothing: the Collector shuts down what did not start.
func TestAStartThatFailsTouchesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := emptyDisk()
		l := beginWith(t, d, defaults(), nil)
		for i := range uint32(100) {
			require.NoError(t, l.traces.ConsumeTraces(t.Context(), wide(request(agent(1, 1, 0), chat(1, 2, 1)), i)))
		}
		d.kill()
		l.end(t)
		d = d.after(-1, true)
		// not handed: a mark of another trajectory at +1 min makes all due
		h := newHanded(0, time.Now().Add(time.Minute).UnixNano())
		d.data[keyOf(30)] = h.entry
		d.lives = 2 // bounds, first page, then dead
		cfg := defaults()
		cfg.Storage = &diskID
		sink := new(consumertest.TracesSink)
		p, err := NewFactory().CreateTraces(t.Context(), nopSettings(), cfg, sink)
		require.NoError(t, err)
		require.Error(t, p.Start(t.Context(), diskHost{componenttest.NewNopHost(), d}))
		require.NoError(t, p.Shutdown(t.Context()))
		assert.Empty(t, trajectories(t, sink.AllTraces()), "of a store that was read in part")
	})
}

// TestNothingIsTakenBeforeTheStoreWasGoneThrough: pipelines start one after the
// other, and what came in between would not be stored.
func TestNothingIsTakenBeforeTheStoreWasGoneThrough(t *testing.T) {
	cfg := defaults()
	cfg.Storage = &diskID
	f := NewFactory()
	traces, err := f.CreateTraces(t.Context(), nopSettings(), cfg, new(consumertest.TracesSink))
	require.NoError(t, err)
	logs, err := f.CreateLogs(t.Context(), nopSettings(), cfg, new(consumertest.LogsSink))
	require.NoError(t, err)
	host := diskHost{componenttest.NewNopHost(), emptyDisk()}
	require.NoError(t, logs.Start(t.Context(), host))
	td := request(chat(1, 2, 1))
	said := written(td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0), "gen_ai.user.message", "user", "Hi")
	require.ErrorIs(t, logs.ConsumeLogs(t.Context(), said), errReading)
	require.ErrorIs(t, traces.ConsumeTraces(t.Context(), td), errReading)
	require.NoError(t, traces.Start(t.Context(), host))
	require.NoError(t, logs.ConsumeLogs(t.Context(), said))
	require.NoError(t, traces.ConsumeTraces(t.Context(), td))
	require.NoError(t, logs.Shutdown(t.Context()))
	require.NoError(t, traces.Shutdown(t.Context()))
}
