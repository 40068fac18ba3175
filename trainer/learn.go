package trainer

import (
	"context"
	"fmt"

	"github.com/tracegrad/tracegrad/trainer/prompt"
)

// Learned is learn.json.
type Learned struct {
	prompt.Learned
	Demonstrations []prompt.Demonstration `json:"demonstrations,omitempty"`
	Carried        []CarriedItem          `json:"carried,omitempty"` // from the starting policy
}

type learned = artifact[Learned, none]

func (n *night) learnStage(ctx context.Context, s samples) (learned, error) {
	c := n.Config
	base := ""
	if n.base != nil {
		base = n.base.ID()
	}
	return stage(n.run, "learn", []any{c.Policy, c.Seed, base}, func() (learned, error) {
		out := Learned{Learned: prompt.Learn(s.train, s.norms, prompt.Options{
			MaxItems: c.Policy.MaxItems, MinSupport: c.Policy.MinSupport, Seed: c.Seed,
		})}
		out.Carried = n.carry(out.Items)
		var err error
		out.Demonstrations, err = n.demonstrate(ctx, s.train)
		return learned{Head: out}, err
	})
}

func (n *night) demonstrate(ctx context.Context, train []prompt.Sample) ([]prompt.Demonstration, error) {
	candidates := prompt.Candidates(train, int(n.Config.Policy.Demonstrations))
	if len(candidates) == 0 {
		return nil, nil
	}
	byID := map[string]prompt.Demonstration{}
	ids := make([]string, len(candidates))
	samples := map[string]*prompt.Sample{}
	for i, s := range candidates {
		ids[i], samples[s.ID] = s.ID, s
	}
	for t, err := range n.db.Chosen(ctx, ids) {
		if err != nil {
			return nil, err
		}
		if d, ok := prompt.Demonstrate(samples[t.ID], t); ok {
			byID[t.ID] = d
		}
	}
	var out []prompt.Demonstration
	for _, id := range ids {
		if d, ok := byID[id]; ok {
			out = append(out, d)
		}
	}
	return out, nil
}

type verdict = artifact[prompt.Verdict, none]

func (n *night) gateStage(s samples, l learned) (verdict, error) {
	g := n.Config.Gate
	return stage(n.run, "gate", []any{g, n.Config.Seed}, func() (verdict, error) {
		v := prompt.Gate(l.Head.Items, s.holdout, s.norms, prompt.GateOptions{
			MinSupport: g.MinSupport, Confidence: g.Confidence, Threshold: g.Threshold, Seed: n.Config.Seed,
		})
		if len(l.Head.Items) > 0 && len(s.holdout) == 0 {
			v.Reason = fmt.Sprintf("the holdout is empty: a share of %v of the values of gate.holdout_by (%s) caught none; raise gate.holdout, or let gate.holdout_by tell more tasks apart", g.Holdout, g.HoldoutBy)
		}
		return verdict{Head: v}, nil
	})
}
