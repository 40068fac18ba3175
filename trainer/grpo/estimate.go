package grpo

import (
	"math"
	"slices"
)

// Group is the attempts at one task.
type Group struct {
	Key     string    // of the task, tenant included: what a [Tracker] knows it by
	Bucket  string    // attempts in different buckets (tenants) are never compared
	Returns []float64 // one per attempt
}

// Lone says what happens to a group of one.
type Lone string

// What happens to groups of one.
const (
	LoneDropped Lone = ""              // nothing to compare with: dropped and counted
	LoneTracker Lone = "tracker"       // SPO: its task's value so far; tasks never seen, as LoneBatch
	LoneBatch   Lone = "batch"         // the mean of the groups of one in the bucket
	LoneOneOut  Lone = "leave_one_out" // the mean of the others of them
)

// Kind says what the advantages of a group were measured against. It is
// recorded with every group (group_kind).
type Kind string

// The kinds of groups.
const (
	KindTask    Kind = "task"          // the other attempts at the task
	KindTracker Kind = "tracker"       // the task's value over earlier nights
	KindBatch   Kind = "batch"         // the batch
	KindOneOut  Kind = "leave_one_out" // the others of the batch
	KindCritic  Kind = "critic"        // a value head
	KindBest    Kind = "best"          // nothing: an example to follow
)

// Plan says how returns become advantages.
type Plan struct {
	Recipe  Recipe
	Epsilon float64  // 0 = DefaultEpsilon
	Lone    Lone     // for baselines by group
	Tracker *Tracker // for LoneTracker; nil = nothing is known. It is read only.
	Least   *float64 // for ByBest: the least return of an example; nil = the best of two or more will do
}

// Estimated is the outcome for one group.
type Estimated struct {
	Advantages []float64 `json:"advantages"`          // one per return; nil = dropped
	Kind       Kind      `json:"group_kind"`          // "" = dropped
	Dropped    Signal    `json:"dropped,omitempty"`   // why
	Baselines  []float64 `json:"baselines,omitempty"` // for groups of one and by batch: what the returns were compared with
}

// Estimate turns the returns of many groups into advantages, group by group in
// the same order, and counts the groups dropped. A group with a NaN or an
// infinity is dropped whole, under every plan.
//
//	ByGroup   see [Batch]; groups of one as Plan.Lone says
//	ByBatch   all returns of a bucket are whitened together: (R - mean) / (std + ε)
//	ByCritic  the returns themselves: [GAE] makes advantages of them
//	ByBest    1 for the best of each group, 0 for the rest ([Best])
func (p Plan) Estimate(groups []Group) ([]Estimated, Dropped) {
	out := make([]Estimated, len(groups))
	switch p.Recipe.Baseline {
	case ByBatch:
		p.pooled(groups, out, KindBatch, func(Group) bool { return true })
	case ByCritic:
		p.each(groups, out, KindCritic, func(r []float64) []float64 { return append([]float64(nil), r...) })
	case ByBest:
		p.each(groups, out, KindBest, func(r []float64) []float64 { return Best(r, p.Least) })
	case ByGroup:
		p.grouped(groups, out)
	}
	var dropped Dropped
	for i := range out {
		if out[i].Advantages == nil {
			out[i].Kind = ""
			dropped.add(out[i].Dropped)
		}
	}
	return out, dropped
}

func (p Plan) options() Options { return Options{Normalize: p.Recipe.Normalize, Epsilon: p.Epsilon} }

// grouped is GRPO's way, with what to do about groups of one.
func (p Plan) grouped(groups []Group, out []Estimated) {
	returns := make([][]float64, len(groups))
	for i, g := range groups {
		returns[i] = g.Returns
	}
	advantages, _ := Batch(returns, p.options())
	for i, g := range groups {
		out[i] = Estimated{Advantages: advantages[i], Kind: KindTask, Dropped: SignalOf(g.Returns)}
	}
	if p.Lone != LoneDropped {
		p.pooled(groups, out, "", func(g Group) bool { return len(g.Returns) == 1 })
	}
}

// each treats every group by itself.
func (p Plan) each(groups []Group, out []Estimated, kind Kind, f func([]float64) []float64) {
	for i, g := range groups {
		switch {
		case len(g.Returns) == 0:
			out[i].Dropped = Single
		case !finite(g.Returns):
			out[i].Dropped = NotFinite
		default:
			out[i] = Estimated{Advantages: f(g.Returns), Kind: kind}
			if out[i].Advantages == nil {
				out[i].Dropped = SignalOf(g.Returns)
			}
		}
	}
}

// member is a place among the groups.
type member struct{ group, at int }

// pooled compares the attempts of a bucket with each other or with what the
// tracker says of their tasks.
func (p Plan) pooled(groups []Group, out []Estimated, kind Kind, in func(Group) bool) {
	buckets := map[string][]member{}
	for i, g := range groups {
		switch {
		case !in(g):
		case len(g.Returns) == 0:
			out[i] = Estimated{Dropped: Single}
		case !finite(g.Returns):
			out[i] = Estimated{Dropped: NotFinite}
		default:
			for at := range g.Returns {
				buckets[g.Bucket] = append(buckets[g.Bucket], member{i, at})
			}
		}
	}
	for _, pool := range buckets {
		p.pool(groups, out, kind, pool)
	}
}

func (p Plan) pool(groups []Group, out []Estimated, kind Kind, pool []member) {
	returns := make([]float64, len(pool))
	for i, m := range pool {
		returns[i] = groups[m.group].Returns[m.at]
	}
	residuals, baselines, kinds := p.residuals(groups, pool, returns, kind)
	advantages, signal := p.whitened(residuals, returns)
	for i, m := range pool {
		e := &out[m.group]
		if advantages == nil {
			*e = Estimated{Dropped: signal}
			continue
		}
		if m.at == 0 {
			*e = Estimated{Kind: kinds[i]}
		}
		e.Advantages = append(e.Advantages, advantages[i])
		e.Baselines = append(e.Baselines, baselines[i])
	}
}

// residuals are the returns less their baselines.
func (p Plan) residuals(groups []Group, pool []member, returns []float64, kind Kind) (out, baselines []float64, kinds []Kind) {
	n, centre := float64(len(returns)), mean(returns)
	out, baselines, kinds = make([]float64, len(returns)), make([]float64, len(returns)), make([]Kind, len(returns))
	for i, r := range returns {
		baselines[i], kinds[i] = centre, KindBatch
		switch {
		case kind != "":
			kinds[i] = kind
		case p.Lone == LoneOneOut && n > 1:
			baselines[i], kinds[i] = centre-(r-centre)/(n-1), KindOneOut
		case p.Lone == LoneTracker:
			if v, ok := p.Tracker.Value(groups[pool[i].group].Key); ok {
				baselines[i], kinds[i] = v, KindTracker
			}
		}
		out[i] = r - baselines[i]
	}
	return out, baselines, kinds
}

// whitened divides by the standard deviation where the recipe does so within
// groups, after SPO's and REINFORCE++'s normalization over the batch.
func (p Plan) whitened(residuals, returns []float64) ([]float64, Signal) {
	if len(residuals) < 2 {
		return nil, Single
	}
	var size float64 // rounding is relative to what was subtracted
	for i, r := range returns {
		size = max(size, math.Abs(r), math.Abs(r-residuals[i]))
	}
	if n := p.Recipe.Normalize; n == None || n == LeaveOneOut {
		if slices.ContainsFunc(residuals, func(r float64) bool { return math.Abs(r) > tie*size }) {
			return residuals, Informative
		}
		return nil, ZeroVariance
	}
	if slices.Max(residuals)-slices.Min(residuals) <= tie*size {
		return nil, ZeroVariance
	}
	out, squares := centred(residuals)
	scale(out, 1/(math.Sqrt(squares/float64(len(out)-1))+p.options().epsilon()))
	return out, Informative
}
