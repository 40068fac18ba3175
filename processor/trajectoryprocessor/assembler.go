package trajectoryprocessor

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/buffer"
	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

const (
	mib = 1 << 20

	// dueAtOnce bounds how many trajectories are taken out of the buffer under
	// one lock.
	dueAtOnce = 256

	// pendingShare of max_memory_mib may wait for the next component; then
	// trajectories stay in the buffer, and senders feel it when that is full.
	pendingShare = 8
)

// assembler is the buffer of one traces pipeline, with what surrounds it:
// decoders before, assembly and rewards behind.
type assembler struct {
	hub    *hub
	out    outbox
	report func(*componentstatus.Event)

	durable *durable // nil = nothing survives the process

	kits sync.Pool // *kit

	mu       sync.Mutex // guards what follows
	buf      *buffer.Buffer
	looked   time.Time // at the clock, last
	decoders *genai.Decoders
	stopped  bool
}

func newAssembler(h *hub, next consumer.Traces) *assembler {
	cfg := h.cfg
	return &assembler{
		hub:    h,
		out:    outbox{next: next},
		report: func(*componentstatus.Event) {},

		looked: time.Now(),
		kits:   sync.Pool{New: func() any { return new(kit) }},
		buf: buffer.New(buffer.Config{
			RootGrace: cfg.RootGrace, Idle: cfg.Idle, MaxAge: cfg.MaxAge, LateWindow: cfg.LateWindow,
			MaxTrajectoryBytes: int64(cfg.MaxTrajectoryMiB) * mib,
			MaxBytes:           int64(cfg.MaxMemoryMiB) * mib,
			MaxOpen:            cfg.MaxOpen,
			ByKey:              cfg.Key == keyAttributes,
		}),
		decoders: genai.NewDecoders(genai.Options{TaskKey: cfg.TaskKey, Tenant: cfg.TenantKey, Attributes: cfg.Attributes, Shared: &genai.Shared{}}),
	}
}

// take sorts a request. It returns the spans to pass on, td itself if those are
// all; some is false if there are none.
func (a *assembler) take(ctx context.Context, td ptrace.Traces) (rest ptrace.Traces, some bool, err error) {
	marks := a.marked(ctx, td)
	a.mu.Lock()
	if err := a.closed(); err != nil {
		a.mu.Unlock()
		return td, false, err
	}
	now := a.now()
	s := a.sort(td, marks)
	if s.held > 0 {
		err = a.add(now, td, s, marks)
	}
	tally, whole := a.buf.Take(), a.rested()
	a.mu.Unlock()
	if err != nil {
		return td, false, a.refused(ctx, s.held, err)
	}
	a.prepare(whole, now)
	a.hub.countTally(ctx, tally)
	a.hub.countIncomplete(ctx, s.incomplete)
	switch {
	case s.held == 0 && s.dropped == 0:
		return td, true, nil
	case s.passed == 0:
		return td, false, nil
	}
	return s.copyRest(td), true, nil
}

// closed says why nothing can be taken. Pipelines start one after the other:
// records may come before the store of the traces was gone through. a.mu is held.
func (a *assembler) closed() error {
	switch {
	case a.stopped:
		return errStopped
	case a.hub.cfg.Storage != nil && a.durable == nil:
		return errReading
	}
	return nil
}

// add decodes the spans that are held and puts them into the buffer. With storage
// they are stored before; meanwhile a.mu is not held.
func (a *assembler) add(now int64, td ptrace.Traces, s *sorted, m marks) error {
	if a.buf.Full() {
		return buffer.ErrFull
	}
	if a.durable == nil {
		return a.insert(now, a.decode(td, s))
	}
	before := a.passedBefore(m)
	a.mu.Unlock()
	entries, err := a.keep(now, td, s, before)
	a.mu.Lock()
	if err != nil {
		return err
	}
	defer func() { a.needless(slices.Collect(maps.Values(entries))) }()
	if a.buf.Full() {
		return buffer.ErrFull
	}
	items := a.decode(td, s)
	for i := range items {
		items[i].Log = entries[items[i].Span.TraceID]
	}
	return a.insert(now, items)
}

// insert puts items into the buffer: all or, with an error, none.
func (a *assembler) insert(now int64, items []buffer.Item) error {
	err := a.buf.Add(now, items)
	if err != nil {
		a.decoders.Refused(func(yield func(*trajectory.Span) bool) {
			for i := range items {
				if !yield(items[i].Span) {
					return
				}
			}
		})
	}
	return err
}

// rested drops the decoders of traces that became whole, and returns the traces
// of which trajectories can be made. a.mu is held.
func (a *assembler) rested() []whole {
	var list []whole
	for _, w := range a.buf.Rested() {
		if w.Spans != nil && a.hub.cfg.Emit == emitTrajectories {
			list = append(list, whole{w, a.decoders.Take(w.Trace)})
		} else {
			a.decoders.Drop(w.Trace)
		}
	}
	return list
}

// refused counts a request that was not taken and says what to do with it.
func (a *assembler) refused(ctx context.Context, spans int, err error) error {
	reason := "storage"
	switch {
	case errors.Is(err, buffer.ErrTooLarge):
		reason = "too_large"
		err = consumererror.NewPermanent(err)
	case errors.Is(err, buffer.ErrFull):
		reason = "full"
	}
	a.hub.tb.ProcessorTrajectorySpansRefused.Add(ctx, int64(spans), withReason(reason))
	return err
}

// run hands out what is due until stop is closed. ctx is for the next component.
func (a *assembler) run(ctx context.Context, stop <-chan struct{}) {
	ticker := time.NewTicker(interval(a.hub.cfg))
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			a.tick(ctx, stop)
		}
	}
}

// interval is how often to look: often enough that no clock runs much over.
func interval(cfg *Config) time.Duration {
	return min(max(min(cfg.RootGrace, cfg.Idle)/10, 10*time.Millisecond), time.Second)
}

// tick hands out what is due.
func (a *assembler) tick(ctx context.Context, stop <-chan struct{}) {
	a.send(ctx)
	defer a.settle(ctx)
	for a.out.held() < a.most() {
		select {
		case <-stop:
			return
		default:
		}
		a.mu.Lock()
		at := a.now()
		closed := a.buf.Due(at, dueAtOnce)
		now := time.Unix(0, at)
		a.forget(closed)
		released := a.buf.Released()
		tally := a.buf.Take()
		a.mu.Unlock()
		a.hub.countTally(ctx, tally)
		a.assemble(ctx, closed, now)
		if a.durable != nil {
			a.release(released)
			a.flushOld(now)
		}
		a.send(ctx)
		if len(closed) < dueAtOnce {
			return
		}
	}
}

// most is how many bytes may wait for the next component.
func (a *assembler) most() int64 { return int64(a.hub.cfg.MaxMemoryMiB) * mib / pendingShare }

// flush hands out everything and takes nothing more.
func (a *assembler) flush(ctx context.Context) {
	a.mu.Lock()
	at := a.now()
	closed := a.buf.Flush(at)
	a.stopped = true
	a.decoders.Clear()
	a.mu.Unlock()
	now := time.Unix(0, at)
	ok := true
	for len(closed) > 0 && ok && ctx.Err() == nil {
		n := min(len(closed), dueAtOnce)
		a.assemble(ctx, closed[:n], now)
		clear(closed[:n])
		closed = closed[n:]
		ok = a.drain(ctx)
	}
	if ok {
		a.drain(ctx)
	}
	a.abandon(len(closed))
}

// forget drops the decoders of trajectories that were handed out.
func (a *assembler) forget(closed []buffer.Closed) {
	for i := range closed {
		var last trajectory.TraceID
		for _, s := range closed[i].Spans {
			if s.TraceID != last {
				last = s.TraceID
				a.decoders.Drop(last)
			}
		}
	}
}

func (a *assembler) openNow() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return int64(a.buf.Open())
}

func (a *assembler) held() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.buf.Bytes()
}

func (a *assembler) pending() int64 { return a.out.held() }

func (a *assembler) stored() int64 {
	a.mu.Lock()
	d := a.durable
	a.mu.Unlock()
	if d == nil {
		return 0
	}
	return d.store.stored()
}
