package trajectoryprocessor

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/tracegrad/tracegrad/internal/buffer"
	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// durable is what an assembler does besides where it has storage. What is
// acknowledged is in the store before; a batch that the next component has taken
// is marked there; what nothing needs any more is deleted. The store holds what
// the buffer holds: after a crash the buffer is made again by going through the
// store in order, which gives the same trajectories under the same ids.
type durable struct {
	store   *store
	filling *writer   // the batch that is not full yet; nil = none
	since   time.Time // of its first trajectory

	done    []handed // taken by the next component, not marked yet
	free    []uint64 // needed by nothing, once all that was handed out is taken
	failing bool
}

// handed is trajectories of one batch that were handed out at a time.
type handed struct {
	number uint64
	entry  []byte // kindHanded; the body is, per trajectory, the 16 bytes of its id and its revision, 8 bytes little endian
}

const handedSize = 16 + 8

func newHanded(number uint64, now int64) handed {
	return handed{number: number, entry: newEntry(kindHanded, now, 0)}
}

func (h *handed) add(id string, revision int64) {
	raw, _ := hex.DecodeString(id) // 32 digits: trajectory.IDOf
	var room [16]byte
	copy(room[:], raw)
	h.entry = append(h.entry, room[:]...)
	h.entry = binary.LittleEndian.AppendUint64(h.entry, uint64(revision)) //nolint:gosec // read back as it is
}

// handedBefore is the revisions by id of an entry.
func handedBefore(body []byte) (map[string]int64, error) {
	if len(body)%handedSize != 0 {
		return nil, fmt.Errorf("%d bytes are no list of trajectories", len(body))
	}
	out := map[string]int64{}
	for part := range slices.Chunk(body, handedSize) {
		out[hex.EncodeToString(part[:16])] = int64(binary.LittleEndian.Uint64(part[16:])) //nolint:gosec // as it was written
	}
	return out, nil
}

// open opens the store and takes up what it holds.
func (a *assembler) open(ctx context.Context, host component.Host, id component.ID) error {
	s, err := openStore(ctx, host, *a.hub.cfg.Storage, id)
	if err != nil {
		return err
	}
	return a.resume(ctx, s)
}

func (a *assembler) resume(ctx context.Context, s *store) error {
	a.mu.Lock()
	a.durable = &durable{store: s}
	a.mu.Unlock()
	began, latest := time.Now(), int64(0)
	unreadable, err := s.load(ctx, func(e entry) error {
		latest = e.at
		return a.again(ctx, e)
	})
	if err != nil {
		return errors.Join(err, s.close(ctx))
	}
	if len(unreadable) > 0 {
		a.hub.tb.ProcessorTrajectoryStorageFailures.Add(ctx, int64(len(unreadable)), withReason("unreadable"))
		a.hub.logger.Error("Entries of the storage cannot be read; they are set aside there", zap.Int("entries", len(unreadable)), zap.Error(errors.Join(unreadable...)))
	}
	a.mu.Lock()
	if ahead := latest - began.UnixNano(); ahead > 0 {
		a.buf.Shift(-ahead) // the clock was wrong then, or is now
	}
	a.buf.Resume(began.UnixNano())
	a.durable.free = append(a.durable.free, a.buf.Released()...)
	tally, open := a.buf.Take(), a.buf.Open()
	a.mu.Unlock()
	restored := tally.Records
	for _, n := range tally.Accepted {
		restored += n
	}
	add(ctx, a.hub.tb.ProcessorTrajectoryRestored, restored)
	if restored > 0 {
		a.hub.logger.Info("Took up what the storage holds", zap.Int64("spans", restored), zap.Int("open_trajectories", open), zap.Duration("took", time.Since(began)))
	}
	return nil
}

// again does with an entry what was done when it was written.
func (a *assembler) again(ctx context.Context, e entry) error {
	switch e.kind {
	case kindTraces:
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(e.body)
		if err != nil {
			return err
		}
		s := &sorted{held: td.SpanCount(), fates: slices.Repeat([]fate{hold}, td.SpanCount())}
		return a.addAgain(e, func() []buffer.Item { return a.decode(td, s) })
	case kindLogs:
		ld, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(e.body)
		if err != nil {
			return err
		}
		return a.addAgain(e, func() []buffer.Item { return a.decodeRecords(ld) })
	case kindHanded:
		return a.handOutAgain(ctx, e)
	case kindJump:
		if len(e.body) != 8 {
			return fmt.Errorf("%d bytes are no time", len(e.body))
		}
		a.mu.Lock()
		a.buf.Shift(int64(binary.LittleEndian.Uint64(e.body))) //nolint:gosec // as it was written
		a.mu.Unlock()
		return nil
	}
	return fmt.Errorf("its kind is %d, which a newer version may have written", e.kind)
}

// addAgain puts what was acknowledged into the buffer, whatever else must go
// out for it.
func (a *assembler) addAgain(e entry, decode func() []buffer.Item) error {
	a.mu.Lock()
	err := a.insert(e.at, decode(), e.number)
	for errors.Is(err, buffer.ErrFull) && a.buf.Evict(e.at) {
		err = a.insert(e.at, decode(), e.number)
	}
	for _, w := range a.rested() {
		a.decoders.Recycle(w.decoder) // what was handed on already need not be made again
	}
	a.mu.Unlock()
	return err
}

// handOutAgain hands out what was due. What was not taken then goes out once
// more.
func (a *assembler) handOutAgain(ctx context.Context, e entry) error {
	before, err := handedBefore(e.body)
	if err != nil {
		return err
	}
	a.mu.Lock()
	for id := range before {
		a.buf.Remember(id)
	}
	closed := a.buf.Due(e.at, math.MaxInt)
	a.forget(closed)
	a.mu.Unlock()
	closed = slices.DeleteFunc(closed, func(c buffer.Closed) bool {
		revision, ok := before[c.ID]
		return ok && revision == c.Revision
	})
	a.assemble(ctx, closed, time.Unix(0, e.at))
	return nil
}

// insert adds items that an entry of the store holds; 0 = no store. a.mu is held.
func (a *assembler) insert(now int64, items []buffer.Item, entry uint64) error {
	for i := range items {
		items[i].Log = entry
	}
	err := a.buf.Add(now, items)
	if err == nil && entry != 0 && !a.buf.Needs(entry) {
		a.durable.free = append(a.durable.free, entry)
	}
	return err
}

// keep stores the spans of a request that are held, and those of their traces
// that passed before: they are known as structure.
func (a *assembler) keep(now int64, td ptrace.Traces, s *sorted, before ptrace.Traces) (uint64, error) {
	if s.passed+s.dropped > 0 {
		td = s.copyOf(td, hold)
	}
	var m ptrace.ProtoMarshaler
	body, err := m.MarshalTraces(td)
	if err == nil && before != (ptrace.Traces{}) {
		var more []byte
		more, err = m.MarshalTraces(before)
		body = append(more, body...) // two messages in one: their lists are joined
	}
	return a.put(kindTraces, now, body, err)
}

// passedBefore is what is known of the spans of agents' traces that passed before
// anything told that they are; zero for nothing. a.mu is held.
func (a *assembler) passedBefore(m marks) (out ptrace.Traces) {
	if a.durable == nil {
		return out
	}
	var spans ptrace.SpanSlice
	for id := range m {
		a.buf.Passed(trajectory.TraceID(id), func(span, parent trajectory.SpanID, remote bool, start, end int64) {
			if out == (ptrace.Traces{}) {
				out = ptrace.NewTraces()
				spans = out.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
			}
			s := spans.AppendEmpty()
			s.SetTraceID(id)
			s.SetSpanID(pcommon.SpanID(span))
			s.SetParentSpanID(pcommon.SpanID(parent))
			s.SetStartTimestamp(pcommon.Timestamp(start)) //nolint:gosec // as it came
			s.SetEndTimestamp(pcommon.Timestamp(end))     //nolint:gosec // as it came
			if remote {
				s.SetFlags(remoteParent)
			}
		})
	}
	return out
}

// keepRecords stores the log records of a request that may be an agent's.
func (a *assembler) keepRecords(now int64, ld plog.Logs) (uint64, error) {
	kept := plog.NewLogs()
	ld.CopyTo(kept)
	for _, rl := range kept.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			sl.LogRecords().RemoveIf(func(r plog.LogRecord) bool { return !genai.Recorded(r) })
		}
	}
	var m plog.ProtoMarshaler
	body, err := m.MarshalLogs(kept)
	return a.put(kindLogs, now, body, err)
}

// keepJump stores that the clock was set. a.mu is held: it is seldom.
func (a *assembler) keepJump(now, by int64) {
	if a.durable == nil {
		return
	}
	value := binary.LittleEndian.AppendUint64(newEntry(kindJump, now, 8), uint64(by)) //nolint:gosec // read back as it is
	if err := a.durable.store.putMark(value); err != nil {
		a.hub.tb.ProcessorTrajectoryStorageFailures.Add(context.Background(), 1, withReason("put"))
	}
}

func (a *assembler) put(k kind, now int64, body []byte, err error) (uint64, error) {
	if err != nil {
		return 0, err
	}
	n, err := a.durable.store.put(append(newEntry(k, now, len(body)), body...))
	if err != nil {
		a.hub.tb.ProcessorTrajectoryStorageFailures.Add(context.Background(), 1, withReason("put"))
	}
	return n, err
}

// settle marks what the next component has taken, and deletes what nothing
// needs. After an error of the store the next call does it.
func (a *assembler) settle(ctx context.Context) {
	d := a.durable
	if d == nil {
		return
	}
	var free []uint64
	if len(a.out.queue) == 0 && d.filling == nil {
		a.mu.Lock()
		free, d.free = d.free, nil
		a.mu.Unlock()
	}
	err := d.store.settle(d.done, free)
	if err == nil {
		d.done = nil
	} else {
		a.hub.tb.ProcessorTrajectoryStorageFailures.Add(ctx, 1, withReason("settle"))
	}
	switch failing := err != nil; {
	case failing && !d.failing:
		a.hub.logger.Error("What was handed on cannot be noted in the storage; after a crash it would go out once more", zap.Error(err))
		a.report(componentstatus.NewRecoverableErrorEvent(err))
	case !failing && d.failing:
		a.report(componentstatus.NewEvent(componentstatus.StatusOK))
	}
	d.failing = err != nil
}

// rest is the end of an assembler with storage: what is handed out is sent,
// unless the next component takes nothing now; what is open stays in the store
// until the next start.
func (a *assembler) rest(ctx context.Context, taken bool) error {
	a.mu.Lock()
	a.stopped = true
	open := a.buf.Open()
	a.mu.Unlock()
	a.pushFilling()
	if !taken || !a.drain(ctx) {
		a.hub.logger.Warn("The next component did not take all trajectories; they stay in the storage until the next start", zap.Int("batches", len(a.out.queue)))
	}
	a.settle(ctx)
	if open > 0 {
		a.hub.logger.Info("Open trajectories stay in the storage until the next start", zap.Int("trajectories", open))
	}
	return a.durable.store.close(ctx)
}
