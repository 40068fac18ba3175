package trainer

import (
	"github.com/tracegrad/tracegrad/trainer/grpo"
	"github.com/tracegrad/tracegrad/trainer/prompt"
	"github.com/tracegrad/tracegrad/trainer/query"
)

// GroupHead is the head of group.jsonl.
type GroupHead struct {
	Groups  int `json:"groups"`
	Members int `json:"members"`
}

type groups = artifact[GroupHead, query.Group]

// groupStage gathers the training trajectories that have a return.
func (n *night) groupStage(s selected, sc scores) (groups, error) {
	return stage(n.run, "group", nil, func() (groups, error) {
		returns := returnsByID(sc)
		var list []query.Scored
		for _, row := range s.Rows {
			if r := returns[row.ID]; row.Split == Train && r != nil && r.Return != nil {
				list = append(list, query.Scored{ID: row.ID, Tenant: row.Tenant, Group: row.Group, Return: *r.Return})
			}
		}
		found := query.Groups(list)
		return groups{Head: GroupHead{Groups: len(found), Members: len(list)}, Rows: found}, nil
	})
}

func returnsByID(sc scores) map[string]*Scored {
	out := make(map[string]*Scored, len(sc.Rows))
	for i := range sc.Rows {
		out[sc.Rows[i].Profile.ID] = &sc.Rows[i]
	}
	return out
}

// ScoredGroup is a group with its advantages.
type ScoredGroup struct {
	query.Group
	Advantages []float64   `json:"advantages"`        // nil if dropped
	Dropped    grpo.Signal `json:"dropped,omitempty"` // why

	// For adapters.
	Kind      grpo.Kind `json:"group_kind,omitempty"` // what the returns were compared with
	Baselines []float64 `json:"baselines,omitempty"`  // for groups of one: with what number
}

// AdvantageHead is the head of advantage.jsonl.
type AdvantageHead struct {
	Normalize grpo.Normalization `json:"normalize"`
	Taught    int                `json:"taught"`   // groups with advantages
	Trained   int                `json:"trained"`  // trajectories in them
	Dropped   grpo.Dropped       `json:"dropped"`  // groups
	LeftOut   map[string]int     `json:"left_out"` // trajectories in dropped groups
}

type advantages = artifact[AdvantageHead, ScoredGroup]

func (n *night) advantageStage(s selected, sc scores, g groups) (advantages, error) {
	normalize := n.Config.Algorithm.recipe().Normalize
	return stage(n.run, "advantage", normalize, func() (advantages, error) {
		returns := make([][]float64, len(g.Rows))
		for i := range g.Rows {
			returns[i] = g.Rows[i].Returns
		}
		list, dropped := grpo.Batch(returns, grpo.Options{Normalize: normalize})
		out := advantages{Head: AdvantageHead{Normalize: normalize, Dropped: dropped}}
		for i, group := range g.Rows {
			out.Rows = append(out.Rows, ScoredGroup{Group: group, Advantages: list[i], Dropped: grpo.SignalOf(group.Returns)})
		}
		return tallied(out, s, sc, g)
	})
}

// tallied counts which groups teach; it is an error if none does.
func tallied(out advantages, s selected, sc scores, g groups) (advantages, error) {
	h := &out.Head
	h.LeftOut = map[string]int{}
	for i := range out.Rows {
		if row := &out.Rows[i]; row.Advantages == nil {
			h.LeftOut[string(row.Dropped)] += len(row.IDs)
		} else {
			h.Taught++
			h.Trained += len(row.IDs)
		}
	}
	if h.Taught > 0 {
		return out, nil
	}
	held := map[string]int{"held_out": sc.Head.Scored - g.Head.Members}
	return out, nothing(s.Head.Live, s.Head.LeftOut, sc.Head.LeftOut, h.LeftOut, held)
}

// samples are what learning and the gate see.
type samples struct {
	train   []prompt.Sample // members of groups with advantages
	holdout []prompt.Sample // scored, held out
	norms   *prompt.Norms   // of all scored trajectories
}

func join(s selected, sc scores, a advantages) samples {
	returns := returnsByID(sc)
	advantage := map[string]float64{}
	for _, g := range a.Rows {
		for i, id := range g.IDs {
			if g.Advantages != nil {
				advantage[id] = g.Advantages[i]
			}
		}
	}
	var out samples
	var all []prompt.Sample
	for _, row := range s.Rows {
		r := returns[row.ID]
		if r == nil || r.Return == nil {
			continue
		}
		sample := prompt.Sample{Profile: r.Profile, Group: row.Group, Return: *r.Return}
		adv, taught := advantage[row.ID]
		switch {
		case row.Split == Holdout:
			out.holdout = append(out.holdout, sample)
		case taught:
			sample.Advantage = adv
			out.train = append(out.train, sample)
		}
		all = append(all, sample)
	}
	out.norms = prompt.NewNorms(all)
	return out
}
