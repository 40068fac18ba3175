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
	free    []uint64 // entries that nothing needs since
	failing bool

	refused []uint64 // entries that nothing ever needed; guarded by assembler.mu
}

// handed is trajectories of one batch that were handed out at a time.
type handed struct {
	number uint64
	entry  []byte // kindHanded
}

// handedSize is what the body has per trajectory: the 16 bytes of its id, its
// revision and its print (see buffer.Closed), 8 bytes each, little endian.
const handedSize = 16 + 8 + 8

func newHanded(number uint64, now int64) handed {
	return handed{number: number, entry: newEntry(kindHanded, now, 0)}
}

func (h *handed) add(c *buffer.Closed) {
	raw, _ := hex.DecodeString(c.ID) // 32 digits: trajectory.IDOf
	var room [16]byte
	copy(room[:], raw)
	h.entry = append(h.entry, room[:]...)
	h.entry = binary.LittleEndian.AppendUint64(h.entry, uint64(c.Revision)) //nolint:gosec // read back as it is
	h.entry = binary.LittleEndian.AppendUint64(h.entry, c.Print)
}

// told is what an entry tells of a trajectory.
type told struct {
	revision int64
	print    uint64
}

// handedBefore is what an entry tells, by id.
func handedBefore(body []byte) (map[string]told, error) {
	if len(body)%handedSize != 0 {
		return nil, fmt.Errorf("%d bytes are no list of trajectories", len(body))
	}
	out := map[string]told{}
	for part := range slices.Chunk(body, handedSize) {
		out[hex.EncodeToString(part[:16])] = told{
			revision: int64(binary.LittleEndian.Uint64(part[16:])), //nolint:gosec // as it was written
			print:    binary.LittleEndian.Uint64(part[24:]),
		}
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
	began := time.Now()
	r := replay{a: a, latest: began.UnixNano()}
	unreadable, err := s.load(ctx, r.entry)
	if err != nil {
		return errors.Join(err, s.close(ctx))
	}
	away := began.UnixNano() - r.latest
	if away != 0 {
		value := binary.LittleEndian.AppendUint64(newEntry(kindResume, began.UnixNano(), 8), uint64(away)) //nolint:gosec // read back as it is
		if err := s.putMark(value); err != nil {
			return errors.Join(err, s.close(ctx))
		}
	}
	a.mu.Lock()
	a.durable = &durable{store: s, refused: r.refused}
	a.buf.Resume(began.UnixNano(), away)
	a.looked = time.Now()
	tally, open := a.buf.Take(), a.buf.Open()
	a.mu.Unlock()
	a.assemble(ctx, r.out, began)
	a.tell(ctx, unreadable, tally, open, time.Since(began))
	return nil
}

// tell says what was taken up.
func (a *assembler) tell(ctx context.Context, unreadable []error, tally buffer.Tally, open int, took time.Duration) {
	if len(unreadable) > 0 {
		a.hub.tb.ProcessorTrajectoryStorageFailures.Add(ctx, int64(len(unreadable)), withReason("unreadable"))
		a.hub.logger.Error("Entries of the storage cannot be read; they are set aside there", zap.Int("entries", len(unreadable)), zap.Error(errors.Join(unreadable...)))
	}
	restored := tally.Records
	for _, n := range tally.Accepted {
		restored += n
	}
	add(ctx, a.hub.tb.ProcessorTrajectoryRestored, restored)
	if restored > 0 {
		a.hub.logger.Info("Took up what the storage holds", zap.Int64("spans", restored), zap.Int("open_trajectories", open), zap.Duration("took", took))
	}
}

// replay does again what was done when the entries were written.
type replay struct {
	a       *assembler
	latest  int64           // time of the last entry
	out     []buffer.Closed // handed out, and nothing says that it was taken
	refused []uint64
}

func (r *replay) entry(e entry) error {
	r.latest = e.at
	switch e.kind {
	case kindTraces:
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(e.body)
		if err != nil {
			return err
		}
		s := &sorted{held: td.SpanCount(), fates: slices.Repeat([]fate{hold}, td.SpanCount())}
		return r.add(e, func() []buffer.Item { return r.a.decode(td, s) })
	case kindLogs:
		ld, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(e.body)
		if err != nil {
			return err
		}
		return r.add(e, func() []buffer.Item { return r.a.decodeRecords(ld) })
	case kindHanded:
		return r.handOut(e)
	case kindJump, kindResume:
		if len(e.body) != 8 {
			return fmt.Errorf("%d bytes are no time", len(e.body))
		}
		by := int64(binary.LittleEndian.Uint64(e.body)) //nolint:gosec // as it was written
		r.a.mu.Lock()
		defer r.a.mu.Unlock()
		if e.kind == kindJump {
			r.a.buf.Shift(by)
		} else {
			r.a.buf.Resume(e.at, by)
		}
		return nil
	}
	return fmt.Errorf("its kind is %d, which a newer version may have written", e.kind)
}

// add puts what was acknowledged into the buffer, whatever else must go out for
// it.
func (r *replay) add(e entry, decode func() []buffer.Item) error {
	a := r.a
	a.mu.Lock()
	defer a.mu.Unlock()
	items := logged(decode(), e.number)
	err := a.insert(e.at, items)
	for errors.Is(err, buffer.ErrFull) && a.buf.Evict(e.at) {
		err = a.insert(e.at, logged(decode(), e.number))
	}
	for _, w := range a.rested() {
		a.decoders.Recycle(w.decoder) // what was handed on already need not be made again
	}
	if err == nil && !a.buf.Needs(e.number) {
		r.refused = append(r.refused, e.number)
	}
	return err
}

// handOut hands out what was due. What was taken then does not go out again,
// unless it says something else now.
func (r *replay) handOut(e entry) error {
	before, err := handedBefore(e.body)
	if err != nil {
		return err
	}
	a := r.a
	a.mu.Lock()
	for id := range before {
		a.buf.Remember(id)
	}
	closed := a.buf.Due(e.at, math.MaxInt)
	a.forget(closed)
	a.mu.Unlock()
	r.out = slices.DeleteFunc(append(r.out, closed...), func(c buffer.Closed) bool {
		was, ok := before[c.ID]
		return ok && was == told{c.Revision, c.Print}
	})
	for i := range r.out {
		if was, ok := before[r.out[i].ID]; ok && was.revision == r.out[i].Revision {
			r.out[i].Revision++ // a span more than then, in the same moment
		}
	}
	return nil
}

// logged says which entry holds the items.
func logged(items []buffer.Item, entry uint64) []buffer.Item {
	for i := range items {
		items[i].Log = entry
	}
	return items
}

// needless gives the entries back of which nothing was taken: all of it was known
// already. a.mu is held.
func (a *assembler) needless(entries []uint64) {
	for _, n := range entries {
		if !a.buf.Needs(n) {
			a.durable.refused = append(a.durable.refused, n)
		}
	}
}

// keep stores the spans of a request that are held, an entry for each trace: they
// are deleted with their traces. With them go those of their traces that passed
// before, which are known as structure. It returns the entries by trace.
func (a *assembler) keep(now int64, td ptrace.Traces, s *sorted, before map[pcommon.TraceID]ptrace.Traces) (map[trajectory.TraceID]uint64, error) {
	ids, parts := s.byTrace(td)
	values := make([][]byte, len(parts))
	var m ptrace.ProtoMarshaler
	for i, part := range parts {
		body, err := m.MarshalTraces(part)
		if err != nil {
			return nil, err
		}
		var structure []byte
		if passed, ok := before[ids[i]]; ok {
			if structure, err = m.MarshalTraces(passed); err != nil {
				return nil, err
			}
		}
		values[i] = newEntry(kindTraces, now, len(structure)+len(body))
		values[i] = append(append(values[i], structure...), body...) // two messages in one: their lists are joined
	}
	numbers, err := a.put(values)
	if err != nil {
		return nil, err
	}
	entries := make(map[trajectory.TraceID]uint64, len(ids))
	for i, id := range ids {
		entries[trajectory.TraceID(id)] = numbers[i]
	}
	return entries, nil
}

// keepRecords stores the parts of a request of log records.
func (a *assembler) keepRecords(now int64, parts []plog.Logs) ([]uint64, error) {
	values := make([][]byte, len(parts))
	var m plog.ProtoMarshaler
	for i, part := range parts {
		body, err := m.MarshalLogs(part)
		if err != nil {
			return nil, err
		}
		values[i] = append(newEntry(kindLogs, now, len(body)), body...)
	}
	return a.put(values)
}

func (a *assembler) put(values [][]byte) ([]uint64, error) {
	numbers, err := a.durable.store.put(values...)
	if err != nil {
		a.hub.tb.ProcessorTrajectoryStorageFailures.Add(context.Background(), 1, withReason("put"))
	}
	return numbers, err
}

// passedScope is that of spans in the store that passed before anything told that
// their trace is an agent's: no more is known of them than their place.
const passedScope = "tracegrad/passed"

// passedBefore is those spans, by trace. a.mu is held.
func (a *assembler) passedBefore(m marks) map[pcommon.TraceID]ptrace.Traces {
	if a.durable == nil {
		return nil
	}
	out := map[pcommon.TraceID]ptrace.Traces{}
	for id := range m {
		var spans ptrace.SpanSlice
		a.buf.Passed(trajectory.TraceID(id), func(span, parent trajectory.SpanID, remote bool, start, end int64) {
			if _, ok := out[id]; !ok {
				out[id] = ptrace.NewTraces()
				ss := out[id].ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
				ss.Scope().SetName(passedScope)
				spans = ss.Spans()
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

// settle marks what the next component has taken, and deletes what nothing
// needs. After an error of the store the next call does it.
func (a *assembler) settle(ctx context.Context) {
	d := a.durable
	if d == nil {
		return
	}
	a.mu.Lock()
	free := slices.Concat(d.free, d.refused)
	d.free, d.refused = nil, nil
	a.mu.Unlock()
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

// release deletes entries once all that was handed out until now is taken: they
// go with the last batch.
func (a *assembler) release(entries []uint64) {
	switch d, n := a.durable, len(a.out.queue); {
	case d.filling != nil:
		d.filling.free = append(d.filling.free, entries...)
	case n > 0:
		a.out.queue[n-1].free = append(a.out.queue[n-1].free, entries...)
	default:
		d.free = append(d.free, entries...)
	}
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
