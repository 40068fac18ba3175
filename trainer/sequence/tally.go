package sequence

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Tally counts what became of trajectories and their calls.
type Tally struct {
	Rollouts  int            `json:"rollouts"` // with rows
	Rows      int            `json:"rows"`
	Tokens    int            `json:"tokens"`    // in rows
	Trained   int            `json:"trained"`   // of them generated and trained on
	Calls     map[Source]int `json:"calls"`     // trained on, by where their ids are from
	Recompute int            `json:"recompute"` // of them without usable log-probabilities of their own
	Skipped   map[string]int `json:"skipped"`   // trajectories without rows, by reason
	LeftOut   map[string]int `json:"left_out"`  // model calls not trained on, by reason
}

// Add counts one more rollout.
func (t *Tally) Add(r *Rollout) {
	if t.Calls == nil {
		t.Calls, t.Skipped, t.LeftOut = map[Source]int{}, map[string]int{}, map[string]int{}
	}
	for reason, n := range r.LeftOut {
		t.LeftOut[reason] += n
	}
	if r.Skipped != "" {
		t.Skipped[r.Skipped]++
		return
	}
	t.Rollouts++
	t.Rows += len(r.Rows)
	t.Trained += r.Trained()
	for i := range r.Rows {
		t.Tokens += len(r.Rows[i].Tokens)
	}
	last := -1
	for _, s := range r.Spans {
		if s.Step == last {
			continue // a reply in several runs is one call
		}
		last = s.Step
		t.Calls[s.Source]++
		if !s.Logprobs {
			t.Recompute++
		}
	}
}

// Err is nil if there is something to train on; else it says what became of
// everything.
func (t *Tally) Err() error {
	if t.Rows > 0 {
		return nil
	}
	text := "no trajectory can be trained on"
	if len(t.Skipped) > 0 {
		text += ": trajectories " + counts(t.Skipped)
	}
	if len(t.LeftOut) > 0 {
		text += "; model calls " + counts(t.LeftOut)
	}
	return fmt.Errorf("build sequences: %s", text)
}

// counts are reasons with their number, the most frequent first.
func counts(m map[string]int) string {
	keys := slices.SortedFunc(maps.Keys(m), func(a, b string) int { return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b)) })
	for i, k := range keys {
		keys[i] = fmt.Sprintf("%s %d", k, m[k])
	}
	return strings.Join(keys, ", ")
}
