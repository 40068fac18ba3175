package ledger

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Verdict is what is wrong with a dataset. Each entry is one fault, with the
// ids that it concerns.
type Verdict struct {
	Missing []string // acknowledged, and not there
	Twice   []string // there, and counted more than once
	Torn    []string // there, but not as what was sent
	Foreign []string // never sent

	Trajectories int // that count
}

// Clean says whether there is nothing wrong.
func (v *Verdict) Clean() bool { return v.Faults() == 0 }

// Faults is how much is wrong.
func (v *Verdict) Faults() int {
	return len(v.Missing) + len(v.Twice) + len(v.Torn) + len(v.Foreign)
}

// shown bounds how many faults of a kind are printed.
const shown = 5

// String lists the first faults of each kind.
func (v *Verdict) String() string {
	var b strings.Builder
	for _, kind := range []struct {
		name string
		list []string
	}{{"missing", v.Missing}, {"twice", v.Twice}, {"torn", v.Torn}, {"foreign", v.Foreign}} {
		if len(kind.list) > 0 {
			fmt.Fprintf(&b, "\n%d %s:\n  %s", len(kind.list), kind.name, strings.Join(kind.list[:min(shown, len(kind.list))], "\n  "))
		}
	}
	return b.String()
}

// Judge holds the rows that count against what was acknowledged:
//
//   - an acknowledged step is in exactly one trajectory, once; one that was sent
//     and never acknowledged in one at most;
//   - a trace whose spans were all acknowledged is one trajectory, whole: all its
//     spans, steps and messages, trainable, and no other trace in it;
//   - an acknowledged fact is there;
//   - what was never sent is not there.
func (l *Ledger) Judge(r *Rows) *Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	v, rows := &Verdict{}, r.live()
	v.Trajectories = len(rows)
	found := map[string]map[string]int{} // trace → span → how often
	of := map[string][]trajectoryRow{}   // trace → trajectories
	for _, t := range rows {
		for _, id := range t.TraceIDs {
			of[id] = append(of[id], t)
			if l.traces[id] == nil {
				v.Foreign = append(v.Foreign, fmt.Sprintf("trace %s in trajectory %s", id, t.ID))
			}
		}
		for _, s := range r.steps[t.version] {
			if found[s.TraceID] == nil {
				found[s.TraceID] = map[string]int{}
			}
			found[s.TraceID][s.SpanID]++
		}
	}
	for _, id := range slices.Sorted(maps.Keys(l.traces)) {
		t := l.traces[id]
		v.spans(id, t, found[id])
		if t.acked() == t.planned {
			v.whole(id, t, of[id], r)
		}
	}
	v.facts(l.facts, r.facts)
	return v
}

func (v *Verdict) facts(sent, found map[string]bool) {
	for _, id := range slices.Sorted(maps.Keys(sent)) {
		if sent[id] && !found[id] {
			v.Missing = append(v.Missing, "fact "+id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(found)) {
		if _, ok := sent[id]; !ok {
			v.Foreign = append(v.Foreign, "fact "+id)
		}
	}
}

// spans judges the steps of a trace one by one.
func (v *Verdict) spans(id string, t *trace, found map[string]int) {
	for _, spanID := range slices.Sorted(maps.Keys(t.spans)) {
		s, n := t.spans[spanID], found[spanID]
		switch {
		case s.step && s.acked && n == 0:
			v.Missing = append(v.Missing, fmt.Sprintf("span %s of trace %s", spanID, id))
		case n > 1:
			v.Twice = append(v.Twice, fmt.Sprintf("span %s of trace %s, %d times", spanID, id, n))
		}
	}
	for spanID := range found {
		// A run of a tool that only the next call's prompt shows has no span.
		if spanID != "" && t.spans[spanID] == nil {
			v.Foreign = append(v.Foreign, fmt.Sprintf("span %s of trace %s", spanID, id))
		}
	}
}

// whole judges a trace of which everything was acknowledged.
func (v *Verdict) whole(id string, t *trace, rows []trajectoryRow, r *Rows) {
	switch {
	case len(rows) == 0:
		v.Missing = append(v.Missing, "trace "+id)
		return
	case len(rows) > 1:
		v.Twice = append(v.Twice, fmt.Sprintf("trace %s, in %d trajectories: %s", id, len(rows), describe(rows)))
		return
	}
	row := rows[0]
	switch steps := len(r.steps[row.version]); {
	case len(row.TraceIDs) != 1:
		v.Torn = append(v.Torn, fmt.Sprintf("trace %s shares a trajectory with others: %s", id, describe(rows)))
	case row.SpanCount < t.planned:
		v.Missing = append(v.Missing, fmt.Sprintf("trace %s has %d of %d spans: %s", id, row.SpanCount, t.planned, describe(rows)))
	case row.SpanCount > t.planned:
		v.Twice = append(v.Twice, fmt.Sprintf("trace %s has %d of %d spans: %s", id, row.SpanCount, t.planned, describe(rows)))
	case steps != t.steps() || row.ModelCalls+row.ToolCalls != steps:
		v.Torn = append(v.Torn, fmt.Sprintf("trace %s has %d of %d steps: %s", id, steps, t.steps(), describe(rows)))
	case r.messages[row.version] == 0:
		v.Torn = append(v.Torn, fmt.Sprintf("trace %s has no messages: %s", id, describe(rows)))
	case !row.Trainable:
		v.Torn = append(v.Torn, fmt.Sprintf("trace %s is whole and not trainable: %s", id, describe(rows)))
	}
}

func describe(rows []trajectoryRow) (s string) {
	for _, t := range rows {
		s += fmt.Sprintf("[%s revision %d batch %s, %d spans, %s %v] ", t.ID, t.Revision, t.Batch, t.SpanCount, t.CloseReason, t.Reasons)
	}
	return s
}
