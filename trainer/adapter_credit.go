package trainer

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tracegrad/tracegrad/trainer/grpo"
	"github.com/tracegrad/tracegrad/trainer/sequence"
	"github.com/tracegrad/tracegrad/trainer/update"
)

// credited turns the advantages of attempts into those of their tokens. The
// order is that of the rollouts. What gets none is not returned, with the
// number of trajectories by reason.
func credited(how AlgorithmConfig, a advantages, sc scores, rollouts map[string]*sequence.Rollout) ([]update.Item, map[string]int) {
	c := creditor{how: how, rollouts: rollouts, returns: returnsByID(sc), items: map[string]update.Item{}, left: map[string]int{}}
	for i := range a.Rows {
		g := &a.Rows[i]
		switch {
		case g.Advantages == nil:
		case how.Credit == creditAgent && g.Kind == grpo.KindTask:
			c.agents(g)
		case how.Credit == creditStep && g.Kind == grpo.KindTask:
			c.steps(g)
		default:
			c.whole(g)
		}
	}
	var out []update.Item
	for _, id := range slices.Sorted(maps.Keys(c.items)) {
		out = append(out, c.items[id])
	}
	return out, c.left
}

type creditor struct {
	how      AlgorithmConfig
	rollouts map[string]*sequence.Rollout
	returns  map[string]*Scored
	items    map[string]update.Item
	left     map[string]int
}

func (c *creditor) add(id string, value func(sequence.Span) float64) {
	if r := c.rollouts[id]; r != nil {
		c.items[id] = update.Item{Rollout: r, Advantages: r.PerSpan(value)}
	}
}

func (c *creditor) whole(g *ScoredGroup) {
	for i, id := range g.IDs {
		c.add(id, func(sequence.Span) float64 { return g.Advantages[i] })
	}
}

// agents compares the steps of each agent with its own.
func (c *creditor) agents(g *ScoredGroup) {
	var ids []string
	var returns []float64
	var steps []map[string]int
	for i, id := range g.IDs {
		if r := c.rollouts[id]; r != nil {
			ids, returns, steps = append(ids, id), append(returns, g.Returns[i]), append(steps, r.Agents())
		}
	}
	list, _ := grpo.PerAgent(returns, steps, grpo.Options{Normalize: c.how.recipe().Normalize})
	for i, id := range ids {
		if len(list[i]) == 0 {
			c.left["no_contrast_by_agent"]++
			continue
		}
		c.add(id, func(s sequence.Span) float64 { return list[i][s.Agent] })
	}
}

// steps credits each step with the rewards of its own and of those after it,
// beside what the attempt as a whole returned without them.
func (c *creditor) steps(g *ScoredGroup) {
	opt := grpo.Options{Normalize: c.how.recipe().Normalize}
	rest, rewards := make([]float64, len(g.IDs)), make([][]*float64, len(g.IDs))
	for i, id := range g.IDs {
		rest[i] = g.Returns[i]
		for step, v := range c.returns[id].Steps {
			rest[i] -= v
			for len(rewards[i]) <= step {
				rewards[i] = append(rewards[i], nil)
			}
			rewards[i][step] = &v
		}
	}
	outcome, _ := grpo.Advantages(rest, opt) // nil: the attempts differ by their steps only
	process, _ := grpo.Process(rewards, c.how.Gamma, opt)
	for i, id := range g.IDs {
		c.add(id, func(s sequence.Span) float64 {
			var v float64
			if outcome != nil {
				v = outcome[i]
			}
			if process != nil && s.Step < len(process[i]) {
				v += process[i][s.Step]
			}
			return v
		})
	}
}

// criticise makes advantages of returns and the critic's values: the reward of
// an attempt stands at its last token, and the advantages are whitened over the
// night.
func criticise(how AlgorithmConfig, items []update.Item) error {
	list := make([][]float64, len(items))
	for i := range items {
		it := &items[i]
		if len(it.Values) != len(it.Advantages) {
			return fmt.Errorf("estimate advantages of rollout %s: the critic gave %d values for %d tokens", it.Rollout.ID, len(it.Values), len(it.Advantages))
		}
		rewards := make([]float64, len(it.Advantages))
		if n := len(rewards); n > 0 {
			rewards[n-1] = it.Advantages[n-1] // the return: see grpo.ByCritic
		}
		list[i], it.Returns = grpo.GAE(rewards, it.Values, how.Gamma, how.Lambda)
	}
	for i, a := range grpo.Whiten(list) {
		items[i].Advantages = a
	}
	return nil
}
