package prompt

import (
	"fmt"
	"math/rand/v2"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// world draws attempts at tasks. Tasks differ in difficulty; behaviour shifts
// the return by what is planted.
type world struct {
	tasks    int
	attempts int     // per task
	lookup   float64 // effect of calling the tool "lookup"
	repeat   float64 // effect of repeating a call
	binary   bool    // returns are 0 or 1
}

func (w world) samples(seed uint64) []Sample {
	r := rand.New(rand.NewPCG(seed, 17))
	var out []Sample
	for task := range w.tasks {
		difficulty, habit := r.Float64()*0.5, 0.2+0.6*r.Float64()
		for attempt := range w.attempts {
			lookup, repeat := r.Float64() < habit, r.Float64() < 0.3
			value := 0.25 + difficulty
			if lookup {
				value += w.lookup
			}
			if repeat {
				value += w.repeat
			}
			if w.binary {
				if r.Float64() < value {
					value = 1
				} else {
					value = 0
				}
			} else {
				value += r.NormFloat64() * 0.3
			}
			t := attemptAt(fmt.Sprintf("t%03d-%03d", task, attempt), lookup, repeat, r)
			out = append(out, Sample{Profile: Read(t), Group: fmt.Sprintf("task%d", task), Return: value})
		}
	}
	return out
}

// attemptAt is a trajectory as a collector would have assembled it.
func attemptAt(id string, lookup, repeat bool, r *rand.Rand) *trajectory.Trajectory {
	const tools = `[{"type":"function","function":{"name":"lookup"}},{"type":"function","function":{"name":"notes"}}]`
	t := &trajectory.Trajectory{ID: id, Input: "question", Output: "answer", AgentNames: []string{"clerk"}}
	model := func() {
		t.Steps = append(t.Steps, trajectory.Step{Kind: trajectory.KindModel, AgentName: "clerk", Model: &trajectory.ModelCall{Tools: tools}})
	}
	run := func(name, arguments string) {
		result := "found"
		t.Steps = append(t.Steps, trajectory.Step{Kind: trajectory.KindTool, Tool: &trajectory.ToolRun{Name: name, Arguments: arguments, Result: &result}})
	}
	model()
	if lookup {
		run("lookup", `{"q":1}`)
	}
	if repeat {
		run("notes", `{"a": 1, "b": 2}`)
		run("notes", `{"b":2,"a":1}`)
	} else {
		run("notes", fmt.Sprintf(`{"n":%d}`, r.IntN(1000)))
	}
	model()
	return t
}

// split keeps a share of every task for the gate and centres the rest.
func split(samples []Sample, r *rand.Rand, share float64) (train, holdout []Sample) {
	for _, s := range samples {
		if r.Float64() < share {
			holdout = append(holdout, s)
		} else {
			train = append(train, s)
		}
	}
	sum, n := map[string]float64{}, map[string]float64{}
	for _, s := range train {
		sum[s.Group] += s.Return
		n[s.Group]++
	}
	for i := range train {
		train[i].Advantage = train[i].Return - sum[train[i].Group]/n[train[i].Group]
	}
	return train, holdout
}

// shuffle deals the returns of each group out anew: no behaviour has an effect.
func shuffle(samples []Sample, r *rand.Rand) {
	groups := map[string][]int{}
	for i := range samples {
		groups[samples[i].Group] = append(groups[samples[i].Group], i)
	}
	for task := range len(groups) {
		members := groups[fmt.Sprintf("task%d", task)]
		r.Shuffle(len(members), func(i, j int) {
			a, b := members[i], members[j]
			samples[a].Return, samples[b].Return = samples[b].Return, samples[a].Return
		})
	}
}
