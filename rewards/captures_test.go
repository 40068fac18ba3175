package rewards_test

import (
	"bufio"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/rewards"
)

const captures = "../testdata/captures/"

// run is what a line of truth.jsonl says about a trajectory.
type run struct {
	File     string   `json:"file"`
	TraceIDs []string `json:"trace_ids"`
	Task     string   `json:"task"`
	Scenario string   `json:"scenario"`
	Expected struct {
		Correct bool `json:"correct"`
	} `json:"expected"`
}

// TestCaptures scores the shipped captures by the quickstart's rules, with the
// users' verdicts as late facts: no rule fails on real telemetry, and in every
// task what solved it outranks what did not.
func TestCaptures(t *testing.T) {
	engine, err := rewards.Load("../examples/quickstart/rewards.yaml")
	require.NoError(t, err)
	trajectories := assemble(t)
	worst, best, seen := map[string]float64{}, map[string]float64{}, map[string]int{}
	repeated := 0.0
	for _, r := range truth(t) {
		if len(r.TraceIDs) != 1 {
			continue // bare clients: joining their traces is the processor's
		}
		tr := trajectories[r.TraceIDs[0]]
		require.NotNil(t, tr, r.TraceIDs[0])
		early := engine.Score(tr, nil, 1)
		_, masked := engine.Return(early)
		assert.True(t, masked, "without a verdict nothing is learned")

		verdict := 0.0
		if r.Expected.Correct {
			verdict = 1
		}
		fact := trajectory.Fact{ID: "1", Name: "solved", Source: "feedback", Value: &verdict, TraceID: r.TraceIDs[0]}
		late := engine.Score(tr, []trajectory.Fact{fact}, 2)
		for _, w := range late {
			assert.NotContains(t, []string{rewards.ReasonError, rewards.ReasonNaN, rewards.ReasonInf, rewards.ReasonLimit}, w.Reason, w.Explanation)
			if w.Name == "repeated_call" && w.Value != nil {
				repeated -= *w.Value
			}
		}
		total, masked := engine.Return(late)
		require.False(t, masked)
		require.NotNil(t, total)
		if seen[r.Task]++; r.Expected.Correct {
			keep(worst, r.Task, *total, math.Min)
		} else {
			keep(best, r.Task, *total, math.Max)
		}
	}
	assert.Len(t, seen, 5, "five tasks")
	for task := range seen {
		assert.Contains(t, worst, task)
		assert.Contains(t, best, task)
		assert.Greater(t, worst[task], best[task], task)
		t.Logf("%s: %d runs, solved from %.2f, not solved up to %.2f", task, seen[task], worst[task], best[task])
	}
	assert.Positive(t, repeated, "some runs repeat themselves")
}

func keep(m map[string]float64, key string, v float64, choose func(a, b float64) float64) {
	if old, ok := m[key]; ok {
		v = choose(old, v)
	}
	m[key] = v
}

func truth(t *testing.T) []run {
	var out []run
	lines(t, captures+"truth.jsonl", func(line []byte) {
		var r run
		require.NoError(t, json.Unmarshal(line, &r))
		out = append(out, r)
	})
	require.NotEmpty(t, out)
	return out
}

// assemble makes one trajectory of every trace of the captures.
func assemble(t *testing.T) map[string]*trajectory.Trajectory {
	files, err := filepath.Glob(captures + "*__*.jsonl")
	require.NoError(t, err)
	spans := map[string][]*trajectory.Span{}
	for _, file := range files {
		decoder := genai.NewDecoder(genai.Options{})
		lines(t, file, func(line []byte) {
			td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(line)
			require.NoError(t, err)
			for _, rs := range td.ResourceSpans().All() {
				for _, ss := range rs.ScopeSpans().All() {
					for _, s := range ss.Spans().All() {
						id := s.TraceID().String()
						spans[id] = append(spans[id], decoder.Decode(rs.Resource(), ss.Scope(), s))
					}
				}
			}
		})
	}
	out := map[string]*trajectory.Trajectory{}
	for id, list := range spans {
		out[id] = trajectory.Assemble(list, trajectory.Options{CloseReason: trajectory.CloseComplete})
	}
	return out
}

func lines(t *testing.T, path string, f func([]byte)) {
	in, err := os.Open(path)
	require.NoError(t, err)
	defer func() { _ = in.Close() }()
	s := bufio.NewScanner(in)
	s.Buffer(nil, 64<<20)
	for s.Scan() {
		f(s.Bytes())
	}
	require.NoError(t, s.Err())
}
