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
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
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
	assert.Greater(t, len(out), 0)
	return p.live(t, trajectories(t, out))
}
