//go:build unix

package repotest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/localcollector"
	"github.com/tracegrad/tracegrad/internal/vllmtest"
)

// attempt is vllmtest's attempt.json: what its adapter caller knows by heart.
type attempt struct {
	Tools    json.RawMessage   `json:"tools"`
	Messages []json.RawMessage `json:"messages"` // system, user, the call, its result, the answer
}

// said is an answer, or a message of one.
type said struct {
	Content   *string `json:"content"`
	ToolCalls []struct {
		ID       string `json:"id"`
		Function struct{ Name, Arguments string }
	} `json:"tool_calls"`
}

// testReroll: an agent whose model calls a tool is logged through the gateway;
// tracegrad reroll asks the same model again, which calls the tool of its own
// accord, and gets the result that was recorded. What is written of the tokens is
// what a forward pass computes, over both calls.
func testReroll(t *testing.T, server *vllmtest.Server) {
	var a attempt
	require.NoError(t, json.Unmarshal([]byte(readFile(t, root, "internal/vllmtest/testdata/attempt.json")), &a))
	reroll := func(data, model string, args ...string) (tally rerollTally, steps []rerollStep) {
		out := filepath.Join(t.TempDir(), "rollouts")
		args = append([]string{"reroll", "--dataset", data, "--url", server.URL + "/v1", "--model", model, "--out", out, "--n", "2", "--json"}, args...)
		printed, err := exec.CommandContext(t.Context(), tracegrad(t), args...).Output()
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(printed, &tally))
		steps = liveRows[rerollStep](t, out, "steps")
		slices.SortFunc(steps, func(x, y rerollStep) int {
			return cmp.Or(cmp.Compare(x.TrajectoryID, y.TrajectoryID), cmp.Compare(x.Index, y.Index))
		})
		return tally, steps
	}

	whole := loggedAttempt(t, server, a, true)
	logged := liveRows[rerollStep](t, whole, "steps")
	require.Len(t, logged, 3, "the tool's run is a step, though it has no span")

	tally, steps := reroll(whole, "caller")
	assert.Equal(t, rerollTally{Wanted: 2, Made: 2, Ended: map[string]int{}}, tally)
	require.Len(t, steps, 6)
	var result struct{ Content string }
	require.NoError(t, json.Unmarshal(a.Messages[3], &result))
	var judged []liveStep
	var truths []map[string]any
	for _, three := range [][]rerollStep{steps[:3], steps[3:]} {
		assert.Equal(t, []string{"model", "tool", "model"}, []string{three[0].Kind, three[1].Kind, three[2].Kind})
		assert.Equal(t, []string{"get_weather", `{"city": "Oslo"}`, result.Content}, []string{three[1].Tool, three[1].Arguments, *three[1].Result})
		assert.Nil(t, three[0].Base)
		require.NotNil(t, three[2].Base, "the second prompt begins with the first and its reply")
		prompt := slices.Concat(three[0].Prompt, three[0].IDs, three[2].Prompt)
		for call, ids := range map[int][]int32{0: three[0].Prompt, 2: prompt} {
			judged = append(judged, liveStep{PromptTokenIDs: ids, Logprobs: three[call].Logprobs})
			truths = append(truths, map[string]any{
				"adapter": "caller", "temperature": attemptTemperature, "prompt": ids, "ids": three[call].IDs, "messages": a.Messages[:2+call], "tools": a.Tools,
			})
		}
	}
	judge(t, server, judged, truths)

	tally, steps = reroll(whole, "base", "--max-tokens", "8")
	assert.Equal(t, rerollTally{Wanted: 2, Made: 2, Ended: map[string]int{}}, tally)
	assert.Len(t, steps, 2, "the base model knows no tool, and is asked under the same prompt")

	tally, steps = reroll(loggedAttempt(t, server, a, false), "caller")
	assert.Equal(t, rerollTally{Wanted: 2, Made: 2, Ended: map[string]int{"tool_result_not_recorded": 2}}, tally)
	require.Len(t, steps, 4)
	assert.Equal(t, "get_weather", steps[1].Tool)
	assert.Nil(t, steps[1].Result, "nothing is made up")
}

type rerollTally struct {
	Wanted int            `json:"wanted"`
	Made   int            `json:"made"`
	Ended  map[string]int `json:"ended"`
}

// rerollStep is what testReroll reads of table steps.
type rerollStep struct {
	TrajectoryID string    `parquet:"trajectory_id"`
	Index        int32     `parquet:"step_index"`
	Kind         string    `parquet:"kind"`
	Tool         string    `parquet:"tool_name,optional"`
	Arguments    string    `parquet:"tool_arguments,optional"`
	Result       *string   `parquet:"tool_result,optional"`
	Base         *int32    `parquet:"prompt_base,optional"`
	Prompt       []int32   `parquet:"prompt_token_ids,optional,list"`
	IDs          []int32   `parquet:"token_ids,optional,list"`
	Logprobs     []float32 `parquet:"logprobs,optional,list"`
}

// attemptTemperature lets caller sample, and yet say what it knows.
const attemptTemperature = 0.2

// loggedAttempt is the dataset of one attempt, made by an agent that runs the
// tool its model calls. One that is not whole gives up before the tool has run.
func loggedAttempt(t *testing.T, server *vllmtest.Server, a attempt, whole bool) (data string) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "dataset")
	c := startTokens(t, server.URL, data)
	messages := slices.Clone(a.Messages[:2])
	for range 2 {
		raw := chat(t, c.URL(localcollector.Gateway), map[string]any{
			"model": "caller", "messages": messages, "tools": a.Tools, "temperature": attemptTemperature, "max_tokens": 64, "seed": len(messages),
		})
		var reply said
		require.NoError(t, json.Unmarshal(raw, &reply))
		if len(reply.ToolCalls) == 0 {
			require.NotNil(t, reply.Content)
			assert.Contains(t, string(a.Messages[4]), *reply.Content)
			break
		}
		require.Len(t, messages, 2, "one call is enough")
		require.Len(t, reply.ToolCalls, 1)
		if !whole {
			break
		}
		var result map[string]any
		require.NoError(t, json.Unmarshal(a.Messages[3], &result))
		result["tool_call_id"] = reply.ToolCalls[0].ID
		answer, err := json.Marshal(result)
		require.NoError(t, err)
		messages = append(messages, raw, answer)
	}
	_, err := c.Settle(t.Context())
	require.NoError(t, err)
	require.NoError(t, c.Stop())
	return data
}

// chat returns the message of an answer, as it came.
func chat(t *testing.T, at string, ask map[string]any) json.RawMessage {
	t.Helper()
	body, err := json.Marshal(ask)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at+"/v1/chat/completions", bytes.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	require.Equal(t, http.StatusOK, res.StatusCode)
	var answer struct {
		Choices []struct{ Message json.RawMessage }
	}
	require.NoError(t, json.NewDecoder(res.Body).Decode(&answer))
	require.Len(t, answer.Choices, 1)
	return answer.Choices[0].Message
}
