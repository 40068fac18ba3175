package ledger

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// world is a ledger of one trace with a root and two steps, all acknowledged,
// and the rows that it should have become.
func world() (*Ledger, *Rows) {
	l := &Ledger{}
	spans := []Span{{"t1", "root", false}, {"t1", "s1", true}, {"t1", "s2", true}}
	l.Plan(spans)
	l.Acked(spans)
	v := version{"T1", 5, "b1"}
	return l, &Rows{
		trajectories: []trajectoryRow{{version: v, TraceIDs: []string{"t1"}, SpanCount: 3, ModelCalls: 1, ToolCalls: 1, Trainable: true}},
		steps:        map[version][]stepRow{v: {{v, "t1", "s1"}, {v, "t1", "s2"}}},
		messages:     map[version]int{v: 4},
	}
}

func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		change                        func(*Ledger, *Rows)
		missing, twice, torn, foreign int
	}{
		"as it should be": {change: func(*Ledger, *Rows) {}},
		"nothing arrived": {change: func(_ *Ledger, r *Rows) { *r = Rows{} }, missing: 3},
		"not acknowledged, not there": {change: func(l *Ledger, r *Rows) {
			l.Plan([]Span{{"t2", "s", true}})
		}},
		"not acknowledged, and there": {change: func(l *Ledger, r *Rows) {
			l.Plan([]Span{{"t2", "s", true}})
			l.Plan([]Span{{"t2", "root", false}})
			r.add(version{"T2", 1, "b"}, 1, "t2", "s")
		}},
		"acknowledged in part, and there": {change: func(l *Ledger, r *Rows) {
			l.Plan([]Span{{"t2", "s", true}, {"t2", "root", false}})
			l.Acked([]Span{{"t2", "s", true}})
			r.add(version{"T2", 1, "b"}, 1, "t2", "s")
		}},
		"acknowledged in part, and gone": {change: func(l *Ledger, _ *Rows) {
			l.Plan([]Span{{"t2", "s", true}, {"t2", "root", false}})
			l.Acked([]Span{{"t2", "s", true}})
		}, missing: 1},
		"never sent": {change: func(_ *Ledger, r *Rows) { r.add(version{"T2", 1, "b"}, 1, "t2", "s") }, foreign: 1},
		"a step that a prompt shows": {change: func(l *Ledger, r *Rows) {
			l.Plan([]Span{{"t2", "s", true}, {"t2", "root", false}})
			r.add(version{"T2", 1, "b"}, 1, "t2", "s", "")
		}},
		"an unknown span of a known trace": {change: func(l *Ledger, r *Rows) {
			l.Plan([]Span{{"t2", "s", true}, {"t2", "root", false}})
			r.add(version{"T2", 1, "b"}, 1, "t2", "x")
		}, foreign: 1},
		"an older revision": {change: func(_ *Ledger, r *Rows) {
			r.add(version{"T1", 4, "b9"}, 1, "t1", "s1")
		}},
		"written again": {change: func(_ *Ledger, r *Rows) {
			v := version{"T1", 5, "b2"}
			r.add(v, 3, "t1", "s1", "s2")
			r.trajectories[1].ModelCalls = 2
		}},
		"a part outranks the whole": {change: func(_ *Ledger, r *Rows) {
			r.add(version{"T1", 6, "b2"}, 1, "t1", "s1")
		}, missing: 2}, // the span, and the trace is not whole
		"a part beside the whole": {change: func(_ *Ledger, r *Rows) {
			r.add(version{"T2", 6, "b2"}, 1, "t1", "s1")
		}, twice: 2}, // the span, and the trace
		"twice in a file set": {change: func(_ *Ledger, r *Rows) {
			r.trajectories = append(r.trajectories, r.trajectories[0])
		}, twice: 3},
		"the root twice": {change: func(_ *Ledger, r *Rows) { r.trajectories[0].SpanCount = 4 }, twice: 1},
		"no messages":    {change: func(_ *Ledger, r *Rows) { r.messages = nil }, torn: 1},
		"no steps":       {change: func(_ *Ledger, r *Rows) { r.steps = nil }, missing: 2, torn: 1},
		"whole, and not to be trained on": {change: func(_ *Ledger, r *Rows) {
			r.trajectories[0].Trainable = false
		}, torn: 1},
		"a fact": {change: func(l *Ledger, r *Rows) {
			l.PlanFact("f1")
			l.AckedFact("f1")
			l.PlanFact("f2")
			r.facts = map[string]bool{"f1": true}
		}},
		"a lost fact": {change: func(l *Ledger, _ *Rows) {
			l.PlanFact("f1")
			l.AckedFact("f1")
		}, missing: 1},
		"a fact from nowhere": {change: func(_ *Ledger, r *Rows) { r.facts = map[string]bool{"f9": true} }, foreign: 1},
		"two traces in one": {change: func(l *Ledger, r *Rows) {
			l.Plan([]Span{{"t2", "s", true}, {"t2", "root", false}})
			r.trajectories[0].TraceIDs = append(r.trajectories[0].TraceIDs, "t2")
		}, torn: 1},
	} {
		t.Run(name, func(t *testing.T) {
			l, r := world()
			c.change(l, r)
			v := l.Judge(r)
			assert.Len(t, v.Missing, c.missing, "missing: %v", v.Missing)
			assert.Len(t, v.Twice, c.twice, "twice: %v", v.Twice)
			assert.Len(t, v.Torn, c.torn, "torn: %v", v.Torn)
			assert.Len(t, v.Foreign, c.foreign, "foreign: %v", v.Foreign)
			assert.Equal(t, c.missing+c.twice+c.torn+c.foreign == 0, v.Clean())
		})
	}
}

// add is a trajectory of so many spans, with steps.
func (r *Rows) add(v version, spans int, trace string, steps ...string) {
	r.trajectories = append(r.trajectories, trajectoryRow{version: v, TraceIDs: []string{trace}, SpanCount: spans, ModelCalls: len(steps), Trainable: true})
	for _, s := range steps {
		r.steps[v] = append(r.steps[v], stepRow{v, trace, s})
	}
	r.messages[v] = 1
}
