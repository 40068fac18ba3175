package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/trainer/engine"
	"github.com/tracegrad/tracegrad/trainer/grpo"
	"github.com/tracegrad/tracegrad/trainer/worker"
	"github.com/tracegrad/tracegrad/trainer/worker/workertest"
)

// rollouts are two groups of four attempts in one to two rows each, with
// advantages by [grpo.Advantages] and weights by [grpo.RolloutMean].
func rollouts(t *testing.T) []engine.Row {
	t.Helper()
	random := rand.New(rand.NewPCG(5, 6))
	var rows []engine.Row
	var tokens [][]int
	for group := range 2 {
		var returns []float64
		for range 4 {
			returns = append(returns, random.Float64())
		}
		advantages, informative := grpo.Advantages(returns, grpo.Options{Normalize: grpo.Std})
		require.True(t, informative)
		for attempt, advantage := range advantages {
			var counts []int
			for range 1 + attempt%2 {
				r, n := attemptRow(random, fmt.Sprintf("%d-%d", group, attempt), advantage)
				rows, counts = append(rows, r), append(counts, n)
			}
			tokens = append(tokens, counts)
		}
	}
	weights, err := grpo.RolloutMean.Weights(tokens, 0)
	require.NoError(t, err)
	i := 0
	for _, rollout := range weights {
		for _, w := range rollout {
			rows[i].Weight = w
			i++
		}
	}
	return rows
}

func attemptRow(random *rand.Rand, id string, advantage float64) (engine.Row, int) {
	n := 16 + random.IntN(16)
	r := engine.Row{Tokens: make([]int32, n), Mask: make([]bool, n), Logprobs: make([]float32, n), Advantages: make([]float32, n), Rollout: id}
	count := 0
	for t := range n {
		r.Tokens[t] = int32(3 + random.IntN(500))
		if t > 6 && t%9 != 0 { // two replies with an observation between
			r.Mask[t], r.Advantages[t] = true, float32(advantage)
			count++
		}
	}
	return r, count
}

// logs are the flat lists of one row for trainer/grpo.
func logs(r *engine.Row, now []float32) (x grpo.Logs) {
	for t, counts := range r.Mask {
		if counts {
			x.Now, x.Old = append(x.Now, float64(now[t])), append(x.Old, float64(r.Logprobs[t]))
			x.Advantages = append(x.Advantages, float64(r.Advantages[t]))
		}
	}
	return x
}

// older makes what the rows' tokens were generated with: something near now.
func older(rows []engine.Row, now []engine.Output) {
	random := rand.New(rand.NewPCG(7, 8))
	for i := range rows {
		for t, counts := range rows[i].Mask {
			if counts {
				rows[i].Logprobs[t] = now[i].Logprobs[t] + float32(random.NormFloat64())/4
			}
		}
	}
}

func connect(t *testing.T, w *worker.Worker, o engine.Options) *engine.Client {
	t.Helper()
	o.Key = w.Token()
	c, err := engine.Dial(t.Context(), w.URL(), o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func create(t *testing.T, c *engine.Client, s engine.Spec) *engine.Model {
	t.Helper()
	s.Base, s.Rank, s.Seed = workertest.Name, 8, 7
	m, err := c.CreateModel(t.Context(), s)
	require.NoError(t, err)
	t.Cleanup(func() { _ = m.Close(context.Background()) })
	return m
}

// gradient is the norm of the rows' gradient; no step is taken with it.
func gradient(t *testing.T, m *engine.Model, rows []engine.Row, loss grpo.Loss) (norm float64, r engine.Result) {
	t.Helper()
	r, err := m.ForwardBackward(t.Context(), rows, loss)
	require.NoError(t, err)
	stepped, err := m.OptimStep(t.Context(), engine.DefaultAdam(0))
	require.NoError(t, err)
	require.NotNil(t, stepped.GradNorm)
	return *stepped.GradNorm, r
}

// TestWorker drives the real worker on a tiny model.
func TestWorker(t *testing.T) {
	model := workertest.Model(t)
	w := workertest.Start(t, model, t.TempDir())
	t.Run("update", func(t *testing.T) { update(t, w) })
	t.Run("measured", func(t *testing.T) { measured(t, w) })
	t.Run("critic", func(t *testing.T) { critic(t, w) })
	t.Run("refused", func(t *testing.T) { refused(t, w) })
	t.Run("resumed", func(t *testing.T) { resumed(t, model) })
}

// update: one GRPO update through client and worker has the numbers of
// trainer/grpo, however it is asked for and however it is cut into requests.
func update(t *testing.T, w *worker.Worker) {
	c := connect(t, w, engine.Options{Tokens: 60})
	caps := c.Capabilities()
	assert.Equal(t, engine.Sum, caps.Normalize)
	assert.Equal(t, 512, caps.Vocabulary)
	assert.Equal(t, 1024, caps.Context)
	assert.True(t, caps.Worker && caps.Idempotent && caps.Wire == engine.JSON)

	m := create(t, c, engine.Spec{Alpha: 16})
	assert.InDelta(t, 16, m.Alpha, 0)
	rows := rollouts(t)
	now, err := m.Forward(t.Context(), rows)
	require.NoError(t, err)
	older(rows, now)

	loss := grpo.Loss{Fn: grpo.FnPPO, Low: 0.8, High: 1.2}
	rule := grpo.Rule{Loss: loss}
	var want float64
	byHand := make([]engine.Row, len(rows))
	for i := range rows {
		coefficients, metrics, err := rule.Coefficients(logs(&rows[i], now[i].Logprobs))
		require.NoError(t, err)
		want += rows[i].Weight * metrics.Loss
		byHand[i] = rows[i]
		byHand[i].Logprobs, byHand[i].Advantages = now[i].Logprobs, make([]float32, len(rows[i].Tokens))
		for t, counts := range rows[i].Mask {
			if counts {
				byHand[i].Advantages[t], coefficients = float32(coefficients[0]), coefficients[1:]
			}
		}
	}
	direct, result := gradient(t, m, rows, loss)
	assert.InEpsilon(t, want, result.Loss, 1e-6)
	assert.Greater(t, result.Requests, 3)
	coefficients, _ := gradient(t, m, byHand, grpo.Loss{Fn: grpo.FnImportance})
	assert.InEpsilon(t, direct, coefficients, 1e-5)

	whole := connect(t, w, engine.Options{})
	one := create(t, whole, engine.Spec{Alpha: 16})
	uncut, result := gradient(t, one, rows, loss)
	assert.Equal(t, 1, result.Requests)
	assert.InEpsilon(t, direct, uncut, 1e-5)

	double := append(append([]engine.Row(nil), rows...), rows...)
	twice, _ := gradient(t, one, double, loss)
	assert.InEpsilon(t, 2*direct, twice, 1e-5, "a plain sum")
}

// silent is a worker that does not say how it works.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || !strings.HasSuffix(r.URL.Path, "get_server_capabilities") {
		return response, err
	}
	defer response.Body.Close()
	var said map[string]json.RawMessage
	if err := json.NewDecoder(response.Body).Decode(&said); err != nil {
		return nil, err
	}
	delete(said, "tracegrad")
	body, err := json.Marshal(said)
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	response.Header.Set("Content-Length", strconv.Itoa(len(body)))
	response.ContentLength = int64(len(body))
	return response, nil
}

// measured: what the worker says of itself is what is measured.
func measured(t *testing.T, w *worker.Worker) {
	c := connect(t, w, engine.Options{Transport: silent{}})
	require.Empty(t, c.Capabilities().Normalize)
	m := create(t, c, engine.Spec{})
	caps := c.Capabilities()
	assert.False(t, caps.Worker)
	assert.Equal(t, engine.Sum, caps.Normalize)
	assert.True(t, caps.Idempotent)
	require.NoError(t, m.Close(t.Context()))
}

// resumed: a night whose worker dies goes on from its last saved
// state and comes to what it would have come to.
func resumed(t *testing.T, model string) {
	checkpoints := t.TempDir()
	rows := rollouts(t)
	loss := grpo.Loss{Fn: grpo.FnImportance}
	step := func(m *engine.Model) {
		t.Helper()
		now, err := m.Forward(t.Context(), rows)
		require.NoError(t, err)
		for i := range rows {
			rows[i].Logprobs = now[i].Logprobs
		}
		_, err = m.ForwardBackward(t.Context(), rows, loss)
		require.NoError(t, err)
		_, err = m.OptimStep(t.Context(), engine.DefaultAdam(1e-3))
		require.NoError(t, err)
	}
	first := workertest.Start(t, model, checkpoints)
	m := create(t, connect(t, first, engine.Options{Patience: time.Second}), engine.Spec{})
	step(m)
	state, err := m.SaveState(t.Context(), "step-1")
	require.NoError(t, err)
	step(m)
	want, err := m.Export(t.Context(), "whole")
	require.NoError(t, err)
	_, err = m.ForwardBackward(t.Context(), rows, loss) // a step that the crash cuts
	require.NoError(t, err)
	require.NoError(t, first.Close())
	_, err = m.OptimStep(t.Context(), engine.DefaultAdam(1e-3))
	require.Error(t, err, "the worker is gone")

	second := workertest.Start(t, model, checkpoints)
	again := create(t, connect(t, second, engine.Options{}), engine.Spec{From: state})
	step(again)
	got, err := again.Export(t.Context(), "resumed")
	require.NoError(t, err)
	assert.Equal(t, want[engine.ConfigFile], got[engine.ConfigFile])
	assert.True(t, bytes.Equal(want[engine.WeightsFile], got[engine.WeightsFile]), "the same adapter, bit by bit")
}

// critic trains a value head beside the policy.
func critic(t *testing.T, w *worker.Worker) {
	c := connect(t, w, engine.Options{Tokens: 60})
	m := create(t, c, engine.Spec{Critic: true})
	rows := rollouts(t)
	for i := range rows {
		rows[i].Values, rows[i].Returns = make([]float32, len(rows[i].Tokens)), make([]float32, len(rows[i].Tokens))
		for t, counts := range rows[i].Mask {
			if counts {
				rows[i].Returns[t] = 1
			}
		}
	}
	before, err := m.Forward(t.Context(), rows)
	require.NoError(t, err)
	require.NotNil(t, before[0].Values)
	var first, last float64
	for range 5 {
		got, err := m.ForwardBackward(t.Context(), rows, grpo.Loss{Fn: grpo.FnCritic})
		require.NoError(t, err)
		if first == 0 {
			first = got.Loss
		}
		last = got.Loss
		_, err = m.OptimStep(t.Context(), engine.Adam{Rate: 0.01, Beta1: 0.9, Beta2: 0.95, Epsilon: 1e-12, Clip: 1})
		require.NoError(t, err)
	}
	assert.InDelta(t, 0.5, first, 1e-6, "a head of zeros is off by 1")
	assert.Less(t, last, first/2)
	plain := create(t, c, engine.Spec{})
	_, err = plain.ForwardBackward(t.Context(), rows, grpo.Loss{Fn: grpo.FnCritic})
	require.Error(t, err, "there is no head")
	_, err = plain.ForwardBackward(t.Context(), rows, grpo.Loss{Fn: grpo.FnImportance})
	require.NoError(t, err, "nothing had reached the server")
}

// refused: what is wrong with rows is said before anything is sent,
// and a stopped call leaves a model that says so.
func refused(t *testing.T, w *worker.Worker) {
	c := connect(t, w, engine.Options{})
	_, err := c.CreateModel(t.Context(), engine.Spec{Base: "Qwen/Qwen3-8B", Rank: 8})
	require.ErrorContains(t, err, "serves "+workertest.Name)
	m := create(t, c, engine.Spec{})
	for name, spoil := range map[string]func(*engine.Row){
		"outside the model's vocabulary": func(r *engine.Row) { r.Tokens[3] = 512 },
		"logprobs":                       func(r *engine.Row) { r.Logprobs = r.Logprobs[1:] },
		"its weight is":                  func(r *engine.Row) { r.Weight = -1 },
		"several rows":                   func(r *engine.Row) { r.Rollout = "0-1" },
	} {
		rows := rollouts(t)
		spoil(&rows[0])
		fn := grpo.FnImportance
		if name == "several rows" {
			fn = grpo.FnGSPO
		}
		_, err := m.ForwardBackward(t.Context(), rows, grpo.Loss{Fn: fn, Low: 1, High: 1})
		require.ErrorContains(t, err, name)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = m.ForwardBackward(ctx, rollouts(t), grpo.Loss{Fn: grpo.FnImportance})
	require.ErrorIs(t, err, context.Canceled)
}
