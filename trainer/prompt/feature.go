package prompt

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Kind is what a feature looks at.
type Kind string

// The kinds of features.
const (
	CallsTool   Kind = "calls_tool"         // the tool ran
	ToolFirst   Kind = "tool_before_answer" // among answered trajectories: the tool ran
	NoTool      Kind = "answers_without_tool"
	Repeats     Kind = "repeats_call"
	Retries     Kind = "retries_after_error"
	EndsOnError Kind = "ends_on_error"
	Cites       Kind = "cites_sources"
	HandsOver   Kind = "hands_over_to"
	ManyCalls   Kind = "many_model_calls" // more than the median of its group
)

// Feature is a yes-or-no property of trajectories.
type Feature struct {
	Kind Kind   `json:"kind"`
	Name string `json:"name,omitempty"` // of the tool or agent
}

// Key is the stable name of a feature.
func (f Feature) Key() string {
	if f.Name == "" {
		return string(f.Kind)
	}
	return string(f.Kind) + ":" + f.Name
}

// subject is what a feature is about. Of features with one subject only one
// can be asked for or advised against.
func (f Feature) subject() string {
	if f.Kind == ToolFirst {
		f.Kind = CallsTool
	}
	return f.Key()
}

// Sample is one trajectory of one group with what it got.
type Sample struct {
	Profile
	Group     string  `json:"group"`
	Return    float64 `json:"return"`
	Advantage float64 `json:"advantage"` // 0 on the holdout, where none is computed
}

func (s *Sample) groupKey() string { return s.Tenant + "\x00" + s.Group }
func (s *Sample) stratum() string  { return s.groupKey() + "\x00" + s.Bundle }

// Norms are what a feature needs to know of the other trajectories. They hold
// nothing of outcomes, so holdout trajectories may be part of them.
type Norms struct {
	median   map[string]float64         // model calls, by group
	tools    map[string]map[string]bool // tools that ran, by group
	handover map[string]map[string]bool // agents that took over, by first agent
}

// NewNorms reads the norms of samples.
func NewNorms(samples []Sample) *Norms {
	n := &Norms{median: map[string]float64{}, tools: map[string]map[string]bool{}, handover: map[string]map[string]bool{}}
	calls := map[string][]int{}
	for i := range samples {
		s := &samples[i]
		group := s.groupKey()
		calls[group] = append(calls[group], s.ModelCalls)
		for _, tool := range s.Called {
			mark(n.tools, group, tool)
		}
		for _, agent := range s.Handovers {
			mark(n.handover, s.Agents[0], agent)
		}
	}
	for group, list := range calls {
		slices.Sort(list)
		n.median[group] = float64(list[(len(list)-1)/2]+list[len(list)/2]) / 2
	}
	return n
}

func mark(sets map[string]map[string]bool, set, name string) {
	if sets[set] == nil {
		sets[set] = map[string]bool{}
	}
	sets[set][name] = true
}

// available reports whether the trajectory could have called the tool: it was
// offered, or offers are not shown and another attempt at the same task ran it.
func (n *Norms) available(s *Sample, tool string) bool {
	if len(s.Offered) > 0 {
		return slices.Contains(s.Offered, tool)
	}
	return n.tools[s.groupKey()][tool]
}

// Of reports whether a trajectory has the feature, and whether it could have
// had it or not; where it does not apply, the trajectory is not compared.
func (f Feature) Of(s *Sample, n *Norms) (has, applies bool) {
	switch f.Kind {
	case CallsTool:
		return slices.Contains(s.Called, f.Name), n.available(s, f.Name)
	case ToolFirst:
		return slices.Contains(s.Called, f.Name), s.Answered && n.available(s, f.Name)
	case NoTool:
		return s.ToolCalls == 0, s.Answered && (len(s.Offered) > 0 || len(n.tools[s.groupKey()]) > 0)
	case Repeats:
		return s.Repeats, s.ToolCalls > 0
	case Retries:
		return s.Retries, s.ToolErrors > 0
	case EndsOnError:
		return s.EndsOnError, s.ToolCalls > 0
	case Cites:
		return s.Cites, s.Answered
	case HandsOver:
		return slices.Contains(s.Handovers, f.Name), len(s.Agents) > 0 && n.handover[s.Agents[0]][f.Name]
	case ManyCalls:
		median, known := n.median[s.groupKey()]
		return float64(s.ModelCalls) > median, known && s.ModelCalls > 0
	}
	panic(fmt.Sprintf("internal error: feature kind %q", f.Kind))
}

const (
	// maxNames bounds the tools and the agents that features are made of; the
	// most frequent are kept.
	maxNames = 100
	// severalRuns is in how many trajectories a tool must have run if no
	// definition of it was offered: one span must not be able to name a tool.
	severalRuns = 3
)

// Features lists the features that samples can differ in, sorted by key.
func Features(samples []Sample) []Feature {
	tools, agents, offered := map[string]int{}, map[string]int{}, map[string]bool{}
	for i := range samples {
		for _, name := range samples[i].Offered {
			offered[name] = true
		}
		for _, name := range samples[i].Called {
			if len(samples[i].Offered) == 0 || slices.Contains(samples[i].Offered, name) {
				tools[name]++
			}
		}
		for _, name := range samples[i].Handovers {
			agents[name]++
		}
	}
	maps.DeleteFunc(tools, func(name string, runs int) bool { return !offered[name] && runs < severalRuns })
	features := []Feature{{Kind: NoTool}, {Kind: Repeats}, {Kind: Retries}, {Kind: EndsOnError}, {Kind: Cites}, {Kind: ManyCalls}}
	for _, name := range frequent(tools) {
		features = append(features, Feature{CallsTool, name}, Feature{ToolFirst, name})
	}
	for _, name := range frequent(agents) {
		features = append(features, Feature{HandsOver, name})
	}
	slices.SortFunc(features, func(a, b Feature) int { return strings.Compare(a.Key(), b.Key()) })
	return features
}

func frequent(count map[string]int) []string {
	names := make([]string, 0, len(count))
	for name := range count {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), strings.Compare(a, b))
	})
	return names[:min(len(names), maxNames)]
}
