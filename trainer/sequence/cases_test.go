package sequence

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// recorded is a model call in testdata/cases.jsonl.
type recorded struct {
	Agent       string              `json:"agent"`
	Base        *int32              `json:"base"`
	Prompt      []int32             `json:"prompt"`
	Reply       []int32             `json:"reply"`
	Logprobs    []float32           `json:"logprobs"`
	Mode        string              `json:"mode"`
	Temperature *float64            `json:"temperature"`
	TopP        *float64            `json:"top_p"`
	Constrained *bool               `json:"constrained"`
	Reasons     []trajectory.Reason `json:"reasons"`
}

func (r recorded) step(i int) trajectory.Step {
	return trajectory.Step{
		Index: i, Kind: trajectory.KindModel, AgentName: r.Agent, Trainable: len(r.Reasons) == 0, Reasons: r.Reasons,
		Model: &trajectory.ModelCall{
			Input: []int32{0}, Output: []int32{1}, PromptBase: r.Base, PromptTokenIDs: r.Prompt, TokenIDs: r.Reply, Logprobs: r.Logprobs,
			LogprobsMode: r.Mode, Temperature: r.Temperature, TopP: r.TopP, Constrained: r.Constrained,
		},
	}
}

func trajectoryOf(calls []recorded) *trajectory.Trajectory {
	t := &trajectory.Trajectory{ID: "t", Trainable: true, Messages: []trajectory.Message{{Role: "user", Text: "hi"}, {Role: "assistant", Text: "ho"}}}
	for i, c := range calls {
		t.Steps = append(t.Steps, c.step(i))
	}
	return t
}

func TestCases(t *testing.T) {
	file, err := os.Open("testdata/cases.jsonl")
	require.NoError(t, err)
	defer file.Close()
	lines := 0
	scan := bufio.NewScanner(file)
	for scan.Buffer(nil, 1<<20); scan.Scan(); lines++ {
		var c struct {
			Name         string     `json:"name"`
			Steps        []recorded `json:"steps"`
			NotTrainable bool       `json:"not_trainable"`
			Vocabulary   int        `json:"vocabulary"`
			MaxLength    int        `json:"max_length"`
			Temperature  float64    `json:"temperature"`
			Other        []string   `json:"other"`
			Rows         []struct {
				Tokens   []int32   `json:"tokens"`
				Mask     string    `json:"mask"`
				Logprobs []float32 `json:"logprobs"`
			} `json:"rows"`
			Trained   int            `json:"trained"`
			Recompute *int           `json:"recompute"`
			Skipped   string         `json:"skipped"`
			LeftOut   map[string]int `json:"left_out"`
		}
		require.NoError(t, json.Unmarshal(scan.Bytes(), &c))
		t.Run(c.Name, func(t *testing.T) {
			in := trajectoryOf(c.Steps)
			in.Trainable = !c.NotTrainable
			got, err := Build(context.Background(), in, Options{
				Vocabulary: c.Vocabulary, MaxLength: c.MaxLength, Temperature: c.Temperature,
				Use: func(s *trajectory.Step) string {
					if slices.Contains(c.Other, s.AgentName) {
						return "other_policy"
					}
					return ""
				},
			})
			require.NoError(t, err)
			assert.Equal(t, c.Skipped, got.Skipped)
			if c.LeftOut == nil {
				c.LeftOut = map[string]int{}
			}
			assert.Equal(t, c.LeftOut, got.LeftOut)
			assert.Equal(t, c.Trained, got.Trained())
			require.Len(t, got.Rows, len(c.Rows))
			for i, want := range c.Rows {
				assert.Equal(t, want.Tokens, got.Rows[i].Tokens)
				assert.Equal(t, want.Mask, drawn(got.Rows[i].Mask))
				if want.Logprobs != nil {
					assert.Equal(t, want.Logprobs, got.Rows[i].Logprobs)
				}
				assert.NoError(t, got.Rows[i].Valid(c.Vocabulary))
			}
			var tally Tally
			tally.Add(got)
			assert.Equal(t, c.Skipped != "", tally.Err() != nil)
			if c.Recompute != nil {
				assert.Equal(t, *c.Recompute, tally.Recompute)
			}
		})
	}
	require.NoError(t, scan.Err())
	require.GreaterOrEqual(t, lines, 31)
}

func drawn(mask []bool) string {
	var b strings.Builder
	for _, m := range mask {
		b.WriteByte(".x"[map[bool]int{true: 1}[m]])
	}
	return b.String()
}

func TestTheTallySaysWhatBecameOfEverything(t *testing.T) {
	var tally Tally
	for _, calls := range [][]recorded{{{}}, {{}, {}}, {{Prompt: []int32{1}, Reply: []int32{-1}}}} {
		r, err := Build(context.Background(), trajectoryOf(calls), Options{})
		require.NoError(t, err)
		tally.Add(r)
	}
	assert.EqualError(t, tally.Err(), "build sequences: no trajectory can be trained on: trajectories nothing_to_train 2, token_outside_vocabulary 1; model calls tokens_missing 3")
	r, err := Build(context.Background(), trajectoryOf([]recorded{{Prompt: []int32{1}, Reply: []int32{2, 3}}}), Options{})
	require.NoError(t, err)
	tally.Add(r)
	require.NoError(t, tally.Err())
	assert.Equal(t, 1, tally.Rollouts)
	assert.Equal(t, 3, tally.Tokens)
	assert.Equal(t, 2, tally.Trained)
	assert.Equal(t, map[Source]int{Captured: 1}, tally.Calls)
	assert.Equal(t, 1, tally.Recompute)
}
