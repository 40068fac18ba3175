package prompt

import (
	"regexp"
	"slices"
)

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

// itemID names a feature, a direction and a scope.
func itemID(f Feature, d Direction, s Scope) string {
	return "g-" + digest(f.Key()+"\x00"+string(d)+"\x00"+s.Task+"\x00"+s.Agent)
}

// Opposite is the ID of the item that says the contrary in the same scope.
func (it *Item) Opposite() string {
	d := Do
	if it.Direction == Do {
		d = Avoid
	}
	return itemID(it.Feature, d, it.Scope)
}

// hash looks like a digest: a label that tells a reader nothing.
var hash = regexp.MustCompile(`^(group-)?[0-9a-f]{8,}$`)

// scopeOf is as wide as the evidence: items learned on one task or by one agent
// are kept to it, as long as its name means something and others were seen.
func scopeOf(compared, all []*Sample) Scope {
	groups, agents := namesOf(compared)
	allGroups, allAgents := namesOf(all)
	if len(groups) == 1 && len(allGroups) > 1 && !hash.MatchString(groups[0]) {
		return Scope{Task: groups[0]}
	}
	if len(agents) == 1 && len(allAgents) > 1 && !slices.ContainsFunc(compared, func(s *Sample) bool { return len(s.Agents) != 1 }) {
		return Scope{Agent: agents[0]}
	}
	return Scope{}
}

func namesOf(samples []*Sample) (groups, agents []string) {
	for _, s := range samples {
		groups = add(groups, Label(s.Group))
		for _, a := range s.Agents {
			agents = add(agents, a)
		}
	}
	return groups, agents
}
