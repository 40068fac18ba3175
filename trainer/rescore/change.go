package rescore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tracegrad/tracegrad/internal/bucket"
	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/rewards"
	"github.com/tracegrad/tracegrad/trainer/query"
)

// Changed gives the rows that make the dataset say what was computed of t at a
// time in µs, where stored is what it says now under the same rules. Mostly
// there are none: unchanged values would only be in the way.
func Changed(t *trajectory.Trajectory, stored, computed []trajectory.Reward, now int64) (out []dataset.RewardRow) {
	said := make(map[place]*trajectory.Reward, len(stored))
	for i := range stored {
		said[placeOf(&stored[i])] = &stored[i]
	}
	for _, r := range append(slices.Clip(computed), notChosen(stored, computed, now)...) {
		if old := said[placeOf(&r)]; old != nil {
			if sameValue(*old, r) {
				continue
			}
			r.EvaluatedAt = max(r.EvaluatedAt, old.EvaluatedAt+1) // newer, whatever the clocks say
		}
		out = append(out, dataset.NewRewardRow(t.ID, t.Revision, t.FirstSeenAt, r))
	}
	return out
}

// place is what a reward is the value of.
type place struct {
	step       int
	name, hash string
}

func placeOf(r *trajectory.Reward) place { return place{r.Step, r.Name, r.RuleHash} }

// notChosen takes back the values of steps that a rule's `when` chose before
// the facts came and chooses no more: no reward of them is computed now, so
// nothing else would be newer than what the dataset says.
func notChosen(stored, computed []trajectory.Reward, now int64) (out []trajectory.Reward) {
	chosen := make(map[place]bool, len(computed))
	for i := range computed {
		chosen[place{step: computed[i].Step, name: computed[i].Name}] = true
	}
	for _, old := range stored {
		if old.Step < 0 || chosen[place{step: old.Step, name: old.Name}] {
			continue
		}
		out = append(out, trajectory.Reward{
			Step: old.Step, Name: old.Name, Reason: query.ReasonNotChosen, Explanation: "when: is not true any more",
			Source: rewards.Source, RuleHash: old.RuleHash, Provisional: old.Provisional, EvaluatedAt: now,
		})
	}
	return out
}

func sameValue(a, b trajectory.Reward) bool {
	return a.Reason == b.Reason && (a.Value == nil) == (b.Value == nil) && (a.Value == nil || *a.Value == *b.Value)
}

// Appender appends rewards to a dataset, some ten thousand at a time: what it
// has written stays, whatever comes after.
type Appender struct {
	Dataset string // a folder, or the URL of a bucket
	Writer  string // its name in the dataset; one at a time may use it
	Written int    // rows so far

	rows []dataset.RewardRow
}

// maxWaiting bounds the rows that wait to be written.
const maxWaiting = 50_000

// Add takes rows, and writes when there are many. It keeps them until then.
func (a *Appender) Add(ctx context.Context, rows []dataset.RewardRow) error {
	if a.rows = append(a.rows, rows...); len(a.rows) < maxWaiting {
		return nil
	}
	return a.Flush(ctx)
}

// Flush writes what waits as one file set. After an error the same rows wait.
func (a *Appender) Flush(ctx context.Context) error {
	if len(a.rows) == 0 {
		return nil
	}
	w, err := bucket.NewWriter(ctx, a.Dataset, a.Writer, dataset.Options{})
	if err == nil {
		_, err = w.WriteRewards(ctx, a.rows)
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		return fmt.Errorf("write rewards to %s: %w", a.Dataset, err)
	}
	a.Written += len(a.rows)
	a.rows = a.rows[:0]
	return nil
}
