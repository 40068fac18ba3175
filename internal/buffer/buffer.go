// Package buffer waits until trajectories are whole.
//
// It is the pure core of the trajectory processor and of `tracegrad import`: spans go in with [Buffer.Add],
// trajectories that need not wait any longer come out of [Buffer.Due]. It starts
// no goroutine and reads no clock: every call that depends on time is told what
// time it is, in ns since the Unix epoch. The same calls give the same answers.
// A Buffer is not safe for concurrent use.
//
// From the outside in: a unit is what waits and closes as one. It holds traces:
// one where a trace is a trajectory, several where they are joined by a rollout
// id, by the configured attributes, by a conversation or by their message
// history. A closed unit of fragments is cut into trajectories; every other is
// one trajectory.
package buffer

import (
	"errors"
	"time"

	"github.com/tracegrad/tracegrad/internal/pack"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// Errors of Add. Nothing of the refused items is kept.
var (
	// ErrFull says that the items do not fit now; they will when open
	// trajectories have closed.
	ErrFull = errors.New("trajectories waiting for spans fill max_memory_mib")
	// ErrTooLarge says that the items can never fit.
	ErrTooLarge = errors.New("request is larger than max_memory_mib")
)

// Config bounds a Buffer. All fields must be set; LateWindow may be 0.
type Config struct {
	RootGrace  time.Duration // wait after the root ended and no child is open
	Idle       time.Duration // wait after the last span where no root can tell
	MaxAge     time.Duration // nothing is open for longer
	LateWindow time.Duration // how long closed trajectories take more spans

	MaxTrajectoryBytes int64 // per unit
	MaxBytes           int64 // in all, closed units in their late window included
	MaxOpen            int   // open units

	ByKey  bool // Item.Key joins traces, nothing else does
	Yields bool // revisions never outrank those of a Buffer that saw the same spans as they came
}

// Item is one decoded span on its way into a Buffer.
type Item struct {
	Span *trajectory.Span // owned by the Buffer from now on; Seq is set
	Key  string           // with Config.ByKey: spans of one key are one trajectory; "" = the trace is
	Raw  any              // handed back once with the trajectory; nil = nothing
	Size int              // bytes that Raw holds
	Log  uint64           // entry of the owner's log that holds the span; 0 = none. See Buffer.Released
}

// Buffer holds the spans of trajectories that may still grow.
type Buffer struct {
	cfg      Config
	traces   map[trajectory.TraceID]*trace
	units    map[string]*unit // by join key
	sessions map[sessionKey][]*session
	past     *aliases
	waiting  map[trajectory.TraceID][]*trace // that look for the trace that their roots link to
	recent   recent
	clock    clock
	story    index
	// witnesses of model calls; nil until a gateway's comes.
	witnesses *witnesses

	open     list // open units, least recently active first
	closed   list // units in their late window, closed first first
	bytes    int64
	residue  int64 // of bytes, in closed units
	extern   int64
	now      int64
	seq      uint64
	flushing bool // nothing is kept any more
	rested   []Whole

	round    uint64 // of Buffer.fresh
	compared int64  // messages of calls; tests hold it against the number of calls

	logged   map[uint64]int // entry of the log → traces that need it
	released []uint64

	packer  pack.Packer
	request uint64   // serial, of the one that is being added
	touched []*trace // of it
	ready   []Closed
	tally   Tally
}

// New returns an empty Buffer.
func New(cfg Config) *Buffer {
	return &Buffer{
		cfg:      cfg,
		traces:   map[trajectory.TraceID]*trace{},
		units:    map[string]*unit{},
		sessions: map[sessionKey][]*session{},
		past:     newAliases(2 * cfg.MaxOpen),
		story:    index{},
		waiting:  map[trajectory.TraceID][]*trace{},
		logged:   map[uint64]int{},
	}
}

// Knows says whether spans of a trace are held: it is open or in its late
// window. All its spans belong into Add, whatever they look like.
func (b *Buffer) Knows(id trajectory.TraceID) bool {
	_, ok := b.traces[id]
	return ok
}

// Pass notes a span that went by because nothing says that its trace is an
// agent's. If that turns out wrong soon, the span is known as structure.
func (b *Buffer) Pass(id trajectory.TraceID, span, parent trajectory.SpanID, remote bool, start, end int64) {
	b.recent.note(passed{trace: id, span: span, parent: parent, remote: remote, start: start, end: end})
}

// Hold tells the Buffer how many bytes its owner holds beside it: they count
// against MaxBytes.
func (b *Buffer) Hold(bytes int64) { b.extern = bytes }

// Open returns how many trajectories, or clusters of fragments, are open.
func (b *Buffer) Open() int { return b.open.n }

// Bytes returns what is held, late windows and Hold included.
func (b *Buffer) Bytes() int64 { return b.bytes + b.extern }

// Full says that Add would refuse any new span.
func (b *Buffer) Full() bool { return b.bytes-b.residue+b.extern >= b.cfg.MaxBytes }

// Add takes the items of one request: all of them or, with an error, none. A
// span that is known already is dropped and counted.
func (b *Buffer) Add(now int64, items []Item) error {
	b.now = now
	items = b.adoptAll(items)
	if err := b.makeRoom(items); err != nil {
		b.refuse(items)
		return err
	}
	for i := range items {
		b.insert(&items[i])
		b.meet(items[i].Span)
	}
	for _, t := range b.touched {
		t.touched = false
		if b.traces[t.id] == t { // else handed out with a trace of the same request, and forgotten
			b.settle(t)
		}
	}
	clear(b.touched)
	b.touched = b.touched[:0]
	for b.open.n > b.cfg.MaxOpen {
		b.close(b.open.first, trajectory.CloseEvicted)
	}
	return nil
}

// makeRoom drops closed units, oldest first, until the items fit.
func (b *Buffer) makeRoom(items []Item) error {
	need := int64(0)
	b.request++
	for i := range items {
		need += b.need(&items[i])
	}
	if need > b.cfg.MaxBytes {
		return ErrTooLarge
	}
	if b.bytes+b.extern+need <= b.cfg.MaxBytes {
		return nil
	}
	if b.bytes-b.residue+b.extern+need > b.cfg.MaxBytes {
		return ErrFull
	}
	for b.bytes+b.extern+need > b.cfg.MaxBytes && b.closed.first != nil {
		b.tally.Forgotten++
		b.expire(b.closed.first)
	}
	return nil
}

// need is how many bytes an item takes; of one that is too large only the
// structure is kept.
func (b *Buffer) need(it *Item) int64 {
	c := cost(it)
	if c > b.cfg.MaxTrajectoryBytes {
		c = spanCost
	}
	t := b.traces[it.Span.TraceID]
	if t == nil || !t.known.has(it.Span.SpanID) {
		return c + b.unfolding(t)
	}
	if old, holds := t.unfinished(it.Span); old != nil {
		return max(c-holds, 0)
	}
	return 0
}

// insert puts a span into its trace.
func (b *Buffer) insert(it *Item) {
	s := it.Span
	t := b.traces[s.TraceID]
	if t == nil {
		t = b.newTrace(s.TraceID)
		b.touch(t)
	}
	switch {
	case t.unit != nil && t.unit.state == truncated || t.overflow:
		b.tally.AfterTruncation++
		return
	case t.known.has(s.SpanID):
		old, holds := t.unfinished(s)
		if old == nil {
			b.tally.Duplicate++
			return
		}
		if t.call == old {
			b.unlink(t) // it says more now
		}
		fits := b.fit(t, it, cost(it)-holds)
		if fits.Raw == nil {
			holds = spanSize(old) // what it came with stays
		}
		t.finish(old, fits, b.now)
		b.needs(t, it.Log)
		b.grow(t, cost(fits)-holds)
	default:
		b.unfold(t)
		it = b.fit(t, it, cost(it))
		b.seq++
		it.Span.Seq = b.seq
		t.add(it, b.now)
		b.needs(t, it.Log)
		b.grow(t, cost(it))
		if s.Record == trajectory.RecordNone {
			b.tally.Accepted[s.Role]++
		} else {
			b.tally.Records++
		}
		if t.continues != "" {
			b.tally.Late++
		}
	}
	if it.Key != "" && t.key == "" {
		t.key = it.Key
	}
	b.note(t, it.Span)
	b.touch(t)
}

// fit returns the item, or its structure where so many bytes more do not fit
// into the trajectory.
func (b *Buffer) fit(t *trace, it *Item, more int64) *Item {
	if t.held()+more <= b.cfg.MaxTrajectoryBytes {
		return it
	}
	t.overflow = true
	b.tally.Stripped++
	return &Item{Span: strip(it.Span), Key: it.Key, Log: it.Log}
}

// touch makes Add settle a trace once, after all items are in.
func (b *Buffer) touch(t *trace) {
	if !t.touched {
		t.touched = true
		b.touched = append(b.touched, t)
	}
}

func (b *Buffer) newTrace(id trajectory.TraceID) *trace {
	t := &trace{id: id, firstSeen: b.now, continues: b.past.of(id)}
	b.traces[id] = t
	b.bytes += traceCost
	t.bytes = traceCost
	b.recent.of(id, func(p *passed) {
		if !t.known.has(p.span) {
			b.seq++
			it := Item{Span: p.asSpan(b.seq)}
			t.add(&it, b.now)
			b.grow(t, cost(&it))
		}
	})
	return t
}

// grow accounts for bytes that a trace holds more.
func (b *Buffer) grow(t *trace, by int64) {
	t.bytes += by
	b.bytes += by
	if t.unit != nil {
		t.unit.bytes += by
		if t.unit.state != opened {
			b.residue += by
		}
	}
}

// settle finds the unit of a trace that grew and winds its clock.
func (b *Buffer) settle(t *trace) {
	if t.unit != nil && t.unit.state == truncated {
		return // by a trace of the same request
	}
	b.readRecords(t)
	b.place(t)
	u := t.unit
	if u.state == truncated {
		b.tally.AfterTruncation += int64(len(t.spans))
		b.empty(t)
		return
	}
	u.settle(t)
	b.reopen(u)
	u.last = b.now
	b.open.moveToBack(u)
	if t.overflow || u.bytes > b.cfg.MaxTrajectoryBytes {
		b.truncate(u)
		return
	}
	b.wind(u)
	b.foldWhole(t)
}
