package prompt

import "slices"

// Item is one piece of guidance with what it rests on.
type Item struct {
	ID        string    `json:"id"` // stable for a feature, a direction and a scope
	Feature   Feature   `json:"feature"`
	Direction Direction `json:"direction"`
	Text      string    `json:"text"`
	Scope     Scope     `json:"scope"`
	Evidence  Evidence  `json:"evidence"`
	Better    []string  `json:"better,omitempty"` // ids of trajectories that follow it, best first
	Worse     []string  `json:"worse,omitempty"`  // ids of trajectories that do not, worst first
}

// Scope says where an item holds. The zero value is everywhere.
type Scope struct {
	Task  string `json:"task,omitempty"`  // label of the only group it was learned on
	Agent string `json:"agent,omitempty"` // the only agent it was learned on
}

// Evidence are the numbers behind an item, as contrasts between trajectories
// that follow it and trajectories that do not: positive is better.
type Evidence struct {
	Effect  Interval `json:"effect"`            // in units of advantage
	Return  float64  `json:"return_difference"` // the same contrast of returns
	P       float64  `json:"p"`                 // two-sided, by permutation
	Q       float64  `json:"q"`                 // p adjusted for the number of features tested
	With    int      `json:"n_with"`            // trajectories that follow it, in comparable strata
	Without int      `json:"n_without"`         // and that do not
	Groups  int      `json:"groups"`            // groups in which both occur
}

func (it *Item) covers(s *Sample) bool {
	return (it.Scope.Task == "" || it.Scope.Task == Label(s.Group)) &&
		(it.Scope.Agent == "" || slices.Contains(s.Agents, it.Scope.Agent))
}

// Follows reports whether a trajectory did what the item says, and whether the
// item concerns it at all.
func (it *Item) Follows(s *Sample, n *Norms) (follows, applies bool) {
	if !it.covers(s) {
		return false, false
	}
	has, applies := it.Feature.Of(s, n)
	return has == (it.Direction == Do), applies
}

// Meets reports whether two items tell the same reader about the same
// behaviour, alike or to the contrary: only one of them can be said.
func (it *Item) Meets(other *Item) bool {
	return it.Feature.subject() == other.Feature.subject() && it.Scope.overlaps(other.Scope)
}

func (s Scope) overlaps(other Scope) bool {
	meet := func(a, b string) bool { return a == "" || b == "" || a == b }
	return meet(s.Task, other.Task) && meet(s.Agent, other.Agent)
}

// itemID names a feature, a direction and a scope.
func itemID(f Feature, d Direction, s Scope) string {
	return "g-" + digest(f.Key()+"\x00"+string(d)+"\x00"+s.Task+"\x00"+s.Agent)
}

// scopeOf is never wider than the evidence: what was learned on one task, or by
// one of several agents at it, is kept to it. lacking says why there is no scope that
// a reader would understand; such a contrast is not made into guidance.
func scopeOf(compared, all []*Sample) (scope Scope, lacking string) {
	if task, one := only(compared, func(s *Sample) []string { return []string{Label(s.Group)} }); one {
		if !readable(task) {
			return Scope{}, OutcomeNoLabel
		}
		scope.Task = task
		all = slices.DeleteFunc(slices.Clone(all), func(s *Sample) bool { return Label(s.Group) != task })
	}
	agents := func(s *Sample) []string { return s.Agents }
	agent, one := only(compared, agents)
	one = one && !slices.ContainsFunc(compared, func(s *Sample) bool { return len(s.Agents) != 1 })
	if _, alone := only(all, agents); one && !alone {
		if !readable(agent) {
			return Scope{}, OutcomeNoAgent
		}
		scope.Agent = agent
	}
	return scope, ""
}

// only is the one name that samples have, if it is one.
func only(samples []*Sample, names func(*Sample) []string) (name string, one bool) {
	for _, s := range samples {
		for _, n := range names(s) {
			if one && n != name {
				return "", false
			}
			name, one = n, true
		}
	}
	return name, one
}
