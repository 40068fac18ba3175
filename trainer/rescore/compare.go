package rescore

import (
	"cmp"
	"math"
	"slices"

	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/rewards"
)

// Comparison gathers what two rewards files say of the same trajectories. Add
// all, then ask for the [Comparison.Report].
type Comparison struct {
	engines [2]*rewards.Engine
	rules   []string // of either file
	at      map[string]int
	rows    []row
	masked  [2]int
	none    [2]int
	nulls   [2][]int // trajectories in which a rule is null, by rule
	differ  []int    // trajectories of which a rule says something else, by rule
	totals  [2][]float64
	counts  [2][]int
}

// row is what is kept of a trajectory.
type row struct {
	id, task string
	returns  [2]*float64
	facts    map[string]float64 // newest value by kind and name
}

// NewComparison compares what a and b say.
func NewComparison(a, b *rewards.Engine) *Comparison {
	c := &Comparison{engines: [2]*rewards.Engine{a, b}, at: map[string]int{}}
	for _, e := range c.engines {
		for _, r := range e.Rules() {
			if _, ok := c.at[r.Name]; !ok {
				c.at[r.Name] = len(c.rules)
				c.rules = append(c.rules, r.Name)
			}
		}
	}
	n := len(c.rules)
	c.differ = make([]int, n)
	for side := range 2 {
		c.nulls[side], c.totals[side], c.counts[side] = make([]int, n), make([]float64, n), make([]int, n)
	}
	return c
}

// Add takes a trajectory that was scored by both.
func (c *Comparison) Add(s *Scored) {
	r := row{id: s.ID, task: s.Tenant + "\x00" + s.TaskKey, facts: values(s.Facts, s.Known)}
	if s.TaskKey == "" {
		r.task = "" // of no task that is known
	}
	var said [2][]said
	for side, e := range c.engines {
		value, masked := e.Return(s.Rewards[side])
		switch r.returns[side] = value; {
		case masked:
			c.masked[side]++
		case value == nil:
			c.none[side]++
		}
		said[side] = c.byRule(s.Rewards[side])
		for i, x := range said[side] {
			if x.null {
				c.nulls[side][i]++
			}
			if x.known {
				c.totals[side][i] += x.sum
				c.counts[side][i]++
			}
		}
	}
	for i := range c.rules {
		if said[0][i] != said[1][i] {
			c.differ[i]++
		}
	}
	c.rows = append(c.rows, r)
}

// said is what a rule says of a trajectory, over its steps.
type said struct {
	sum         float64
	known, null bool
}

func (c *Comparison) byRule(list []trajectory.Reward) []said {
	out := make([]said, len(c.rules))
	for i := range list {
		x := &out[c.at[list[i].Name]]
		if v := list[i].Value; v != nil {
			x.sum, x.known = x.sum+*v, true
		} else {
			x.null = true
		}
	}
	return out
}

// values are the newest of the facts that have one, by kind and name.
func values(lists ...[]trajectory.Fact) map[string]float64 {
	var out map[string]float64
	newest := map[string]*trajectory.Fact{}
	for _, list := range lists {
		for i := range list {
			f := &list[i]
			if f.Value == nil || math.IsNaN(*f.Value) || math.IsInf(*f.Value, 0) {
				continue
			}
			kind := "evaluation "
			if f.Source == "feedback" {
				kind = "feedback "
			}
			old := newest[kind+f.Name]
			if old != nil && cmp.Or(cmp.Compare(old.ObservedAt, f.ObservedAt), cmp.Compare(old.ID, f.ID)) > 0 {
				continue
			}
			if out == nil {
				out = map[string]float64{}
			}
			newest[kind+f.Name], out[kind+f.Name] = f, *f.Value
		}
	}
	return out
}

// Report is what came of a comparison. Of pairs like Return, the first is the
// first file's.
type Report struct {
	Trajectories int           `json:"trajectories"`
	Files        [2]Side       `json:"files"`
	Histogram    Histogram     `json:"histogram"`
	Rules        []RuleChange  `json:"rules"`
	Groups       Groups        `json:"groups"`
	Facts        []Correlation `json:"facts"`
}

// Side is one of the files.
type Side struct {
	Hash    string   `json:"hash"`
	Returns *Summary `json:"returns"` // null = none
	Masked  int      `json:"masked"`
	None    int      `json:"no_value"`

	// GroupsFlat are the groups of two and more returns that are all the same:
	// nothing is learned from them.
	GroupsFlat int  `json:"zero_variance_groups"`
	Groups     int  `json:"groups"` // with two and more returns
	Feedback   bool `json:"reads_facts"`
}

// RuleChange is what becomes of a rule.
type RuleChange struct {
	Name   string      `json:"name"`
	Change string      `json:"change"` // same, weight, changed, added, removed
	Mean   [2]*float64 `json:"mean"`   // of the trajectories' values, steps added up; null = none
	Nulls  [2]int      `json:"nulls"`  // trajectories in which it is null
	Differ int         `json:"differ"` // trajectories of which it says something else
}

// Groups compares the order of attempts at the same task.
type Groups struct {
	Alike   int    `json:"pairs_alike"`
	Flipped int    `json:"pairs_flipped"`
	Tied    int    `json:"pairs_tied"` // one of the files, or both, say that they are equal
	Lost    int    `json:"lost"`       // groups that the first file tells apart, and the second does not
	Gained  int    `json:"gained"`
	Flips   []Flip `json:"flips"` // the widest of each group, the widest groups first
}

// Flip is a pair of attempts that the files order differently.
type Flip struct {
	Tenant  string     `json:"tenant,omitempty"`
	Task    string     `json:"task_key"`
	Risen   string     `json:"risen"` // trajectory id
	Fallen  string     `json:"fallen"`
	Rise    [2]float64 `json:"risen_returns"`
	Fall    [2]float64 `json:"fallen_returns"`
	Shift   float64    `json:"shift"` // mean of the places that one rose and the other fell, as a share of the group
	Members int        `json:"members"`
}

// Correlation is how returns agree with a fact.
type Correlation struct {
	Name  string      `json:"name"` // feedback solved, evaluation correctness
	Count int         `json:"count"`
	Rank  [2]*float64 `json:"spearman"` // null = fewer than three, or nothing varies
}

// shownFlips, shownFacts bound what a report lists.
const (
	shownFlips = 5
	shownFacts = 10
)

// Report sums up.
func (c *Comparison) Report() *Report {
	r := &Report{Trajectories: len(c.rows), Histogram: c.histogram(), Rules: c.changes(), Groups: Groups{Flips: []Flip{}}, Facts: c.correlations()}
	for side, e := range c.engines {
		s := &r.Files[side]
		*s = Side{Hash: e.Hash(), Returns: summarise(c.returns(side)), Masked: c.masked[side], None: c.none[side]}
		s.Feedback = slices.ContainsFunc(e.Rules(), func(r rewards.Rule) bool { return r.Provisional && r.Weight != 0 })
	}
	c.groups(r)
	return r
}

func (c *Comparison) returns(side int) (out []float64) {
	for i := range c.rows {
		if v := c.rows[i].returns[side]; v != nil {
			out = append(out, *v)
		}
	}
	return out
}

func (c *Comparison) changes() []RuleChange {
	rules := [2]map[string]rewards.Rule{{}, {}}
	for side, e := range c.engines {
		for _, r := range e.Rules() {
			rules[side][r.Name] = r
		}
	}
	out := []RuleChange{}
	for i, name := range c.rules {
		x := RuleChange{Name: name, Nulls: [2]int{c.nulls[0][i], c.nulls[1][i]}, Differ: c.differ[i]}
		for side := range 2 {
			if n := c.counts[side][i]; n > 0 {
				mean := c.totals[side][i] / float64(n)
				x.Mean[side] = &mean
			}
		}
		a, inA := rules[0][name]
		b, inB := rules[1][name]
		switch {
		case !inA:
			x.Change = "added"
		case !inB:
			x.Change = "removed"
		case a.Hash != b.Hash:
			x.Change = "changed"
		case a.Weight != b.Weight || a.Missing != b.Missing:
			x.Change = "weight"
		default:
			x.Change = "same"
		}
		out = append(out, x)
	}
	return out
}

func (c *Comparison) correlations() []Correlation {
	type sides struct{ fact, value [2][]float64 }
	by, counts := map[string]*sides{}, map[string]int{}
	for i := range c.rows {
		for name, v := range c.rows[i].facts {
			s := by[name]
			if s == nil {
				s = &sides{}
				by[name] = s
			}
			counts[name]++
			for side, ret := range c.rows[i].returns {
				if ret != nil {
					s.fact[side], s.value[side] = append(s.fact[side], v), append(s.value[side], *ret)
				}
			}
		}
	}
	out := []Correlation{}
	for name, s := range by {
		out = append(out, Correlation{Name: name, Count: counts[name], Rank: [2]*float64{spearman(s.fact[0], s.value[0]), spearman(s.fact[1], s.value[1])}})
	}
	slices.SortFunc(out, func(a, b Correlation) int { return cmp.Or(b.Count-a.Count, cmp.Compare(a.Name, b.Name)) })
	return out[:min(len(out), shownFacts)]
}
