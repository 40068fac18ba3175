package trainer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/trainer/query"
	"github.com/tracegrad/tracegrad/trainer/reroll"
)

// ServerKeyVariable names the environment variable with the key of the server
// that rollouts are asked of.
const ServerKeyVariable = "TRACEGRAD_SERVER_KEY"

// Logged are the prompts of a dataset that can be asked again.
type Logged struct {
	Prompts []*reroll.Prompt
	Live    int            // trajectories in the dataset
	Chosen  int            // of them, those whose prompts are in Prompts
	LeftOut map[string]int // the others, by reason
}

// LoggedOptions say which prompts are wanted.
type LoggedOptions struct {
	Where     string   // SQL over trajectories; "" = all
	Agents    []string // of which one took part; nil = all
	Holdout   float64  // only those of tasks that this share holds out; 0 = all
	HoldoutBy string   // SQL over trajectories; "" = task_key
	TaskFacts []string // names of facts that are about tasks, not about attempts: rollouts get them
}

// LoggedPrompts reads the prompts of a dataset, in the order of their keys.
func LoggedPrompts(ctx context.Context, dataset string, o LoggedOptions) (*Logged, error) {
	db, err := openDataset(ctx, Config{Dataset: dataset}, query.Options{})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	candidates, err := db.Select(ctx, query.Selection{Where: o.Where, HoldoutBy: sqlOf(o.HoldoutBy), Agents: o.Agents, GroupBy: "trajectory_id"})
	if err != nil {
		return nil, err
	}
	byPrompt(candidates, Config{Gate: GateConfig{HoldoutBy: o.HoldoutBy}})
	out := &Logged{Live: len(candidates), LeftOut: map[string]int{}}
	var ids []string
	for _, c := range candidates {
		switch {
		case c.LeftOut != "":
			out.LeftOut[c.LeftOut]++
		case o.Holdout > 0 && !heldOut(c.Holdout, o.Holdout):
			out.LeftOut["not_held_out"]++
		default:
			ids = append(ids, c.ID)
		}
	}
	left, err := out.read(ctx, db, ids, o.TaskFacts)
	for reason, n := range left {
		out.LeftOut["no_prompt: "+reason] += n
	}
	return out, err
}

func (l *Logged) read(ctx context.Context, db *query.DB, ids, taskFacts []string) (left map[string]int, err error) {
	left = map[string]int{}
	var facts map[string][]trajectory.Fact
	if len(taskFacts) > 0 {
		if facts, err = db.Facts(ctx); err != nil {
			return nil, err
		}
	}
	var prompts []*reroll.Prompt
	for t, err := range db.Chosen(ctx, ids) {
		if err != nil {
			return nil, err
		}
		p, reason := reroll.PromptOf(t)
		if reason != "" {
			left[reason]++
			continue
		}
		for _, f := range facts[t.ID] {
			if slices.Contains(taskFacts, f.Name) {
				p.Facts = append(p.Facts, f)
			}
		}
		prompts = append(prompts, p)
		l.Chosen++
	}
	l.Prompts = reroll.Gather(prompts)
	return left, nil
}

// Nothing says why there is no prompt.
func (l *Logged) Nothing() error {
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(l.LeftOut)) {
		parts = append(parts, fmt.Sprintf("%d %s", l.LeftOut[reason], reason))
	}
	return fmt.Errorf("no prompt to ask again: of %d trajectories, %s", l.Live, strings.Join(parts, "; "))
}
