package engine

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/trainer/grpo"
)

// quick are options for servers that do not compute.
func quick() Options {
	return Options{Normalize: Sum, Backoff: time.Millisecond, Patience: 200 * time.Millisecond, Timeout: 5 * time.Second, Heartbeat: time.Hour}
}

func dial(t *testing.T, url string, o Options) *Client {
	t.Helper()
	c, err := Dial(t.Context(), url, o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	return c
}

const recordedBase = "/models/tiny-qwen3"

// rowsOf are the rows of a recorded request, as they were before they were
// shifted: what a server is sent holds all of them but their weight.
func rowsOf(t *testing.T, name string) []Row {
	t.Helper()
	type list struct {
		Data []float32 `json:"data"`
	}
	var in struct {
		Forward, Backward *struct {
			Data []struct {
				Input struct {
					Chunks []chunkJSON `json:"chunks"`
				} `json:"model_input"`
				Inputs struct {
					Targets struct {
						Data []int32 `json:"data"`
					} `json:"target_tokens"`
					Weights, Logprobs, Advantages list
				} `json:"loss_fn_inputs"`
			} `json:"data"`
		}
	}
	raw := recorded(t, oldServer)[name].Request
	var keyed map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(raw, &keyed))
	for from, to := range map[string]string{"forward_input": "Forward", "forward_backward_input": "Backward"} {
		if v, ok := keyed[from]; ok {
			keyed[to] = v
		}
	}
	renamed, err := json.Marshal(keyed)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(renamed, &in))
	pass := in.Forward
	if pass == nil {
		pass = in.Backward
	}
	var out []Row
	for _, d := range pass.Data {
		n := len(d.Inputs.Targets.Data)
		r := Row{
			Tokens: append([]int32{d.Input.Chunks[0].Tokens[0]}, d.Inputs.Targets.Data...), Mask: make([]bool, n+1), Weight: 1, Rollout: "recorded",
			Logprobs: append([]float32{0}, d.Inputs.Logprobs.Data...), Advantages: append([]float32{0}, d.Inputs.Advantages.Data...),
		}
		for i, w := range d.Inputs.Weights.Data {
			r.Mask[i+1] = w == 1
		}
		if len(r.Logprobs) == 1 {
			r.Logprobs, r.Advantages = make([]float32, n+1), append([]float32{0}, d.Inputs.Weights.Data...)
		}
		out = append(out, r)
	}
	require.NotEmpty(t, out)
	return out
}

// TestContract drives recorded servers of both generations through a night:
// every request must be the one that was recorded, every answer must be read as
// what it says.
func TestContract(t *testing.T) {
	for _, server := range []string{oldServer, newServer} {
		t.Run(server, func(t *testing.T) {
			ctx, p := t.Context(), newReplay(t, server)
			c := dial(t, p.URL, quick())
			caps := c.Capabilities()
			assert.Equal(t, []string{recordedBase}, caps.Models)
			assert.Equal(t, server == newServer, caps.Wire == Protobuf)
			assert.Equal(t, server == newServer, caps.Idempotent)

			m, err := c.CreateModel(ctx, Spec{Base: recordedBase, Rank: 8, Seed: 7})
			require.NoError(t, err)
			assert.InDelta(t, 32, m.Alpha, 0)

			rows := rowsOf(t, "forward-cross_entropy")
			before, err := m.Forward(ctx, rows)
			require.NoError(t, err)
			requireSame(t, p, "forward-cross_entropy", rows, logprobs(before))

			got, err := m.ForwardBackward(ctx, rows, grpo.Loss{Fn: grpo.FnCrossEntropy})
			require.NoError(t, err)
			assert.InDelta(t, lossOf(t, p, "forward_backward-cross_entropy"), got.Loss, 1e-4)
			stepped, err := m.OptimStep(ctx, DefaultAdam(0.01))
			require.NoError(t, err)
			assert.InDelta(t, 1.9853819608688354, *stepped.GradNorm, 1e-12)
			after, err := m.Forward(ctx, rows)
			require.NoError(t, err)
			assert.NotEqual(t, before, after)

			for _, step := range []struct {
				name string
				loss grpo.Loss
			}{
				{"importance_sampling", grpo.Loss{Fn: grpo.FnImportance}},
				{"ppo", grpo.Loss{Fn: grpo.FnPPO, Low: 0.8, High: 1.28}},
				{"cispo", grpo.Loss{Fn: grpo.FnCISPO, Low: 0, High: 5}},
			} {
				name := "forward_backward-" + step.name
				at(t, p, m, name)
				rows := rowsOf(t, name)
				got, err := m.ForwardBackward(ctx, rows, step.loss)
				require.NoError(t, err)
				assert.InDelta(t, lossOf(t, p, name), got.Loss, 1e-4, name)
				requireSame(t, p, name, rows, got.Logprobs)
			}

			state, err := m.SaveState(ctx, "night-0001")
			require.NoError(t, err)
			assert.Equal(t, "tinker://"+m.ID+"/weights/night-0001", state)
			dir := filepath.Join(t.TempDir(), "adapter")
			require.NoError(t, m.SaveForSampler(ctx, "adapter-0001", dir))
			requireAdapter(t, dir)

			again, err := c.CreateModel(ctx, Spec{Base: recordedBase, Rank: 8, Seed: 9, From: state})
			require.NoError(t, err)
			at(t, p, again, "forward-loaded")
			loaded, err := again.Forward(ctx, rows)
			require.NoError(t, err)
			requireSame(t, p, "forward-loaded", rows, logprobs(loaded))
			require.NoError(t, m.Close(ctx))
			for _, name := range p.names() {
				assert.NotContains(t, name, "not recorded")
			}
		})
	}
}

func logprobs(said []Output) (out [][]float32) {
	for _, o := range said {
		out = append(out, o.Logprobs)
	}
	return out
}

// at sets the sequence number to that of a recorded request.
func at(t *testing.T, p *replay, m *Model, name string) {
	t.Helper()
	var said struct {
		Old int `json:"seq_id"`
		New int `json:"seqId"`
	}
	e := p.byName[name]
	body := []byte(e.Request)
	if e.RequestBytes != nil {
		body = asJSON(t, "ForwardBackwardRequest", e.RequestBytes)
	}
	require.NoError(t, json.Unmarshal(body, &said))
	m.sequence = max(said.Old, said.New) - 1
}

// meaning is what a recorded answer says, by the recorder.
func meaning(t *testing.T, p *replay, name string) (rows []struct{ Logprobs, Losses []float32 }) {
	t.Helper()
	type list struct {
		Data []float32 `json:"data"`
	}
	var said struct {
		Outputs []struct {
			Logprobs list `json:"logprobs"`
			Losses   list `json:"elementwise_loss"`
		} `json:"loss_fn_outputs"`
	}
	e := p.byName["retrieve_future-"+name]
	raw := e.Answer
	if e.AnswerMeans != nil {
		raw = e.AnswerMeans
	}
	require.NoError(t, json.Unmarshal(raw, &said))
	for _, o := range said.Outputs {
		rows = append(rows, struct{ Logprobs, Losses []float32 }{o.Logprobs.Data, o.Losses.Data})
	}
	require.NotEmpty(t, rows)
	return rows
}

func lossOf(t *testing.T, p *replay, name string) (sum float64) {
	for _, row := range meaning(t, p, name) {
		for _, l := range row.Losses {
			sum += float64(l)
		}
	}
	return sum
}

func requireSame(t *testing.T, p *replay, name string, rows []Row, got [][]float32) {
	t.Helper()
	want := meaning(t, p, name)
	require.Len(t, got, len(want))
	for i, row := range want {
		require.Zero(t, got[i][0])
		for t0, l := range row.Logprobs {
			if !rows[i].Mask[t0+1] {
				l = 0
			}
			require.Equal(t, l, got[i][t0+1])
		}
	}
}

// requireAdapter holds an exported adapter to what PEFT and vLLM need.
func requireAdapter(t *testing.T, dir string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, ConfigFile))
	require.NoError(t, err)
	var config struct {
		Targets []string `json:"target_modules"`
		Task    string   `json:"task_type"`
		Base    string   `json:"base_model_name_or_path"`
	}
	require.NoError(t, json.Unmarshal(raw, &config))
	assert.Equal(t, []string{"down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"}, config.Targets)
	assert.Equal(t, "CAUSAL_LM", config.Task)
	assert.Equal(t, recordedBase, config.Base)
	assert.FileExists(t, filepath.Join(dir, WeightsFile))
	entries, err := os.ReadDir(filepath.Dir(dir))
	require.NoError(t, err)
	assert.Len(t, entries, 1, "nothing unfinished is left")
}
