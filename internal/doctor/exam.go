package doctor

import (
	"errors"
	"hash/maphash"
	"strconv"

	"github.com/tracegrad/tracegrad/internal/buffer"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// Limits of an exam: beyond them a sample is enough.
const (
	maxBytes  = 512 << 20 // of decoded spans
	maxTraces = 1 << 20
	maxRoots  = 5_000 // roots whose attributes are kept
	maxValues = 1_000 // distinct values of an attribute, names of tools, models and facts that are told apart
	maxTasks  = 1 << 20
)

// ErrEnough says that the exam takes no more: it has seen enough for advice.
var ErrEnough = errors.New("enough was seen: the rest was left out")

// Exam looks at decoded spans. They are joined to trajectories the way the
// collector joins them, and counted. It is not safe for concurrent use.
type Exam struct {
	buf     *buffer.Buffer
	now     int64 // spans are told apart by arrival, not by time
	origins []Origin
	byName  map[Origin]int32
	home    map[spanKey]spanNote
	hosts   map[spanKey]int32 // origin of the records of spans that did not come
	verdict map[string]fact   // by what it is about: trajectory, trace, response or conversation
	roots   map[trajectory.TraceID][]pair
	open    map[trajectory.TraceID]bool    // traces whose root did not end
	tallies map[string]*tally              // by service
	idle    map[string]*tally              // of runs that neither call a model nor run a tool
	passed  map[trajectory.TraceID]*passed // traces that are no agent's, so far
	logs    map[string]int                 // log records by service
	cut     string
	full    bool

	spans, calls, records int // so far, for those who wait
}

type spanKey struct {
	trace trajectory.TraceID
	span  trajectory.SpanID
}

// spanNote is what a span tells beside what is decoded.
type spanNote struct {
	origin  int32
	limit   int32 // characters of its longest value, if its content was cut
	attrs   uint16
	dropped bool
	counted bool // in a trajectory
}

type pair struct{ name, value string }

// NewExam returns an exam that has seen nothing.
func NewExam() *Exam { return newExam(maxBytes) }

func newExam(bytes int64) *Exam {
	return &Exam{
		buf: buffer.New(buffer.Config{
			RootGrace: 1, Idle: 1, MaxAge: 1 << 62,
			MaxTrajectoryBytes: bytes / 4, MaxBytes: bytes, MaxOpen: maxTraces,
		}),
		byName:  map[Origin]int32{},
		home:    map[spanKey]spanNote{},
		hosts:   map[spanKey]int32{},
		verdict: map[string]fact{},
		roots:   map[trajectory.TraceID][]pair{},
		open:    map[trajectory.TraceID]bool{},
		passed:  map[trajectory.TraceID]*passed{},
		logs:    map[string]int{},
		tallies: map[string]*tally{},
		idle:    map[string]*tally{},
	}
}

// Sofar is how many spans of agents were taken, and how many of them are model
// calls.
func (e *Exam) Sofar() (spans, calls, records int) { return e.spans, e.calls, e.records }

// span is a span on its way into an exam.
type span struct {
	*trajectory.Span
	origin  Origin
	note    spanNote
	context []pair // of a root: what else stands on it and on its resource
}

// add takes the spans of one request.
func (e *Exam) add(spans []span) error {
	switch {
	case e.full:
		return ErrEnough
	case len(spans) == 0:
		return nil
	}
	items := make([]buffer.Item, len(spans))
	for i := range spans {
		items[i] = buffer.Item{Span: spans[i].Span}
	}
	if err := e.buf.Add(e.now, items); err != nil {
		e.full = true
		e.cut = strconv.Itoa(e.spans) + " spans are enough for advice: the rest was not looked at"
		return ErrEnough
	}
	for i := range spans {
		e.open[spans[i].TraceID] = true
	}
	for _, w := range e.buf.Rested() {
		delete(e.open, w.Trace)
	}
	for i := range spans {
		s := &spans[i]
		if s.Record != trajectory.RecordNone {
			e.records++
			e.hosts[spanKey{s.TraceID, s.ParentID}] = e.origin(s.origin)
			continue
		}
		key := spanKey{s.TraceID, s.SpanID}
		if _, again := e.home[key]; again {
			continue
		}
		s.note.origin = e.origin(s.origin)
		e.home[key] = s.note
		delete(e.passed, s.TraceID)
		e.spans++
		if s.Role == trajectory.RoleModelSpan {
			e.calls++
		}
		if s.context != nil && len(e.roots) < maxRoots {
			e.roots[s.TraceID] = append(e.roots[s.TraceID], s.context...)
		}
	}
	return nil
}

// whole says whether every trace that came has its root.
func (e *Exam) whole() bool { return e.spans > 0 && len(e.open) == 0 }

func (e *Exam) origin(o Origin) int32 {
	i, ok := e.byName[o]
	if !ok {
		i = int32(len(e.origins)) //nolint:gosec // as many as there are instrumentations
		e.origins, e.byName[o] = append(e.origins, o), i
	}
	return i
}

// Seen ends the exam and says what was seen. An exam has one end.
func (e *Exam) Seen() *Seen {
	for _, c := range e.buf.Flush(e.now + 2) {
		t := trajectory.Assemble(c.Spans, c.Options)
		e.count(t, c.Spans)
	}
	e.leftover()
	for name, t := range e.idle {
		if full := e.tallies[name]; full != nil {
			full.Idle = t.Runs
		} else {
			e.tallies[name] = t
		}
	}
	var services []*Service
	for _, t := range e.tallies {
		services = append(services, t.done())
	}
	seen := NewSeen(services)
	seen.Cut = e.cut
	e.others(seen)
	return seen
}

// others counts what is no agent's: spans by service.
func (e *Exam) others(seen *Seen) {
	ours := map[string]bool{}
	for _, o := range e.origins {
		ours[o.Service] = true
	}
	for _, s := range seen.Services {
		s.Logs = e.logs[s.Name]
		for _, em := range s.Emitters {
			if em.Service != "" {
				s.Logs += e.logs[em.Service]
			}
		}
	}
	seen.Others = map[string]int{}
	for _, p := range e.passed {
		if !ours[p.service] {
			seen.Others[p.service] += p.spans
		}
	}
}

var seed = maphash.MakeSeed()

func hash(s string) uint64 { return maphash.String(seed, s) }

// leftover counts the traces that show nothing of an attempt: the buffer hands
// out no trajectory for them.
func (e *Exam) leftover() {
	seen := map[trajectory.TraceID]bool{}
	for key, note := range e.home {
		if note.counted {
			continue
		}
		t := tallyOf(e.idle, e.origins[note.origin].Service)
		t.Spans++
		t.emitter(e, note.origin).Spans++
		if !seen[key.trace] {
			seen[key.trace] = true
			t.Runs++
			t.Traces++
			t.Reasons[string(trajectory.ReasonNoModelCall)]++
		}
	}
}

// passed is what went by of a trace.
type passed struct {
	service string
	spans   int
}

// pass notes a span of a trace that is no agent's, so far.
func (e *Exam) pass(service string, trace trajectory.TraceID, id, parent trajectory.SpanID, start, end int64) {
	e.buf.Pass(trace, id, parent, false, start, end)
	p := e.passed[trace]
	if p == nil {
		if len(e.passed) >= maxTraces {
			return
		}
		p = &passed{service: service}
		e.passed[trace] = p
	}
	p.spans++
}
