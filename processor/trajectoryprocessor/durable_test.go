package trajectoryprocessor

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"

	"github.com/tracegrad/tracegrad/internal/otlp"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// TestACrashChangesNothing: a processor with storage that is killed again and
// again, before, after and while it stores, gives the last revisions of one that
// lives on; senders send again what was not acknowledged. Only ordinary spans
// are not stored: where they come before all others of their trace, and the
// processor dies in between, they are missing. Their requests may be any here.
func TestACrashChangesNothing(t *testing.T) {
	for name, files := range capturesIn(t, "../../testdata/dialects") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mixed := hasOrdinary(t, otlp.Files(files...))
			want := revisions(t, plan{source: otlp.Files(files...), mixed: mixed, loose: mixed})
			for seed := range uint64(4) {
				got := revisions(t, plan{source: otlp.Shuffle(otlp.Files(files...), seed+1), late: seed%2 == 1, seed: seed, mixed: mixed, loose: mixed, crash: true})
				sameRevisions(t, want, got, seed)
			}
		})
	}
}

// disk is a storage extension and its only client. It dies after some
// transactions: then nothing works any more.
type disk struct {
	component.StartFunc
	component.ShutdownFunc

	mu    sync.Mutex
	data  map[string][]byte
	lives int  // transactions until it dies; < 0 = for ever
	lands bool // whether the last one is done before
	dead  bool
}

var errDead = errors.New("the process is dead")

func (d *disk) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return d, nil
}

func (d *disk) Batch(_ context.Context, ops ...*storage.Operation) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return errDead
	}
	d.dead = d.lives == 0
	d.lives--
	if d.dead && !d.lands {
		return errDead
	}
	for _, op := range ops {
		switch op.Type {
		case storage.Get:
			op.Value = d.data[op.Key]
		case storage.Set:
			d.data[op.Key] = op.Value
		case storage.Delete:
			delete(d.data, op.Key)
		}
	}
	if d.dead {
		return errDead
	}
	return nil
}

func (d *disk) Get(ctx context.Context, key string) ([]byte, error) {
	op := storage.GetOperation(key)
	err := d.Batch(ctx, op)
	return op.Value, err
}

func (d *disk) Set(ctx context.Context, key string, value []byte) error {
	return d.Batch(ctx, storage.SetOperation(key, value))
}

func (d *disk) Delete(ctx context.Context, key string) error {
	return d.Batch(ctx, storage.DeleteOperation(key))
}

func (*disk) Close(context.Context) error { return nil }

func (d *disk) isDead() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead
}

// after is the disk as the next life finds it.
func (d *disk) after(lives int, lands bool) *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &disk{data: maps.Clone(d.data), lives: lives, lands: lands}
}

type diskHost struct {
	component.Host
	disk *disk
}

var diskID = component.MustNewID("disk")

func (h diskHost) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{diskID: h.disk}
}

// until takes trajectories as long as the disk lives.
type until struct {
	consumertest.TracesSink
	disk *disk
}

func (u *until) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	if u.disk.isDead() {
		return errDead
	}
	return u.TracesSink.ConsumeTraces(ctx, td)
}

// life is one of a processor with storage.
type life struct {
	traces processor.Traces
	logs   processor.Logs
	sink   *until
}

func (p plan) begin(t *testing.T, d *disk) life {
	t.Helper()
	cfg := defaults()
	cfg.Storage = &diskID
	set := nopSettings()
	l := life{sink: &until{disk: d}}
	var err error
	f := NewFactory()
	l.traces, err = f.CreateTraces(t.Context(), set, cfg, consumer.Traces(l.sink))
	require.NoError(t, err)
	l.logs, err = f.CreateLogs(t.Context(), set, cfg, new(consumertest.LogsSink))
	require.NoError(t, err)
	host := diskHost{componenttest.NewNopHost(), d}
	require.NoError(t, l.logs.Start(t.Context(), host))
	for l.traces.Start(t.Context(), host) != nil { // it died again
		d = d.after(-1, true)
		l.sink.disk, host.disk = d, d
	}
	return l
}

func (l life) end(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Second)
	defer cancel()
	require.NoError(t, l.logs.Shutdown(ctx))
	require.NoError(t, l.traces.Shutdown(ctx))
}

func (l life) consume(ctx context.Context, req otlp.Request) error {
	if req.Signal == otlp.Logs {
		return l.logs.ConsumeLogs(ctx, req.Logs)
	}
	return l.traces.ConsumeTraces(ctx, req.Traces)
}

// lives is revisions, of several lives.
func (p plan) lives(t *testing.T) map[string]*trajectory.Trajectory {
	t.Helper()
	rng := rand.New(rand.NewPCG(p.seed, 2))
	d := (&disk{}).after(rng.IntN(20), rng.IntN(2) == 0)
	d.data = map[string][]byte{}
	l := p.begin(t, d)
	var out []ptrace.Traces
	survive := func() bool {
		if !l.sink.disk.isDead() {
			return true
		}
		l.end(t)
		out = append(out, l.sink.AllTraces()...)
		l = p.begin(t, l.sink.disk.after(rng.IntN(40), rng.IntN(2) == 0))
		return false
	}
	for round := range p.rounds(t) {
		for _, req := range round {
			for l.consume(t.Context(), req) != nil {
				require.False(t, survive(), "an error without a reason")
			}
			time.Sleep(50 * time.Millisecond)
			survive()
		}
		for again := true; again; again = !survive() {
			time.Sleep(defaultIdle + defaultFlushInterval + time.Second)
			synctest.Wait()
		}
	}
	l.end(t)
	out = append(out, l.sink.AllTraces()...)
	assert.NotEmpty(t, out)
	return p.live(t, trajectories(t, out))
}

func TestStorageMustBeThere(t *testing.T) {
	cfg := defaults()
	other := component.MustNewID("other")
	cfg.Storage = &other
	p, err := NewFactory().CreateTraces(t.Context(), nopSettings(), cfg, new(consumertest.TracesSink))
	require.NoError(t, err)
	require.ErrorContains(t, p.Start(t.Context(), diskHost{componenttest.NewNopHost(), new(disk)}), `there is no extension "other"`)
	require.NoError(t, p.Shutdown(t.Context()))
}

func TestStorageServesOnePipeline(t *testing.T) {
	cfg := defaults()
	cfg.Storage = &diskID
	f := NewFactory()
	host := diskHost{componenttest.NewNopHost(), (&disk{data: map[string][]byte{}}).after(-1, true)}
	var all []processor.Traces
	for range 2 {
		p, err := f.CreateTraces(t.Context(), nopSettings(), cfg, new(consumertest.TracesSink))
		require.NoError(t, err)
		all = append(all, p)
	}
	require.ErrorContains(t, all[0].Start(t.Context(), host), "2 traces pipelines share this processor")
	for _, p := range all {
		require.NoError(t, p.Shutdown(t.Context()))
	}
}

// TestASenderIsAskedToRetryWhenNothingCanBeStored: and nothing of the request is
// taken, so that it counts once when it comes again.
func TestASenderIsAskedToRetryWhenNothingCanBeStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := (&disk{data: map[string][]byte{}}).after(1, false) // opens, and is full
		l := plan{}.begin(t, d)
		req := request(agent(1, 1, 0), chat(1, 2, 1))
		err := l.traces.ConsumeTraces(t.Context(), req)
		require.ErrorIs(t, err, errDead)
		require.False(t, consumererror.IsPermanent(err))
		require.ErrorIs(t, l.traces.ConsumeTraces(t.Context(), req), errDead)
		d.mu.Lock()
		d.dead, d.lives = false, -1
		d.mu.Unlock()
		require.NoError(t, l.traces.ConsumeTraces(t.Context(), req))
		time.Sleep(time.Minute)
		synctest.Wait()
		l.end(t)
		list := trajectories(t, l.sink.AllTraces())
		require.Len(t, list, 1)
		assert.Equal(t, 2, list[0].SpanCount)
	})
}

// TestUnreadableEntriesAreSetAside: they block nothing and stay where one finds
// them.
func TestUnreadableEntriesAreSetAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := (&disk{data: map[string][]byte{}}).after(-1, true)
		l := plan{}.begin(t, d)
		for i := range byte(4) {
			require.NoError(t, l.traces.ConsumeTraces(t.Context(), request(agent(i+1, 1, 0), chat(i+1, 2, 1))))
		}
		l.end(t) // they are open: they stay
		d = l.sink.disk.after(-1, true)
		d.data[keyOf(1)] = []byte{1}                                              // torn
		d.data[keyOf(2)] = append(newEntry(kindTraces, 0, 3), 0xff, 0xff, 0xff)   // no protobuf
		d.data[keyOf(3)] = append(newEntry(kind(77), 0, 3), "from the future"...) //
		l = plan{}.begin(t, d)
		time.Sleep(time.Minute)
		synctest.Wait()
		l.end(t)
		require.Len(t, trajectories(t, l.sink.AllTraces()), 1)
		assert.Contains(t, d.data, keyAside+keyOf(1))
		assert.Contains(t, d.data, keyAside+keyOf(2))
		assert.Contains(t, d.data, keyAside+keyOf(3))
		assert.NotContains(t, d.data, keyOf(3))
	})
}

// TestTheStoreEmptiesItself: after the late windows nothing is left but which
// trajectories there were.
func TestTheStoreEmptiesItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := (&disk{data: map[string][]byte{}}).after(-1, true)
		l := plan{}.begin(t, d)
		for range 3 {
			require.NoError(t, l.traces.ConsumeTraces(t.Context(), request(agent(1, 1, 0), chat(1, 2, 1)))) // twice too many
		}
		require.NoError(t, l.traces.ConsumeTraces(t.Context(), request(ordinary(7, 1, 0))))
		time.Sleep(defaultLateWindow + time.Minute)
		synctest.Wait()
		var kinds []kind
		for key, value := range d.data {
			if key != keyFirst && key != keyLimit {
				kinds = append(kinds, kind(value[0]))
			}
		}
		assert.Equal(t, []kind{kindHanded}, kinds)
		l.end(t)

		l = plan{}.begin(t, d.after(-1, true)) // a straggler after all that and a restart
		require.NoError(t, l.traces.ConsumeTraces(t.Context(), request(chat(1, 3, 1))))
		time.Sleep(defaultIdle * 2)
		synctest.Wait()
		l.end(t)
		list := trajectories(t, l.sink.AllTraces())
		require.Len(t, list, 1)
		assert.Equal(t, trajectory.CloseLate, list[0].CloseReason)
		assert.Equal(t, trajectory.IDOf(pcommon.TraceID{1}.String()), list[0].Continues)
		assert.NotEqual(t, list[0].Continues, list[0].ID)
	})
}
