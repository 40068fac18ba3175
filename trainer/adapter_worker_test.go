//go:build cgo

package trainer

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/backfill"
	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/trainer/engine"
	"github.com/tracegrad/tracegrad/trainer/grpo"
	"github.com/tracegrad/tracegrad/trainer/update"
	"github.com/tracegrad/tracegrad/trainer/worker"
	"github.com/tracegrad/tracegrad/trainer/worker/workertest"
)

// writeDemo makes the demo's dataset: its captures, and the users' verdicts.
func writeDemo(t *testing.T, root string) {
	t.Helper()
	files, err := filepath.Glob("../testdata/captures/*_*.jsonl")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	_, err = backfill.Run(t.Context(), backfill.Options{Files: files, Dataset: root})
	require.NoError(t, err)
	writeVerdicts(t, root, correct)
}

// writeVerdicts posts feedback on every task.
func writeVerdicts(t *testing.T, root string, verdict func(int, *rollout) *float64) {
	t.Helper()
	var facts []trajectory.Fact
	for i, r := range rollouts(t) {
		facts = append(facts, trajectory.Fact{
			Name: "solved", Value: verdict(i, &r), Source: "feedback", TraceID: r.Traces[0], ObservedAt: r.End*1000 + 3_600_000_000,
		})
	}
	w, err := dataset.NewWriter(root, "feedback", dataset.Options{})
	require.NoError(t, err)
	_, err = w.WriteFacts(t.Context(), facts)
	require.NoError(t, errors.Join(err, w.Close()))
}

// adapterConfig trains the tiny model on the demo's dataset.
func adapterConfig(t *testing.T, root, model string) Config {
	t.Helper()
	c := quickstart(t, root)
	c.Name, c.Policy.Kind = "tiny", KindAdapter
	c.Adapter.BaseModel, c.Adapter.Folder, c.Adapter.Models = workertest.Name, model, []string{anyModel}
	c.Adapter.LoRA.Rank, c.Adapter.LearningRate, c.Adapter.MaxLength = 4, 1e-3, 1024
	c.Adapter.StepRollouts, c.Adapter.HoldoutTokens = 4, 2500
	c.Where = "hash(trajectory_id) % 6 = 0" // a sixth is enough, and six times as fast
	return c
}

// shared is an engine of its own for each night, on one worker of the test.
func shared(w *worker.Worker) EngineFor {
	return func(ctx context.Context, c Config) (Server, error) {
		t := &tinker{config: c, tokenizer: w, about: About{BaseModel: c.Adapter.BaseModel, Folder: c.Adapter.Folder}}
		return t, t.dial(ctx, w.URL(), engine.Options{Key: w.Token(), Tokens: c.Adapter.BatchTokens})
	}
}

func night1(t *testing.T, c Config, e EngineFor) *Result {
	t.Helper()
	r, err := Run(t.Context(), c, Options{Now: clock, Engine: e})
	require.NoError(t, err)
	return r
}

func adapterOf(t *testing.T, r *Result) (config, weights []byte) {
	t.Helper()
	b, err := bundle.Open(r.Bundle.Dir)
	require.NoError(t, err)
	require.NoError(t, bundle.Verify(b))
	assert.Equal(t, bundle.KindAdapter, b.Manifest.Kind)
	assert.Equal(t, bundle.StatusCandidate, b.Manifest.Status)
	config, err = os.ReadFile(filepath.Join(r.Bundle.Dir, bundle.AdapterConfigFile))
	require.NoError(t, err)
	weights, err = os.ReadFile(filepath.Join(r.Bundle.Dir, bundle.AdapterWeightsFile))
	require.NoError(t, err)
	return config, weights
}

func TestAdapterNight(t *testing.T) {
	model := workertest.Model(t)
	root, engines := t.TempDir(), shared(workertest.Start(t, model, t.TempDir()))
	writeDemo(t, root)
	c := adapterConfig(t, root, model)
	r := night1(t, c, engines)
	a := r.Adapter
	assert.Equal(t, "tiny", a.BaseModel)
	assert.Equal(t, a.Update.Of, a.Update.Steps)
	assert.Empty(t, a.Update.Stop)
	assert.Positive(t, a.Evaluated.Train.Moved, "the policy moved")
	assert.Positive(t, a.Evaluated.Holdout.Tokens)
	left := 0
	for _, l := range r.Counts.LeftOut {
		left += l.Count
	}
	assert.Equal(t, r.Counts.Live, left+r.Counts.Trained+r.Counts.Holdout, "every trajectory is accounted for")
	steps, err := update.ReadSteps(a.Metrics)
	require.NoError(t, err)
	require.Len(t, steps, a.Update.Steps)
	assert.Zero(t, steps[0].Moved)
	adapterOf(t, r)
	assert.Contains(t, readAll(t, r.Report), "<polyline")

	t.Run("again", func(t *testing.T) {
		again := c
		again.Runs, again.Bundles = t.TempDir(), t.TempDir()
		_, first := adapterOf(t, r)
		_, second := adapterOf(t, night1(t, again, engines))
		assert.Equal(t, first, second, "the same inputs give the same adapter")
	})
	t.Run("the next night", func(t *testing.T) {
		_, err := Run(t.Context(), c, Options{Now: clock, Engine: engines})
		require.ErrorIs(t, err, ErrNothingToTrain, "all was used")
		assert.ErrorContains(t, err, fmt.Sprintf("%d used", r.Counts.Trained))
		next := c
		next.MaxUses, next.Base = 2, r.Bundle.ID
		second := night1(t, next, engines)
		assert.Equal(t, r.Bundle.ID, second.Bundle.Parent)
		assert.Equal(t, r.Counts.Trained, second.Counts.Trained)
		_, before := adapterOf(t, r)
		_, after := adapterOf(t, second)
		assert.NotEqual(t, before, after)
		_, err = Run(t.Context(), next, Options{Now: clock, Engine: engines})
		require.ErrorIs(t, err, ErrNothingToTrain)
	})
	t.Run("a plan", func(t *testing.T) {
		plan := c
		plan.WriteTo(t.TempDir())
		_, err := Run(t.Context(), plan, Options{Engine: engines, Plan: true})
		require.ErrorIs(t, err, ErrNothingToTrain, "it remembers the nights before")
		plan.MaxUses = 3
		require.NoError(t, os.MkdirAll(plan.Bundles, 0o750))
		r, err := Run(t.Context(), plan, Options{Engine: engines, Plan: true})
		require.NoError(t, err)
		e := r.Adapter.Estimate
		assert.Equal(t, a.Update.Of, e.Steps)
		assert.Positive(t, *e.Seconds)
		assert.Greater(t, *e.Memory, e.Model)
		assert.Nil(t, r.Adapter.Update)
		left, err := os.ReadDir(plan.Bundles)
		require.NoError(t, err)
		assert.Empty(t, left)
	})
}

func TestAdapterAlgorithms(t *testing.T) {
	model := workertest.Model(t)
	root, engines := t.TempDir(), shared(workertest.Start(t, model, t.TempDir()))
	writeDemo(t, root)
	for name, change := range map[string]func(*Config){
		"dr_grpo by agent":  func(c *Config) { c.Algorithm.Name, c.Algorithm.Credit = "dr_grpo", creditAgent },
		"dapo by step":      func(c *Config) { c.Algorithm.Name, c.Algorithm.Credit = "dapo", creditStep },
		"gspo":              func(c *Config) { c.Algorithm.Name = "gspo" },
		"cispo":             func(c *Config) { c.Algorithm.Name = "cispo" },
		"rloo with KL":      func(c *Config) { c.Algorithm.Name, c.Algorithm.KL.Beta = "rloo", 0.1 },
		"reinforce++":       func(c *Config) { c.Algorithm.Name = "reinforce++" },
		"ppo":               func(c *Config) { c.Algorithm.Name, c.Adapter.Epochs = "ppo", 2 },
		"sft":               func(c *Config) { c.Algorithm.Name = "sft" },
		"groups of one":     func(c *Config) { c.GroupBy, c.Algorithm.Baseline = "trajectory_id", "tracker" },
		"attention only":    func(c *Config) { c.Adapter.LoRA.Targets = []string{"attn"} },
		"stopped by its KL": func(c *Config) { c.Algorithm.Stop.MaxKL, c.Adapter.LearningRate = 1e-9, 1e-2 },
	} {
		t.Run(name, func(t *testing.T) {
			c := adapterConfig(t, root, model)
			c.Adapter.StepRollouts = 8
			change(&c)
			r := night1(t, c, engines)
			config, _ := adapterOf(t, r)
			u := r.Adapter.Update
			switch name {
			case "rloo with KL":
				assert.NotNil(t, u.Last.KL)
			case "ppo":
				assert.Positive(t, *u.Last.ValueLoss)
			case "groups of one":
				assert.FileExists(t, filepath.Join(r.Dir, trackerFile))
			case "attention only":
				assert.NotContains(t, string(config), "up_proj")
			case "stopped by its KL":
				assert.Contains(t, u.Stop, "max_kl")
				assert.Equal(t, 1, u.Steps)
				return
			}
			assert.Equal(t, u.Of, u.Steps)
		})
	}
}

// TestHelperNight is the process that TestKilledNights kills.
func TestHelperNight(t *testing.T) {
	path := os.Getenv("TRACEGRAD_TEST_NIGHT")
	if path == "" {
		t.Skip("a helper of TestKilledNights")
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var c Config
	require.NoError(t, json.Unmarshal(text, &c))
	say := func(e Event) { fmt.Printf("event %s %s %d\n", e.Stage, e.State, e.Done) }
	r, err := Run(t.Context(), c, Options{Now: clock, Progress: say, Engine: Engine(os.Stderr)})
	require.NoError(t, err)
	fmt.Printf("bundle %s\n", r.Bundle.Dir)
}

// nightProcess runs a night in a process and kills it after events of its
// events; events < 0: it is let be. It returns the bundle, "" if it was killed.
func nightProcess(t *testing.T, config string, events int) (dir string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHelperNight$", "-test.v")
	cmd.Env = append(os.Environ(), "TRACEGRAD_TEST_NIGHT="+config)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "event ") {
			if events--; events == 0 {
				require.NoError(t, cmd.Process.Kill())
			}
		}
		if found, ok := strings.CutPrefix(line, "bundle "); ok {
			dir = found
		}
	}
	_ = cmd.Wait()
	return dir
}

func TestKilledNightsEndTheSame(t *testing.T) {
	model := workertest.Model(t)
	if os.Getenv("TRACEGRAD_WORKER_PYTHON") == "" {
		python, err := workertest.Environment(t).Provision(t.Context(), t.Output())
		require.NoError(t, err)
		t.Setenv("TRACEGRAD_WORKER_PYTHON", python)
	}
	t.Setenv("OMP_NUM_THREADS", "1")
	root := t.TempDir()
	writeDemo(t, root)
	c := adapterConfig(t, root, model)
	write := func(c Config) string {
		path := filepath.Join(t.TempDir(), "config.json")
		text, err := json.Marshal(c)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, text, 0o600))
		return path
	}
	whole := nightProcess(t, write(c), -1)
	require.NotEmpty(t, whole)
	want, err := os.ReadFile(filepath.Join(whole, bundle.AdapterWeightsFile))
	require.NoError(t, err)

	c.Runs, c.Bundles = t.TempDir(), t.TempDir()
	path := write(c)
	random := rand.New(rand.NewPCG(uint64(os.Getpid()), 5))
	kills, last := 0, ""
	for last == "" && kills < 5 {
		if last = nightProcess(t, path, 4+random.IntN(18)); last == "" {
			kills++
		}
		if kills == 2 { // what comes meanwhile is for the next night
			writeVerdicts(t, root, func(i int, _ *rollout) *float64 { v := float64(i % 2); return &v })
		}
	}
	if last == "" {
		last = nightProcess(t, path, -1)
	}
	t.Logf("killed %d times", kills)
	require.Positive(t, kills)
	require.NotEmpty(t, last)
	got, err := os.ReadFile(filepath.Join(last, bundle.AdapterWeightsFile))
	require.NoError(t, err)
	assert.Equal(t, want, got, "the adapter is the same, byte for byte")
	runs, err := filepath.Glob(filepath.Join(c.Runs, "*", manifestFile))
	require.NoError(t, err)
	assert.Len(t, runs, 1, "one run, gone on with")
}

func TestAdapterNightGoesOn(t *testing.T) {
	model := workertest.Model(t)
	root := t.TempDir()
	writeDemo(t, root)
	c := adapterConfig(t, root, model)
	python, err := workertest.Environment(t).Provision(t.Context(), t.Output())
	require.NoError(t, err)
	t.Setenv("TRACEGRAD_WORKER_PYTHON", python)

	var server *tinker
	engines := func(ctx context.Context, c Config) (Server, error) {
		s, err := Engine(t.Output())(ctx, c)
		if err == nil {
			server = s.(*tinker)
		}
		return s, err
	}
	_, err = Run(t.Context(), c, Options{Now: clock, Engine: engines, Progress: func(e Event) {
		if e.Step != nil && e.Step.Step == 1 {
			require.NoError(t, server.worker.Close())
		}
	}})
	require.ErrorContains(t, err, "the same command goes on with run")
	empty, err := os.ReadDir(c.Bundles)
	require.NoError(t, err)
	assert.Empty(t, empty, "nothing is half released")

	ctx, cancel := context.WithCancel(t.Context())
	_, err = Run(ctx, c, Options{Now: clock, Engine: engines, Progress: func(e Event) {
		if e.Step != nil && e.Step.Step == 2 {
			cancel()
		}
	}})
	require.ErrorContains(t, err, "interrupted")

	held, err := lockFile(filepath.Join(c.Runs, ".lock"))
	require.NoError(t, err)
	_, err = Run(t.Context(), c, Options{Engine: engines})
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, unlockFile(held))

	var steps []int
	var resumed string
	r, err := Run(t.Context(), c, Options{Now: func() time.Time { return clock().Add(time.Hour) }, Engine: engines, Progress: func(e Event) {
		if e.Step != nil {
			steps = append(steps, e.Step.Step)
		}
		resumed += e.Run
	}})
	require.NoError(t, err)
	assert.Equal(t, r.ID, resumed)
	assert.Len(t, steps, r.Adapter.Update.Of, "no step is taken twice, none is left out")
	left, err := filepath.Glob(filepath.Join(c.Runs, checkpointsDir, "*", "weights", "*"))
	require.NoError(t, err)
	assert.Len(t, left, 1, "checkpoints that nothing needs are removed")
}

// captured is an attempt at a task whose tokens were recorded.
func captured(task, attempt int, change func(*trajectory.ModelCall)) *trajectory.Trajectory {
	id := fmt.Sprintf("%032x", task*1000+attempt+1)
	at := clock().Add(-time.Hour).UnixMicro()
	one := 1.0
	m := &trajectory.ModelCall{RequestModel: workertest.Name, Input: []int32{0}, Output: []int32{1}, Temperature: &one, LogprobsMode: "raw"}
	for i := range 6 {
		m.PromptTokenIDs = append(m.PromptTokenIDs, int32(10+task*10+i))
		m.TokenIDs = append(m.TokenIDs, int32(100+(attempt*7+i*3)%200))
		m.Logprobs = append(m.Logprobs, -6.2-float32(i%3)/10) // about what 512 ids that are as likely have
	}
	if change != nil {
		change(m)
	}
	return &trajectory.Trajectory{
		ID: id, Revision: at, Writer: "w", TraceIDs: []string{id}, TaskKey: fmt.Sprint("task", task), TaskKeySource: "attribute", Source: trajectory.SourceGateway,
		Status: trajectory.StatusOK, CloseReason: trajectory.CloseComplete, StartedAt: at, EndedAt: at, FirstSeenAt: at, ModelCalls: 1, Trainable: true, Tokens: trajectory.TokensCaptured,
		Input: "question", Output: "answer",
		Messages: []trajectory.Message{{Role: trajectory.RoleUser, Text: "question"}, {Role: trajectory.RoleAssistant, Text: "answer"}},
		Steps:    []trajectory.Step{{Kind: trajectory.KindModel, Trainable: true, TraceID: id, Model: m}},
	}
}

func TestAdapterNightOfCapturedTokens(t *testing.T) {
	model := workertest.Model(t)
	root := t.TempDir()
	var batch []*trajectory.Trajectory
	var facts []trajectory.Fact
	add := func(x *trajectory.Trajectory, verdict float64) {
		batch = append(batch, x)
		facts = append(facts, trajectory.Fact{Name: "solved", Value: &verdict, Source: "feedback", TraceID: x.TraceIDs[0], ObservedAt: x.EndedAt + 1})
	}
	for task := range 4 {
		for attempt := range 4 {
			add(captured(task, attempt, nil), float64(attempt%2))
		}
	}
	add(captured(0, 10, func(m *trajectory.ModelCall) { m.TokenIDs[2] = 512 }), 1)
	add(captured(0, 11, func(m *trajectory.ModelCall) { m.Logprobs = m.Logprobs[:3] }), 1)
	add(captured(0, 12, func(m *trajectory.ModelCall) { m.Logprobs[0] = 2 }), 0)
	add(captured(0, 13, func(m *trajectory.ModelCall) { m.RequestModel = "another" }), 0)
	add(captured(9, 1, nil), 1)                                                               // a group of one
	add(captured(7, 1, nil), 1)                                                               // all the same
	add(captured(7, 2, nil), 1)                                                               //
	add(captured(8, 1, func(m *trajectory.ModelCall) { m.RequestModel = "another" }), 1)      // a group
	add(captured(8, 2, func(m *trajectory.ModelCall) { m.PromptTokenIDs[0] = 1_000_000 }), 0) // without a row
	w, err := dataset.NewWriter(root, "gateway", dataset.Options{})
	require.NoError(t, err)
	_, err = w.Write(t.Context(), batch, nil)
	require.NoError(t, err)
	_, err = w.WriteFacts(t.Context(), facts)
	require.NoError(t, errors.Join(err, w.Close()))

	c := adapterConfig(t, root, model)
	c.Where, c.GroupBy, c.Gate.HoldoutBy, c.Gate.Holdout, c.Adapter.Models = "", "task_key", "'none'", 1e-9, nil
	worker := workertest.Start(t, model, t.TempDir())
	t.Setenv(keyVariable, worker.Token())
	require.NoError(t, c.UseEngine(worker.URL()))
	r := night1(t, c, Engine(nil)) // by its url: it renders nothing, and needs not
	s := r.Adapter.Sequences
	assert.Equal(t, map[string]int{"token_outside_vocabulary": 2, "lengths_differ": 1, "logprob_not_finite": 1, "nothing_to_train": 2}, s.Skipped)
	assert.Equal(t, 2, s.Tally.LeftOut[leftOther])
	assert.Equal(t, 1, s.EmptyGroups)
	assert.Equal(t, 16, s.Rollouts)
	assert.Zero(t, s.Recompute)
	assert.Equal(t, grpo.Dropped{Single: 1, ZeroVariance: 1}, r.Adapter.Dropped)
	steps, err := update.ReadSteps(r.Adapter.Metrics)
	require.NoError(t, err)
	require.NotNil(t, steps[0].ESS)
	assert.Less(t, *steps[0].ESS, 1.0, "recorded log-probabilities are another policy's")
	assert.Positive(t, *steps[0].ESS)
	assert.Nil(t, r.Adapter.Evaluated.Logged, "nothing is held out")

	c.Runs, c.Bundles, c.Algorithm.Stop.MinESS = t.TempDir(), t.TempDir(), 0.9999999
	_, err = Run(t.Context(), c, Options{Now: clock, Engine: Engine(nil)})
	require.ErrorIs(t, err, ErrNothingToTrain)
	require.ErrorContains(t, err, "min_ess")
	assert.NoFileExists(t, filepath.Join(c.Runs, ledgerFile))
}

func TestAdapterNightRefuses(t *testing.T) {
	model := workertest.Model(t)
	w := workertest.Start(t, model, t.TempDir())
	root := t.TempDir()
	writeDemo(t, root)
	for name, x := range map[string]struct {
		change func(*Config)
		says   []string
	}{
		"another base model":                  {func(c *Config) { c.Adapter.BaseModel = "Qwen/Qwen3-8B" }, []string{"serves tiny, not Qwen/Qwen3-8B"}},
		"other models' calls":                 {func(c *Config) { c.Adapter.Models = nil }, []string{"other_model", "gpt-4.1-mini", "adapter.models"}},
		"rows too long":                       {func(c *Config) { c.Adapter.MaxLength = 8 }, []string{"no trajectory can be trained on", "too_long"}},
		"no server":                           {func(c *Config) { c.Adapter.Engine = "http://127.0.0.1:1" }, []string{"127.0.0.1:1"}},
		"a starting policy that is not there": {func(c *Config) { c.Base = "nowhere" }, []string{"starting policy"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := adapterConfig(t, root, model)
			x.change(&c)
			engines := shared(w)
			if c.Adapter.Engine != "" {
				engines = func(ctx context.Context, c Config) (Server, error) {
					s := &tinker{config: c, about: About{URL: c.Adapter.Engine}}
					return s, s.dial(ctx, c.Adapter.Engine, engine.Options{Patience: time.Millisecond})
				}
			}
			_, err := Run(t.Context(), c, Options{Now: clock, Engine: engines})
			require.Error(t, err)
			for _, text := range x.says {
				require.ErrorContains(t, err, text)
			}
			left, err := os.ReadDir(c.Bundles)
			require.NoError(t, err)
			assert.Empty(t, left)
			assert.NoFileExists(t, filepath.Join(c.Runs, ledgerFile))
		})
	}
}
