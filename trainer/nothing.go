package trainer

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Counts says what became of every live trajectory.
type Counts struct {
	Live    int       `json:"live"`
	LeftOut []LeftOut `json:"left_out"` // most frequent first
	Holdout int       `json:"holdout"`  // scored, kept for the gate
	Trained int       `json:"trained"`  // in groups that carry a signal
	Groups  int       `json:"groups"`   // such groups
}

// LeftOut counts trajectories that had no part in the run.
type LeftOut struct {
	Reason string `json:"reason"`
	Count  int    `json:"count"`
	Words  string `json:"words"` // what it means and what to do
}

// words explain the reasons in the order of the path.
var words = []struct{ prefix, words string }{
	{"before_window", "ended before the window"},
	{"too_young", "ended less than min_age ago: facts may still come"},
	{"where", "the condition where is not true"},
	{"agent", "none of the agents took part"},
	{"not_trainable", "the telemetry does not show everything"},
	{"used", "max_uses nights trained on it already"},
	{"max_trajectories", "as many newer ones were taken: the next night sees it again if its window does"},
	{"no_group", "group_by gives NULL or an empty text"},
	{"reward_missing", "a rule with missing: mask has no value yet: post the feedback it waits for, or choose another policy for missing"},
	{"no_reward", "no rule gave a number"},
	{"group_of_one", "the only attempt at its task"},
	{"zero_variance", "all attempts at the task got the same return"},
	{"not_finite", "the returns are too large to compute with"},
	{"no_example", "another attempt at the task was better, or none was good enough to follow"},
	{"no_row", "none of its model calls can be trained on"},
	{"held_out", "kept for the gate"},
}

func explain(counts ...map[string]int) []LeftOut {
	all := map[string]int{}
	for _, c := range counts {
		for reason, n := range c {
			all[reason] += n
		}
	}
	var out []LeftOut
	for _, w := range words {
		for _, reason := range slices.Sorted(maps.Keys(all)) {
			if all[reason] > 0 && (reason == w.prefix || strings.HasPrefix(reason, w.prefix+":")) {
				out = append(out, LeftOut{Reason: reason, Count: all[reason], Words: w.words})
			}
		}
	}
	return out
}

// nothing is ErrNothingToTrain with what became of the trajectories.
func nothing(live int, counts ...map[string]int) error {
	var parts []string
	for _, l := range explain(counts...) {
		parts = append(parts, fmt.Sprintf("%d %s (%s)", l.Count, l.Reason, l.Words))
	}
	return fmt.Errorf("%w: of %d trajectories, %s", ErrNothingToTrain, live, strings.Join(parts, "; "))
}
