package trajectoryprocessor

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// store is the log of a processor with storage: what it acknowledged and what
// became of it, in the client of a storage extension. README.md says what lies
// where.
//
// Its entries are numbered from 1. An entry is deleted when nothing of it is
// held any more, so there are gaps. Two keys bound where entries may be.
type store struct {
	client storage.Client

	mu      sync.Mutex      // guards what follows
	next    uint64          // number of the next entry
	needed  uint64          // no request has a lower number
	kept    map[uint64]bool // requests that are needed, and numbers that are reserved
	marks   []mark          // by number
	marked  int             // trajectories in marks
	bounds  bounds          // as they are stored
	limit   uint64          // no entry has this number or a higher one
	free    []uint64        // to be deleted
	waiting []*write
	busy    bool // somebody writes
}

// mark is an entry of what was handed on, or of a jump of the clock. It is needed
// as long as any request before it is, and tells for long after which trajectories
// there were.
type mark struct {
	number       uint64
	trajectories int
}

const (
	mostMarked = 200_000 // trajectories that are remembered after nothing else of them is
	oldestMark = 1 << 20 // entries that may have come since
)

// bounds are where entries may be: first <= number < limit.
type bounds struct{ first, limit uint64 }

// kind of an entry is its first byte. Behind it are the time of arrival in ns
// since the Unix epoch, 8 bytes, little endian, and the body.
type kind byte

const (
	kindTraces kind = 1 // an OTLP request of spans, protobuf
	kindLogs   kind = 2 // an OTLP request of log records, protobuf
	kindHanded kind = 3 // what was handed on at that time: see handed
	kindJump   kind = 4 // the clock was set: by how many ns, 8 bytes, little endian
	kindResume kind = 5 // a new start: after how many ns, 8 bytes, little endian
)

const (
	keyFirst = "first"
	keyLimit = "limit"
	keyAside = "unreadable/" // before the key of an entry that cannot be read

	// stride is how far the stored bounds may be behind and ahead of the entries,
	// so that they are not written with each.
	stride = 1024

	entryHeader = 9

	// What is read at once.
	mostAtOnce = 256
	pageBytes  = 4 * mib
)

// openStore opens what the processor left, if it left anything.
func openStore(ctx context.Context, host component.Host, ext, id component.ID) (*store, error) {
	have, ok := host.GetExtensions()[ext]
	if !ok {
		return nil, fmt.Errorf("storage: there is no extension %q: add it under `extensions` and to `service::extensions`", ext)
	}
	from, ok := have.(storage.Extension)
	if !ok {
		return nil, fmt.Errorf("storage: the extension %q stores nothing: name one such as file_storage", ext)
	}
	client, err := from.GetClient(ctx, component.KindProcessor, id, "")
	if err != nil {
		return nil, fmt.Errorf("storage: open %q: %w", ext, err)
	}
	s, err := newStore(ctx, client)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("storage: %q: %w", ext, err), client.Close(ctx))
	}
	return s, nil
}

func newStore(ctx context.Context, client storage.Client) (*store, error) {
	first, limit := storage.GetOperation(keyFirst), storage.GetOperation(keyLimit)
	if err := client.Batch(ctx, first, limit); err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	s := &store{client: client, kept: map[uint64]bool{}}
	for _, b := range []struct {
		from *storage.Operation
		to   *uint64
	}{{first, &s.bounds.first}, {limit, &s.bounds.limit}} {
		if b.from.Value == nil {
			continue
		}
		n, err := strconv.ParseUint(string(b.from.Value), 16, 64)
		if err != nil {
			return nil, fmt.Errorf("read %q: %w: move the storage away to begin anew", b.from.Key, err)
		}
		*b.to = n
	}
	s.needed, s.limit = s.bounds.first, s.bounds.limit
	s.next = max(s.limit, 1)
	return s, nil
}

func keyOf(n uint64) string { return fmt.Sprintf("%016x", n) }

// entry is one of the log.
type entry struct {
	number uint64
	kind   kind
	at     int64 // ns since the Unix epoch
	body   []byte
}

// newEntry is an entry without its body, with room for it.
func newEntry(k kind, at int64, room int) []byte {
	out := make([]byte, 0, entryHeader+room)
	out = append(out, byte(k))
	return binary.LittleEndian.AppendUint64(out, uint64(at)) //nolint:gosec // read back as it is
}

// load calls f with the entries in order. One that f cannot read is set aside,
// and is among the errors that are returned first.
func (s *store) load(ctx context.Context, f func(entry) error) (unreadable []error, err error) {
	some := uint64(1) // entries at a time: more of small ones, fewer of large ones
	for from, next := s.bounds.first, uint64(0); from < s.bounds.limit; from = next {
		var ops []*storage.Operation
		next = min(from+some, s.bounds.limit)
		for n := from; n < next; n++ {
			ops = append(ops, storage.GetOperation(keyOf(n)))
		}
		if err := s.client.Batch(ctx, ops...); err != nil {
			return unreadable, fmt.Errorf("storage: read: %w", err)
		}
		size := 0
		for _, op := range ops {
			size += len(op.Value)
		}
		if some = min(2*some, mostAtOnce); size > pageBytes {
			some = max(some/4, 1)
		}
		for i, op := range ops {
			if op.Value == nil {
				continue
			}
			n := from + uint64(i) //nolint:gosec // an index
			bad := s.read(n, op.Value, f)
			if bad == nil {
				continue
			}
			unreadable = append(unreadable, bad)
			s.drop(n)
			if err := s.client.Batch(ctx, storage.SetOperation(keyAside+op.Key, op.Value), storage.DeleteOperation(op.Key)); err != nil {
				return unreadable, fmt.Errorf("storage: set an entry aside: %w", err)
			}
		}
	}
	return unreadable, nil
}

func (s *store) read(n uint64, value []byte, f func(entry) error) error {
	if len(value) < entryHeader {
		return fmt.Errorf("entry %d: %d bytes are too few", n, len(value))
	}
	e := entry{number: n, kind: kind(value[0]), at: int64(binary.LittleEndian.Uint64(value[1:])), body: value[entryHeader:]} //nolint:gosec // as it was written
	s.mu.Lock()
	switch e.kind {
	case kindHanded:
		s.mark(n, len(e.body)/handedSize)
	case kindJump, kindResume:
		s.mark(n, 0)
	default:
		s.kept[n] = true
	}
	s.mu.Unlock()
	if err := f(e); err != nil {
		return fmt.Errorf("entry %d: %w", n, err)
	}
	return nil
}

// reserve returns the number of an entry that is stored later, or dropped.
func (s *store) reserve() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.take()
}

func (s *store) take() uint64 {
	n := s.next
	s.next++
	s.kept[n] = true
	if n >= s.limit {
		s.limit = n + stride
	}
	return n
}

// put stores the parts of a request and returns their numbers. When it returns,
// they survive the end of the process. Requests of several callers are stored in
// one transaction.
func (s *store) put(values ...[]byte) ([]uint64, error) {
	numbers := make([]uint64, len(values))
	w := &write{ops: make([]*storage.Operation, len(values))}
	s.mu.Lock()
	for i, value := range values {
		numbers[i] = s.take()
		w.ops[i] = storage.SetOperation(keyOf(numbers[i]), value)
	}
	if err := s.write(w); err != nil {
		s.mu.Lock()
		for _, n := range numbers {
			delete(s.kept, n)
		}
		s.free = append(s.free, numbers...) // who knows what was done
		s.mu.Unlock()
		return nil, fmt.Errorf("storage: %w", err)
	}
	return numbers, nil
}

// putMark stores a mark of no trajectories.
func (s *store) putMark(value []byte) error {
	numbers, err := s.put(value)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mark(numbers[0], 0)
	return nil
}

// settle stores what was handed on, and deletes requests of which nothing is
// held. After an error, call it again with the same that was handed on; what is
// to be deleted it remembers.
func (s *store) settle(done []handed, free []uint64) error {
	w := &write{}
	for i := range done {
		w.ops = append(w.ops, storage.SetOperation(keyOf(done[i].number), done[i].entry))
	}
	s.mu.Lock()
	for i := range done {
		if s.kept[done[i].number] {
			s.mark(done[i].number, (len(done[i].entry)-entryHeader)/handedSize)
		}
	}
	for _, n := range free {
		delete(s.kept, n)
	}
	s.free = append(s.free, free...)
	s.advance()
	freed := s.free
	for _, n := range freed {
		w.ops = append(w.ops, storage.DeleteOperation(keyOf(n)))
	}
	if len(w.ops) == 0 {
		s.mu.Unlock()
		return nil
	}
	s.free = nil
	if err := s.write(w); err != nil {
		s.mu.Lock()
		s.free = append(s.free, freed...)
		s.mu.Unlock()
		return fmt.Errorf("storage: %w", err)
	}
	return nil
}

// mark makes a mark of a number that was kept or is new.
func (s *store) mark(n uint64, trajectories int) {
	delete(s.kept, n)
	at, _ := s.markAt(n) // nearly always the last
	s.marks = slices.Insert(s.marks, at, mark{n, trajectories})
	s.marked += trajectories
}

func (s *store) markAt(n uint64) (int, bool) {
	return slices.BinarySearchFunc(s.marks, n, func(m mark, n uint64) int { return cmp.Compare(m.number, n) })
}

// drop forgets an entry that cannot be read.
func (s *store) drop(n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.kept, n)
	if at, ok := s.markAt(n); ok {
		s.marked -= s.marks[at].trajectories
		s.marks = slices.Delete(s.marks, at, at+1)
	}
}

// advance finds the first request that is needed, and frees the marks before it
// that are too many or too old. s.mu is held.
func (s *store) advance() {
	for s.needed < s.next && !s.kept[s.needed] {
		s.needed++
	}
	for len(s.marks) > 0 && s.marks[0].number < s.needed && (s.marked > mostMarked || s.marks[0].number+oldestMark < s.next) {
		s.free = append(s.free, s.marks[0].number)
		s.marked -= s.marks[0].trajectories
		s.marks = s.marks[1:]
	}
}

// first is the lowest number of an entry. What is to be deleted may still be
// there.
func (s *store) first() uint64 {
	n := s.needed
	if len(s.marks) > 0 {
		n = min(n, s.marks[0].number)
	}
	if len(s.free) > 0 {
		n = min(n, slices.Min(s.free))
	}
	return n
}

// stored is how many entries there are.
func (s *store) stored() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(len(s.kept) + len(s.marks))
}

// write is operations that somebody waits for.
type write struct {
	ops  []*storage.Operation
	done chan struct{}
	err  error
}

// write does what w says, together with what others want at the same time. s.mu
// is held when it is called and not when it returns.
func (s *store) write(w *write) error {
	w.done = make(chan struct{})
	s.waiting = append(s.waiting, w)
	if s.busy {
		s.mu.Unlock()
		<-w.done
		return w.err
	}
	s.busy = true
	s.mu.Unlock()
	s.writeWaiting()
	return w.err
}

// writeWaiting does what is wanted, in one transaction. Nobody may take it back
// halfway: what is stored must be known to be.
func (s *store) writeWaiting() {
	s.mu.Lock()
	list, now := s.waiting, bounds{s.first(), s.limit}
	s.waiting = nil
	s.mu.Unlock()
	var ops []*storage.Operation
	for _, w := range list {
		ops = append(ops, w.ops...)
	}
	if now.limit != s.bounds.limit || now.first >= s.bounds.first+stride {
		ops = append(ops, storage.SetOperation(keyFirst, strconv.AppendUint(nil, now.first, 16)), storage.SetOperation(keyLimit, strconv.AppendUint(nil, now.limit, 16)))
	} else {
		now = s.bounds
	}
	err := s.client.Batch(context.Background(), ops...)
	if err == nil {
		s.bounds = now // read and written by who is busy only
	}
	for _, w := range list {
		w.err = err
		close(w.done)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) > 0 {
		go s.writeWaiting() // the one who was first need not wait for all
		return
	}
	s.busy = false
}

func (s *store) close(ctx context.Context) error { return s.client.Close(ctx) }
