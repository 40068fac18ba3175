package prompt

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

func attempt(calls ...trajectory.ModelCall) *trajectory.Trajectory {
	t := &trajectory.Trajectory{ID: "t", Input: "When?", Output: "On Friday."}
	for i := range calls {
		t.Steps = append(t.Steps, trajectory.Step{Index: i, Kind: trajectory.KindModel, Model: &calls[i]})
	}
	return t
}

func TestServedBy(t *testing.T) {
	call := func(bundle, adapter string) trajectory.ModelCall {
		return trajectory.ModelCall{Bundle: bundle, Adapter: adapter}
	}
	for want, x := range map[string]*trajectory.Trajectory{
		"":             attempt(call("", ""), call("", "")),
		"b1":           attempt(call("b1", ""), call("b1", "m-1")),
		" + b1":        attempt(call("", ""), call("b1", "")),
		"b1 + b2":      attempt(call("b2", ""), call("b1", ""), call("b2", "")),
		"adapter m-1":  attempt(call("", "m-1")),
		"b3":           {ID: "t", Bundle: "b3"},
		" + adapter m": attempt(call("", "m"), call("", "")),
	} {
		assert.Equal(t, want, servedBy(x))
		assert.Equal(t, want, Read(x).Bundle)
	}
}

// Attempts that different bundles served, or part of which one served, are not
// held against each other: what differs may be what we told them.
func TestContrastStaysWithinABundle(t *testing.T) {
	served := [][]trajectory.ModelCall{
		{{}, {}},
		{{Bundle: "b1"}, {Bundle: "b1"}},
		{{Bundle: "b1"}, {}},
		{{Bundle: "b2"}, {Bundle: "b2"}},
		{{Adapter: "m-1"}, {Adapter: "m-1"}},
	}
	sample := func(calls []trajectory.ModelCall, tool bool) Sample {
		x := attempt(calls...)
		for i := range x.Steps {
			x.Steps[i].Model.Tools = `[{"name":"look_up"}]`
		}
		s := Sample{Group: "g", Return: 0}
		if tool {
			x.Steps = append(x.Steps, trajectory.Step{Index: len(x.Steps), Kind: trajectory.KindTool, Tool: &trajectory.ToolRun{Name: "look_up"}})
			s.Return, s.Advantage = 1, 1
		} else {
			s.Advantage = -1
		}
		s.Profile = Read(x)
		return s
	}
	learnt := func(with, without []trajectory.ModelCall) int {
		var samples []Sample
		for range 12 {
			samples = append(samples, sample(with, true), sample(without, false))
		}
		for i := range samples {
			samples[i].ID = string(rune('a'+i/26)) + string(rune('a'+i%26))
		}
		return len(Learn(samples, NewNorms(samples), Options{MaxItems: 8, MinSupport: 5, Seed: 1}).Items)
	}
	for i, with := range served {
		for j, without := range served {
			if i == j {
				assert.Positive(t, learnt(with, without), "%d", i)
			} else {
				assert.Zero(t, learnt(with, without), "%d against %d", i, j)
			}
		}
	}
}

// What a bundle put into the prompt is not looked at.
func TestInjectedMessagesTeachNothing(t *testing.T) {
	plain := attempt(trajectory.ModelCall{Input: []int32{0}, Output: []int32{1}})
	plain.Messages = []trajectory.Message{{Role: "user", Text: "When?"}, {Role: "assistant", Text: "On Friday."}}
	told := attempt(trajectory.ModelCall{Input: []int32{2, 0}, Output: []int32{1}})
	told.Steps[0].Attributes = `{"tracegrad.injected":[{"text":"Cite [doc:7]. Call look_up first."}]}`
	told.Messages = append(slices.Clone(plain.Messages), trajectory.Message{Role: "system", Text: "Cite [doc:7]. Call look_up first.", Injected: "g1"})
	assert.Equal(t, Read(plain), Read(told))
}
