package rescore

import (
	"math"

	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/rewards"
)

// Tally counts the rewards of one rule.
type Tally struct {
	Name   string         `json:"name"`
	Level  string         `json:"level"`
	Values int            `json:"values"`
	Nulls  int            `json:"nulls"`
	Apart  int            `json:"not_chosen,omitempty"` // trajectories that `when` leaves out; no nulls
	Why    map[string]int `json:"null_reasons"`
	Mean   *float64       `json:"mean"` // null = no values
	Low    *float64       `json:"min"`
	High   *float64       `json:"max"`

	sum float64
}

// Tallies counts by rule, in the order of the rules.
type Tallies struct {
	List []*Tally
	by   map[string]*Tally
}

// NewTallies counts the rewards of these rules.
func NewTallies(rules []rewards.Rule) *Tallies {
	t := &Tallies{by: map[string]*Tally{}}
	for _, r := range rules {
		one := &Tally{Name: r.Name, Level: string(r.Level), Why: map[string]int{}}
		t.List, t.by[r.Name] = append(t.List, one), one
	}
	return t
}

// Add counts the rewards of a trajectory.
func (t *Tallies) Add(list []trajectory.Reward) {
	for i := range list {
		if r := &list[i]; t.by[r.Name] != nil {
			t.by[r.Name].add(r)
		}
	}
}

func (t *Tally) add(r *trajectory.Reward) {
	if r.Value == nil && r.Reason == rewards.ReasonNotChosen {
		t.Apart++
		return
	}
	if r.Value == nil {
		t.Nulls++
		t.Why[r.Reason]++
		return
	}
	v := *r.Value
	if t.Values++; t.Values == 1 {
		t.Mean, t.Low, t.High = new(float64), &v, &v
	}
	low, high := math.Min(*t.Low, v), math.Max(*t.High, v)
	t.sum, t.Low, t.High = t.sum+v, &low, &high
	*t.Mean = t.sum / float64(t.Values)
}
