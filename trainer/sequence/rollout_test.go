package sequence

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/trainer/grpo"
)

func TestFlatListsFollowTheOrderOfGeneration(t *testing.T) {
	r := build(t, []recorded{
		{Prompt: []int32{1}, Reply: []int32{2}}, {Prompt: []int32{7}, Reply: []int32{8, 9}},
		{Prompt: []int32{1, 2, 3}, Reply: []int32{4}}, // back in the first row
	})
	require.Len(t, r.Rows, 2)
	flat, err := r.Flat([][]float32{{0, 10, 0, 40}, {0, 20, 30}})
	require.NoError(t, err)
	assert.Equal(t, []float64{10, 20, 30, 40}, flat)
	require.NoError(t, r.SetAdvantages(flat))
	assert.Equal(t, []float32{0, 10, 0, 40}, r.Rows[0].Advantages)
	assert.Equal(t, []float32{0, 20, 30}, r.Rows[1].Advantages)
	require.NoError(t, r.SetValues([]float64{1, 2, 3, 4}, flat))
	assert.Equal(t, []float32{0, 1, 0, 4}, r.Rows[0].Values)
	assert.Equal(t, []float64{0, 1, 1, 2}, r.PerSpan(func(s Span) float64 { return float64(s.Step) }))
}

func TestListsThatDoNotFitAreRefused(t *testing.T) {
	r := build(t, []recorded{{Prompt: []int32{1}, Reply: []int32{2, 3}}})
	_, err := r.Flat(nil)
	require.ErrorContains(t, err, "0 lists for 1 rows")
	_, err = r.Flat([][]float32{{1}})
	require.ErrorContains(t, err, "has 3 tokens, but 1 values")
	require.ErrorContains(t, r.SetAdvantages([]float64{1}), "1 values for 2 generated tokens")
	require.ErrorContains(t, r.SetAdvantages([]float64{1, math.NaN()}), "not a number that can be trained with")
	require.ErrorContains(t, r.SetLogprobs([]float64{1, 1e300}), "not a number that can be trained with")
	assert.Equal(t, []float32{0, 0, 0}, r.Rows[0].Advantages, "nothing was set")
	_, err = r.Behaviour([]float64{1})
	require.Error(t, err)
}

func TestBehaviourIsRecordedWhereItIsKnown(t *testing.T) {
	one := 1.0
	r := build(t, []recorded{
		{Prompt: []int32{1}, Reply: []int32{2}, Logprobs: []float32{-0.5}, Temperature: &one},
		{Prompt: []int32{1, 2, 3}, Reply: []int32{4}},
	})
	got, err := r.Behaviour([]float64{-1, -2})
	require.NoError(t, err)
	assert.Equal(t, []float64{-0.5, -2}, got)
	require.NoError(t, r.SetLogprobs([]float64{-7, -8}))
	again, err := r.Behaviour([]float64{-1, -2})
	require.NoError(t, err)
	assert.Equal(t, got, again, "a step does not change what was recorded")
}

func TestRewardsStandAtTheEndOfReplies(t *testing.T) {
	r := build(t, []recorded{{Prompt: []int32{1}, Reply: []int32{2, 3}}, {Prompt: []int32{7}, Reply: []int32{8}}, {Prompt: []int32{1, 2, 3, 4}, Reply: []int32{5, 6}}})
	assert.Equal(t, []float64{0, 10, 11, 0, 12}, r.PerReply(func(step int) float64 { return float64(10 + step) }))
}

func TestAgentsCountCalls(t *testing.T) {
	r := build(t, []recorded{{Agent: "a", Prompt: []int32{1}, Reply: []int32{2, 3}}, {Agent: "b", Prompt: []int32{7}, Reply: []int32{8}}, {Agent: "a", Prompt: []int32{4}, Reply: []int32{5}}})
	assert.Equal(t, map[string]int{"a": 2, "b": 1}, r.Agents())
}

func TestApplyRefusesWhatDoesNotFit(t *testing.T) {
	r := build(t, []recorded{{Prompt: []int32{1}, Reply: []int32{2, 3}}})
	_, err := r.Apply(grpo.Rule{}, grpo.Logs{Now: []float64{-1}, Advantages: []float64{1}})
	require.ErrorContains(t, err, "apply rule to rollout t: set advantages")
	_, err = r.Apply(grpo.Rule{}, grpo.Logs{Now: []float64{-1, math.NaN()}, Advantages: []float64{1, 1}})
	require.ErrorContains(t, err, "now has a value that is not a number")
}

func TestARolloutSurvivesAFile(t *testing.T) {
	one := 1.0
	r := build(t, []recorded{{Prompt: []int32{1}, Reply: []int32{2, 3}, Logprobs: []float32{-0.1, -0.25}, Temperature: &one}})
	text, err := json.Marshal(r)
	require.NoError(t, err)
	var back Rollout
	require.NoError(t, json.Unmarshal(text, &back))
	r.LeftOut = nil // empty
	assert.Equal(t, *r, back)
}

func TestRowsOfARolloutShareItsWeight(t *testing.T) {
	two := build(t, []recorded{{Prompt: []int32{1}, Reply: []int32{2, 3}}, {Prompt: []int32{4}, Reply: []int32{5}}})
	one := build(t, []recorded{{Prompt: []int32{1}, Reply: []int32{2}}})
	require.NoError(t, Weigh([]*Rollout{two, one}, grpo.RolloutMean, 0))
	assert.Equal(t, []float64{1. / 6, 1. / 6, 1. / 2}, []float64{two.Rows[0].Weight, two.Rows[1].Weight, one.Rows[0].Weight})
	require.NoError(t, Weigh([]*Rollout{two, one}, grpo.TokenMean, 0))
	assert.Equal(t, []float64{1. / 4, 1. / 4, 1. / 4}, []float64{two.Rows[0].Weight, two.Rows[1].Weight, one.Rows[0].Weight})
	require.ErrorContains(t, Weigh([]*Rollout{two}, grpo.Constant, 0), "needs a length")
	require.ErrorContains(t, Weigh(nil, grpo.TokenMean, 0), "no token to train on")
}
