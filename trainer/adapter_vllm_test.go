//go:build cgo && unix

package trainer

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/internal/vllmtest"
	"github.com/tracegrad/tracegrad/rewards"
	"github.com/tracegrad/tracegrad/trainer/query"
	"github.com/tracegrad/tracegrad/trainer/reroll"
)

// loggedPrompts are attempts as they would stand in a dataset.
func loggedPrompts(t *testing.T, n int) []*reroll.Prompt {
	t.Helper()
	var prompts []*reroll.Prompt
	for i := range n {
		one, most := 1.0, int64(12)
		x := &trajectory.Trajectory{
			ID: fmt.Sprintf("%032d", i), TaskKey: fmt.Sprint("task ", i), Input: fmt.Sprintf("What is %d plus %d?", i, i+1), Trainable: true,
			Messages: []trajectory.Message{{Role: "system", Text: "You answer in one line."}, {Role: "user", Text: fmt.Sprintf("What is %d plus %d?", i, i+1)}},
			Steps: []trajectory.Step{{Kind: trajectory.KindModel, Trainable: true, Model: &trajectory.ModelCall{
				Temperature: &one, MaxTokens: &most, Input: []int32{0, 1},
				Tools: `[{"type":"function","name":"add","description":"Adds","parameters":{"type":"object","properties":{}}}]`,
			}}},
		}
		p, left := reroll.PromptOf(x)
		require.Empty(t, left)
		prompts = append(prompts, p)
	}
	return reroll.Gather(prompts)
}

// tokensOf are the ids that were generated, by prompt and index.
func tokensOf(t *testing.T, dir string) map[string][]int32 {
	t.Helper()
	db, err := query.Open(t.Context(), dir, query.Options{})
	require.NoError(t, err)
	defer db.Close()
	out := map[string][]int32{}
	for x, err := range db.Trajectories(t.Context(), "") {
		require.NoError(t, err)
		assert.Equal(t, trajectory.TokensCaptured, x.Tokens)
		m := x.Steps[0].Model
		require.NotEmpty(t, m.TokenIDs)
		require.Len(t, m.Logprobs, len(m.TokenIDs))
		require.NotEmpty(t, m.PromptTokenIDs)
		require.NotNil(t, m.Seed)
		key := fmt.Sprint(reroll.PromptKeyOf(x), *m.Seed)
		require.NotContains(t, out, key)
		out[key] = m.TokenIDs
	}
	return out
}

// TestVLLMGate: a real vLLM answers logged prompts, again and again the same under
// the same seeds, and serves base and candidate to the gate.
func TestVLLMGate(t *testing.T) {
	server := vllmtest.Start(t, "..")
	client, err := reroll.NewClient(server.URL + "/v1")
	require.NoError(t, err)
	prompts := loggedPrompts(t, 10)
	ask := func(model string) map[string][]int32 {
		out := t.TempDir()
		tally, err := reroll.Run(t.Context(), client, prompts, out, reroll.Options{Policy: reroll.Policy{Model: model, Seed: 7}, Rollouts: 2, Concurrency: 1})
		require.NoError(t, err)
		assert.Equal(t, 20, tally.Made)
		return tokensOf(t, out)
	}
	base, tuned := ask("base"), ask("tuned")
	assert.Equal(t, base, ask("base"), "the same seeds give the same rollouts")
	require.Len(t, tuned, len(base))
	differ := 0
	for key, ids := range base {
		if !slices.Equal(ids, tuned[key]) { // under the same key: prompt and seed are the same
			differ++
		}
	}
	assert.Positive(t, differ, "the adapter answers otherwise")
	_, err = reroll.Run(t.Context(), client, prompts, t.TempDir(), reroll.Options{Policy: reroll.Policy{Model: "nobody"}})
	require.ErrorContains(t, err, "ask model nobody: server answered 404")

	files, err := readFolder(filepath.Join(server.Adapters, "tuned"))
	require.NoError(t, err)
	n := gateNight(t, server.URL)
	folder := "adapter-" + digestOfFiles(files)[:12]
	require.NoError(t, writeFolder(filepath.Join(n.dir, folder), files))
	j := Judged{Rollouts: 2}
	require.NoError(t, n.compare(t.Context(), &j, prompts, folder))
	assert.Equal(t, "base", j.Base.Model)
	assert.Equal(t, gateName(digestOfFiles(files)[:12]), j.Candidate.Model)
	assert.Equal(t, []int{20, 20}, []int{j.Base.Scored, j.Candidate.Scored})
	require.NotNil(t, j.Compared)
	assert.Equal(t, 10, j.Compared.Support)
	assert.Equal(t, tuned, tokensOf(t, filepath.Join(n.dir, j.Candidate.Dataset)), "the same weights under another name")
	assert.Equal(t, base, tokensOf(t, filepath.Join(n.dir, j.Base.Dataset)))
	models, err := client.Models(t.Context())
	require.NoError(t, err)
	assert.False(t, slices.Contains(models, j.Candidate.Model), "the adapter is taken off the server")

	broken := "adapter-" + digest(nil)[:12]
	require.NoError(t, writeFolder(filepath.Join(n.dir, broken), map[string][]byte{"adapter_config.json": []byte("{}"), "adapter_model.safetensors": []byte("x")}))
	err = n.compare(t.Context(), &Judged{Rollouts: 1}, prompts, broken)
	require.ErrorAs(t, err, new(*PendingError), "what vLLM refuses leaves the night as it was: %v", err)
}

// gateNight is a night that has come to its gate.
func gateNight(t *testing.T, url string) *adapterNight {
	t.Helper()
	engine, err := rewards.Parse("rewards.yaml", []byte("rewards:\n  - name: long\n    expr: 'len(output) > 30 ? 1 : 0'\n"))
	require.NoError(t, err)
	c := Default()
	c.Adapter.BaseModel, c.Gate.Server, c.Gate.Concurrency, c.Seed = "base", url, 1, 7
	return &adapterNight{night: &night{engine: engine, run: &run{Manifest: Manifest{Config: c}, dir: t.TempDir(), clock: time.Now, progress: func(Event) {}}}}
}
