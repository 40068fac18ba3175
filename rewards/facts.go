package rewards

import "github.com/tracegrad/tracegrad/internal/trajectory"

// wholeTrajectory stands for a step index where a value is about all steps.
const wholeTrajectory = -1

// factKey finds a fact: what it is about, which function reads it, its name.
type factKey struct {
	step     int // wholeTrajectory for every fact, the index for facts about one step
	feedback bool
	name     string
}

// factIndex holds the newest fact of each name.
type factIndex map[factKey]*trajectory.Fact

// fill indexes the facts about t. Each counts for the trajectory; one that
// names a step's span or response counts for that step too.
func (x factIndex) fill(t *trajectory.Trajectory, facts []trajectory.Fact) {
	if len(facts) == 0 {
		return
	}
	spans, responses := map[string]int{}, map[string]int{}
	for i := range t.Steps {
		s := &t.Steps[i]
		if s.SpanID != "" {
			spans[s.TraceID+s.SpanID] = i
			spans[s.SpanID] = i
		}
		if s.Model != nil && s.Model.ResponseID != "" {
			responses[s.Model.ResponseID] = i
		}
	}
	for i := range facts {
		f := &facts[i]
		k := factKey{step: wholeTrajectory, feedback: f.Source == "feedback", name: f.Name}
		if k.feedback && f.Value == nil {
			continue // a comment without a verdict
		}
		x.keep(k, f)
		if at, ok := spans[f.TraceID+f.SpanID]; ok && f.SpanID != "" {
			k.step = at
		} else if at, ok := responses[f.ResponseID]; ok {
			k.step = at
		} else {
			continue
		}
		x.keep(k, f)
	}
}

// keep prefers the newer fact; of two of the same time the greater ID, so that
// the order in which facts are stored decides nothing.
func (x factIndex) keep(k factKey, f *trajectory.Fact) {
	old := x[k]
	if old == nil || f.ObservedAt > old.ObservedAt || f.ObservedAt == old.ObservedAt && f.ID > old.ID {
		x[k] = f
	}
}

func (x factIndex) feedback(step int, name string) *trajectory.Fact {
	return x[factKey{step, true, name}]
}

func (x factIndex) evaluation(step int, name string) *trajectory.Fact {
	return x[factKey{step, false, name}]
}
