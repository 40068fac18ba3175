// Package ledger knows what was sent to Collectors and what they acknowledged,
// and holds a dataset against it: nothing that was acknowledged may be missing,
// and nothing may be there twice.
package ledger

import "sync"

// Span is a span that was sent.
type Span struct {
	Trace, ID string // lower-case hex
	Step      bool   // a model call or a tool run, so a row of its own in `steps`
}

// Ledger is what was sent. The zero value is empty and ready; it is safe for
// concurrent use.
type Ledger struct {
	mu     sync.Mutex
	traces map[string]*trace
	facts  map[string]bool // acknowledged, by id
}

// trace is the spans of one run of an agent.
type trace struct {
	planned int // spans that it has
	spans   map[string]*span
}

type span struct{ step, acked bool }

// Plan adds the spans that will be sent. A trace whose spans are all planned
// and acknowledged must become one whole trajectory.
func (l *Ledger) Plan(spans []Span) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.traces == nil {
		l.traces = map[string]*trace{}
	}
	for _, s := range spans {
		t := l.traces[s.Trace]
		if t == nil {
			t = &trace{spans: map[string]*span{}}
			l.traces[s.Trace] = t
		}
		if t.spans[s.ID] == nil {
			t.spans[s.ID] = &span{step: s.Step}
			t.planned++
		}
	}
}

// Acked notes that a Collector answered for the spans. They must be planned.
func (l *Ledger) Acked(spans []Span) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range spans {
		l.traces[s.Trace].spans[s.ID].acked = true
	}
}

// PlanFact adds a fact that will be sent.
func (l *Ledger) PlanFact(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.facts == nil {
		l.facts = map[string]bool{}
	}
	l.facts[id] = false
}

// AckedFact notes that a Collector answered for the fact. It must be planned.
func (l *Ledger) AckedFact(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.facts[id] = true
}

// Count is how many spans were planned and how many of them acknowledged.
func (l *Ledger) Count() (planned, acked int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.traces {
		planned += t.planned
		acked += t.acked()
	}
	return planned, acked
}

func (t *trace) acked() (n int) {
	for _, s := range t.spans {
		if s.acked {
			n++
		}
	}
	return n
}

// steps is how many spans of the trace become a row of `steps`.
func (t *trace) steps() (n int) {
	for _, s := range t.spans {
		if s.step {
			n++
		}
	}
	return n
}
