package trainer

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/vllm"
	"github.com/tracegrad/tracegrad/trainer/paired"
)

func TestDecide(t *testing.T) {
	g := GateConfig{MinSupport: 8, Confidence: 0.95}
	compared := func(support int, difference, low, high float64) *paired.Result {
		return &paired.Result{Support: support, Base: 0.2, Candidate: 0.2 + difference, Difference: difference, Low: low, High: high}
	}
	arms := func(rollouts, base, candidate int) (*Arm, *Arm) {
		return &Arm{Model: "base", Rollouts: rollouts, Scored: base, Unscored: map[string]int{"tool_result_not_recorded": rollouts - base}},
			&Arm{Model: "candidate", Rollouts: rollouts, Scored: candidate, Unscored: map[string]int{"tool_result_not_recorded": rollouts - candidate}}
	}
	for name, x := range map[string]struct {
		change   func(*Judged, *GateConfig)
		released bool
		says     string
	}{
		"better":                  {func(*Judged, *GateConfig) {}, true, "better by +0.1"},
		"the interval includes 0": {func(j *Judged, _ *GateConfig) { j.Compared = compared(40, 0.1, -0.01, 0.2) }, false, "interval is not above 0"},
		"the interval ends at 0":  {func(j *Judged, _ *GateConfig) { j.Compared = compared(40, 0.1, 0, 0.2) }, false, "interval is not above 0"},
		"not by enough":           {func(_ *Judged, g *GateConfig) { g.Threshold = 0.06 }, false, "interval is not above 0.06"},
		"by enough":               {func(_ *Judged, g *GateConfig) { g.Threshold = 0.04 }, true, "better by"},
		"worse":                   {func(j *Judged, _ *GateConfig) { j.Compared = compared(40, -0.1, -0.2, -0.05) }, false, "worse: "},
		"too few prompts":         {func(j *Judged, _ *GateConfig) { j.Compared = compared(7, 0.5, 0.4, 0.6) }, false, "support 7 < 8 held-out prompts"},
		"one prompt is never enough": {func(j *Judged, g *GateConfig) {
			j.Compared, g.MinSupport = compared(1, 0.5, 0.5, 0.5), 1
		}, false, "support 1 < 2"},
		"none": {func(j *Judged, _ *GateConfig) { j.Compared, j.Base, j.Candidate = nil, nil, nil }, false, "support 0 < 8"},
		"no prompt can be read": {func(j *Judged, _ *GateConfig) {
			j.Compared, j.Base, j.Candidate, j.LeftOut = nil, nil, nil, map[string]int{"content_not_text": 3}
		}, false, "3 held-out trajectories without a prompt: content_not_text"},
		"most of the candidate's rollouts went nobody knows where": {func(j *Judged, _ *GateConfig) { j.Base, j.Candidate = arms(100, 90, 49) }, false, "51 of 100 rollouts of candidate have no return"},
		"half of them did": {func(j *Judged, _ *GateConfig) { j.Base, j.Candidate = arms(100, 50, 50) }, true, "better"},
		"rewards that wait for feedback": {func(j *Judged, _ *GateConfig) {
			j.Compared = nil
			j.Base.Unscored = map[string]int{"reward_missing: solved": 160}
		}, false, "name facts about the task in gate.task_facts"},
	} {
		t.Run(name, func(t *testing.T) {
			gate := g
			j := Judged{Compared: compared(40, 0.1, 0.05, 0.15)}
			j.Base, j.Candidate = arms(160, 160, 160)
			x.change(&j, &gate)
			released, why := j.decide(gate)
			assert.Equal(t, x.released, released, why)
			assert.Contains(t, why, x.says)
		})
	}
}

func TestPairsAreOfPromptsThatBothAnswered(t *testing.T) {
	var j Judged
	j.pair(map[string][]float64{"a": {0, 1}, "b": {1}, "c": nil, "d": {0.5}}, map[string][]float64{"a": {1, 1}, "b": {1, 1, 0, 0}, "c": {1}, "d": nil}, 0.95, 1)
	require.NotNil(t, j.Compared)
	assert.Equal(t, 2, j.Compared.Support)
	assert.Equal(t, 0.75, j.Compared.Base)
	assert.Equal(t, 0.75, j.Compared.Candidate)
	assert.Equal(t, []int{1, 1}, []int{j.Compared.Better, j.Compared.Worse})
	assert.False(t, math.IsNaN(j.Compared.Low))
	var none Judged
	none.pair(map[string][]float64{"a": nil}, map[string][]float64{"a": {1}}, 0.95, 1)
	assert.Nil(t, none.Compared)
}

func TestPending(t *testing.T) {
	cause := errors.New("connection refused")
	err := pending(t.Context(), cause)
	require.ErrorAs(t, err, new(*PendingError))
	require.ErrorIs(t, err, cause)
	assert.NoError(t, pending(t.Context(), nil))
	ctx, stop := context.WithCancel(t.Context())
	stop()
	assert.Equal(t, cause, pending(ctx, cause), "whoever interrupts a run waits for nothing")
}

func TestServedBase(t *testing.T) {
	c := Default()
	c.Gate.Server, c.Adapter.BaseModel = "http://s", "/models/tiny"
	for _, x := range []struct {
		model string
		has   []vllm.Model
		want  string
	}{
		{"", []vllm.Model{{ID: "other"}, {ID: "/models/tiny"}}, "/models/tiny"},
		{"", []vllm.Model{{ID: "tiny"}}, "tiny"},
		{"", []vllm.Model{{ID: "base", Root: "tiny"}, {ID: "a", Parent: "base"}}, "base"},
		{"", []vllm.Model{{ID: "base", Root: "another"}}, ""},
		{"mine", []vllm.Model{{ID: "tiny"}, {ID: "mine"}}, "mine"},
		{"mine", []vllm.Model{{ID: "tiny"}}, ""},
		{"", nil, ""},
	} {
		c.Gate.Model = x.model
		n := &adapterNight{night: &night{run: &run{Manifest: Manifest{Config: c}}}}
		got, err := n.servedBase(x.has)
		assert.Equal(t, x.want, got)
		assert.Equal(t, x.want == "", err != nil)
	}
}
