package trainer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tracegrad/tracegrad/internal/bucket"
	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/rewards"
	"github.com/tracegrad/tracegrad/trainer/prompt"
	"github.com/tracegrad/tracegrad/trainer/query"
)

// Scored is a chosen trajectory with its rewards and its profile.
type Scored struct {
	Return  *float64           `json:"return"`            // nil: see Reason
	Reason  string             `json:"reason,omitempty"`  // why there is no return
	Rewards map[string]float64 `json:"rewards,omitempty"` // by rule, summed over steps; null ones are absent
	Profile prompt.Profile     `json:"profile"`
	Steps   map[int]float64    `json:"steps,omitempty"` // for credit: step, what each step adds to the return
}

// ScoreHead is the head of score.jsonl.
type ScoreHead struct {
	Rewards string         `json:"rewards"` // hash of the rewards file
	Scored  int            `json:"scored"`  // trajectories with a return
	LeftOut map[string]int `json:"left_out"`
	Facts   int            `json:"facts"`   // facts about the chosen trajectories
	Written int            `json:"written"` // reward rows appended to the dataset
}

type scores = artifact[ScoreHead, Scored]

// scoreStage computes every reward anew, with the facts that came since.
func (n *night) scoreStage(ctx context.Context, s selected) (scores, error) {
	facts, err := fingerprint(n.db, dataset.TableFacts)
	if err != nil {
		return scores{}, err
	}
	inputs := []any{n.engine.Hash(), facts, n.Config.Rewards.WriteBack}
	if n.creditsSteps() {
		inputs = append(inputs, creditStep)
	}
	return stage(n.run, "score", inputs, func() (scores, error) {
		w := &scorer{night: n, out: scores{Head: ScoreHead{Rewards: n.engine.Hash(), LeftOut: map[string]int{}}}}
		if err := w.score(ctx, s); err != nil {
			return scores{}, err
		}
		if w.out.Head.Scored == 0 {
			return scores{}, nothing(s.Head.Live, s.Head.LeftOut, w.out.Head.LeftOut)
		}
		return w.out, nil
	})
}

type scorer struct {
	*night
	out     scores
	facts   map[string][]trajectory.Fact
	stored  map[string][]trajectory.Reward
	changed []dataset.RewardRow
}

func (w *scorer) score(ctx context.Context, s selected) (err error) {
	if w.facts, err = w.db.Facts(ctx); err != nil {
		return err
	}
	if w.Config.Rewards.WriteBack {
		if w.stored, err = w.db.Rewards(ctx); err != nil {
			return err
		}
	}
	ids := make([]string, len(s.Rows))
	for i, row := range s.Rows {
		ids[i] = row.ID
	}
	for t, err := range w.db.Chosen(ctx, ids) {
		if err != nil {
			return err
		}
		w.one(t)
		if len(w.out.Rows)%100 == 0 {
			w.progress(Event{Stage: "score", State: Working, Done: len(w.out.Rows), Total: len(ids)})
		}
		if len(w.changed) >= maxChanged {
			if err := w.writeBack(ctx); err != nil {
				return err
			}
		}
	}
	if err := w.writeBack(ctx); err != nil {
		return err
	}
	slices.SortFunc(w.out.Rows, func(a, b Scored) int { return strings.Compare(a.Profile.ID, b.Profile.ID) })
	return nil
}

func (w *scorer) one(t *trajectory.Trajectory) {
	facts := w.facts[t.ID]
	w.out.Head.Facts += len(facts)
	list := w.engine.Score(t, facts, w.clock().UnixMicro())
	row := Scored{Profile: prompt.Read(t), Rewards: map[string]float64{}}
	for _, r := range list {
		if r.Value != nil {
			row.Rewards[r.Name] += *r.Value
		}
	}
	if row.Return, row.Reason = w.valueOf(list); row.Return != nil {
		w.out.Head.Scored++
	} else {
		w.out.Head.LeftOut[row.Reason]++
	}
	if w.creditsSteps() {
		row.Steps = stepReturns(w.engine.Rules(), list)
	}
	w.out.Rows = append(w.out.Rows, row)
	w.keepChanged(t, list)
}

// valueOf is the return that rewards sum up to, or why there is none.
func (n *night) valueOf(list []trajectory.Reward) (*float64, string) {
	value, masked := n.engine.Return(list)
	switch {
	case value != nil:
		return value, ""
	case !masked:
		return nil, "no_reward"
	}
	var masking []string
	for _, r := range list {
		if r.Value == nil && n.engine.Masks(r) && !slices.Contains(masking, r.Name) {
			masking = append(masking, r.Name)
		}
	}
	return nil, "reward_missing: " + strings.Join(masking, ", ")
}

func (n *night) creditsSteps() bool {
	return n.Config.Policy.Kind == KindAdapter && n.Config.Algorithm.Credit == creditStep
}

// stepReturns is what each step adds to the return; steps without a reward are
// absent.
func stepReturns(rules []rewards.Rule, list []trajectory.Reward) map[int]float64 {
	weights := map[string]float64{}
	for _, r := range rules {
		weights[r.Name] = r.Weight
	}
	out := map[int]float64{}
	for _, r := range list {
		if w, known := weights[r.Name]; known && r.Step >= 0 && r.Value != nil {
			out[r.Step] += w * *r.Value
		}
	}
	return out
}

// keepChanged gathers what the dataset does not say yet under the same rule:
// most nights change few values, and unchanged ones would only be in the way.
func (w *scorer) keepChanged(t *trajectory.Trajectory, list []trajectory.Reward) {
	if !w.Config.Rewards.WriteBack {
		return
	}
	stored := w.stored[t.ID]
	for _, r := range append(list, w.notChosen(stored, list)...) {
		at := slices.IndexFunc(stored, func(old trajectory.Reward) bool {
			return old.Step == r.Step && old.Name == r.Name && old.RuleHash == r.RuleHash
		})
		if at >= 0 {
			if sameValue(stored[at], r) {
				continue
			}
			r.EvaluatedAt = max(r.EvaluatedAt, stored[at].EvaluatedAt+1) // newer, whatever the clocks say
		}
		w.changed = append(w.changed, dataset.NewRewardRow(t.ID, t.Revision, t.FirstSeenAt, r))
	}
}

// notChosen takes back the values of steps that a rule's `when` chose before
// the facts came and chooses no more: no reward of them is computed now, so
// nothing else would be newer than what the dataset says.
func (w *scorer) notChosen(stored, list []trajectory.Reward) (out []trajectory.Reward) {
	for _, old := range stored {
		if old.Step < 0 || slices.ContainsFunc(list, func(r trajectory.Reward) bool { return r.Step == old.Step && r.Name == old.Name }) {
			continue
		}
		out = append(out, trajectory.Reward{
			Step: old.Step, Name: old.Name, Reason: query.ReasonNotChosen, Explanation: "when: is not true any more",
			Source: rewards.Source, RuleHash: old.RuleHash, Provisional: old.Provisional, EvaluatedAt: w.clock().UnixMicro(),
		})
	}
	return out
}

func sameValue(a, b trajectory.Reward) bool {
	return a.Reason == b.Reason && (a.Value == nil) == (b.Value == nil) && (a.Value == nil || *a.Value == *b.Value)
}

// writerName is the name under which runs write to the dataset. It is one per
// runs directory, which one run at a time has for itself, so that two names
// never meet, and a run cleans up after one that was killed.
func writerName(runs string) string {
	host, _ := os.Hostname() // "" will do: it only tells machines apart
	path, err := filepath.Abs(runs)
	if err != nil {
		path = runs
	}
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	return "tracegrad-train-" + digest([]byte(host + "\x00" + path))[:12]
}

// maxChanged bounds the rows that wait to be written back.
const maxChanged = 50_000

// writeBack appends the changed values as one file set. What is written
// stays, even if the run fails later: it is true all the same, and a run that
// is done again finds it unchanged.
func (w *scorer) writeBack(ctx context.Context) error {
	if len(w.changed) == 0 {
		return nil
	}
	writer, err := bucket.NewWriter(ctx, w.Config.Dataset, writerName(w.Config.Runs), dataset.Options{})
	if err == nil {
		_, err = writer.WriteRewards(ctx, w.changed)
		err = errors.Join(err, writer.Close())
	}
	if err != nil {
		return fmt.Errorf("write rewards back: %w (rewards.write_back: false leaves the dataset as it is)", err)
	}
	w.out.Head.Written += len(w.changed)
	w.changed = w.changed[:0]
	return nil
}
