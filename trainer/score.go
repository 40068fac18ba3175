package trainer

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/rewards"
	"github.com/tracegrad/tracegrad/trainer/prompt"
	"github.com/tracegrad/tracegrad/trainer/rescore"
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
		w.back = rescore.Appender{Dataset: n.Config.Dataset, Writer: writerName(n.Config.Runs)}
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
	out    scores
	facts  map[string][]trajectory.Fact
	stored map[string][]trajectory.Reward
	back   rescore.Appender
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
		if err := w.one(ctx, t); err != nil {
			return err
		}
		if len(w.out.Rows)%100 == 0 {
			w.progress(Event{Stage: "score", State: Working, Done: len(w.out.Rows), Total: len(ids)})
		}
	}
	if err := written(w.back.Flush(ctx)); err != nil {
		return err
	}
	w.out.Head.Written = w.back.Written
	slices.SortFunc(w.out.Rows, func(a, b Scored) int { return strings.Compare(a.Profile.ID, b.Profile.ID) })
	return nil
}

func (w *scorer) one(ctx context.Context, t *trajectory.Trajectory) error {
	facts, now := w.facts[t.ID], w.clock().UnixMicro()
	w.out.Head.Facts += len(facts)
	list := w.engine.Score(t, facts, now)
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
	if !w.Config.Rewards.WriteBack {
		return nil
	}
	return written(w.back.Add(ctx, rescore.Changed(t, w.stored[t.ID], list, now)))
}

// written adds to an error of writing rewards back how to do without. What is
// written stays, even if the run fails later: it is true all the same, and a
// run that is done again finds it unchanged.
func written(err error) error {
	if err != nil {
		return fmt.Errorf("%w (rewards.write_back: false leaves the dataset as it is)", err)
	}
	return nil
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
