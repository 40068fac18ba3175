package trainer

import (
	"github.com/tracegrad/tracegrad/trainer/grpo"
	"github.com/tracegrad/tracegrad/trainer/query"
)

// taskOf is what a tracker knows a group by.
func taskOf(g *query.Group) string { return g.Tenant + "\x00" + g.Label }

// estimateStage turns the returns of groups into advantages as the algorithm
// has it.
func (n *adapterNight) estimateStage(s selected, sc scores, g groups) (advantages, error) {
	how := n.Config.Algorithm
	inputs := []any{how.Name, how.Normalize, how.Baseline, how.LeastReturn, n.trackerDigest}
	return stage(n.run, "advantage", inputs, func() (advantages, error) {
		plan := grpo.Plan{Recipe: how.recipe(), Lone: how.lone(), Tracker: n.tracker, Least: how.LeastReturn.Value}
		list := make([]grpo.Group, len(g.Rows))
		for i, group := range g.Rows {
			list[i] = grpo.Group{Key: taskOf(&group), Bucket: group.Tenant, Returns: group.Returns}
		}
		estimated, dropped := plan.Estimate(list)
		out := advantages{Head: AdvantageHead{Normalize: plan.Recipe.Normalize, Dropped: dropped}}
		for i, group := range g.Rows {
			e := estimated[i]
			row := ScoredGroup{Group: group, Advantages: e.Advantages, Dropped: e.Dropped, Kind: e.Kind, Baselines: e.Baselines}
			if e.Advantages == nil && row.Dropped == grpo.Informative { // sft: none is an example
				row.Dropped = noExample
			}
			out.Rows = append(out.Rows, row)
		}
		return tallied(out, s, sc, g)
	})
}

// noExample is why a group teaches nothing under sft.
const noExample grpo.Signal = "no_example"
