package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSpread(t *testing.T) {
	assert.Equal(t, spread{Median: 2, Least: 1, Most: 9}, spreadOf([]float64{9, 1, 2}))
	assert.Equal(t, spread{Median: 2.5, Least: 1, Most: 9}, spreadOf([]float64{9, 1, 2, 3}))
	assert.Zero(t, spreadOf(nil))
}

// TestRatiosAreOfTheSameRound: a slow round is slow for all its pipelines.
func TestRatiosAreOfTheSameRound(t *testing.T) {
	r := result{Runs: []measurement{
		{Pipeline: "a", Round: 1, CPU: 4}, {Pipeline: "b", Round: 1, CPU: 8},
		{Pipeline: "b", Round: 2, CPU: 30}, {Pipeline: "a", Round: 2, CPU: 10},
	}}
	r.summarize(pipelines[:2])
	require.Len(t, r.Pipelines, 2)
	assert.Equal(t, spread{Median: 1, Least: 1, Most: 1}, r.Pipelines[0].Ratio)
	assert.Equal(t, spread{Median: 2.5, Least: 2, Most: 3}, r.Pipelines[1].Ratio)
	var out strings.Builder
	require.NoError(t, r.writeTable(&out))
	assert.Contains(t, out.String(), "2.50 [2.00–3.00] a")
}

func TestPlan(t *testing.T) {
	o := options{spans: 1, rounds: 1, senders: 1, procs: 1, memory: 1, only: "c,e1"}
	plan, err := o.plan()
	require.NoError(t, err)
	var ids []string
	for _, p := range plan {
		ids = append(ids, p.ID)
	}
	assert.Equal(t, []string{"a", "c", "e0", "e1"}, ids)
	o.only = "z"
	_, err = o.plan()
	assert.ErrorContains(t, err, `"z"`)
	o.rounds = 0
	_, err = o.plan()
	assert.ErrorContains(t, err, "-rounds")
}
