package trainer

import (
	"context"

	"github.com/tracegrad/tracegrad/trainer/prompt"
)

// Learned is learn.json.
type Learned struct {
	prompt.Learned
	Demonstrations []prompt.Demonstration `json:"demonstrations,omitempty"`
}

type learned = artifact[Learned, none]

func (n *night) learnStage(ctx context.Context, s samples) (learned, error) {
	c := n.Config
	// What is usual (norms) comes from all scored trajectories, not only from
	// the groups that the chain covers.
	return stage(n.run, "learn", []any{c.Policy, c.Seed, n.digestOf("select"), n.digestOf("score")}, func() (learned, error) {
		out := Learned{Learned: prompt.Learn(s.train, s.norms, prompt.Options{
			MaxItems: c.Policy.MaxItems, MinSupport: c.Policy.MinSupport, Seed: c.Seed,
		})}
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
