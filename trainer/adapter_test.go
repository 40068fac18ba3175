//go:build cgo

package trainer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/trainer/engine"
	"github.com/tracegrad/tracegrad/trainer/grpo"
	"github.com/tracegrad/tracegrad/trainer/query"
	"github.com/tracegrad/tracegrad/trainer/sequence"
	"github.com/tracegrad/tracegrad/trainer/update"
	"github.com/tracegrad/tracegrad/trainer/worker"
)

// noEngine fails a test that gets as far as an engine.
func noEngine(t *testing.T) EngineFor {
	return func(context.Context, Config) (Server, error) {
		t.Error("an engine was opened")
		return nil, errors.New("no engine")
	}
}

// Without anything to learn from, no engine is started and nothing is written.
func TestAdapterNightWithoutASignal(t *testing.T) {
	root := t.TempDir()
	writeCaptures(t, root, correct)
	for name, x := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"groups of one": {func(c *Config) { c.GroupBy = "trajectory_id" }, "group_of_one (the only attempt at its task)"},
		"too young":     {func(c *Config) { c.MinAge = Duration(10_000 * time.Hour) }, "too_young"},
		"no good example": {func(c *Config) {
			least := 5.0
			c.Algorithm.Name, c.Algorithm.LeastReturn.Value = string(grpo.SFT), &least
		}, "no_example"},
	} {
		t.Run(name, func(t *testing.T) {
			c := quickstart(t, root)
			c.Policy.Kind, c.Adapter.BaseModel = KindAdapter, "m"
			x.change(&c)
			_, err := Run(t.Context(), c, Options{Now: clock, Engine: noEngine(t)})
			require.ErrorIs(t, err, ErrNothingToTrain)
			require.ErrorContains(t, err, x.says)
			left, err := os.ReadDir(c.Bundles)
			require.NoError(t, err)
			assert.Empty(t, left)
			assert.Empty(t, unfinished(c), "a night that failed by itself does not stand in the way of the next")
		})
	}
}

func TestAdapterNightRefusesAStartingPolicyOfAnotherKind(t *testing.T) {
	root := t.TempDir()
	writeCaptures(t, root, correct)
	c := quickstart(t, root)
	guidance := run1(t, c)
	c.Policy.Kind, c.Adapter.BaseModel, c.Base, c.Runs = KindAdapter, "m", guidance.Bundle.ID, t.TempDir()
	_, err := Run(t.Context(), c, Options{Now: clock, Engine: noEngine(t)})
	require.ErrorContains(t, err, "holds a prompt, not an adapter")

	files, err := bundle.AdapterFiles(bundle.Manifest{BaseModel: "other", Kind: bundle.KindAdapter}, map[string][]byte{"adapter_config.json": []byte("{}"), "adapter_model.safetensors": []byte("x")})
	require.NoError(t, err)
	b, err := bundle.Add(c.Bundles, bundle.Manifest{Kind: bundle.KindAdapter, BaseModel: "other", Name: "a", Status: bundle.StatusCandidate, CreatedAt: clock()}, files)
	require.NoError(t, err)
	c.Base = b.ID()
	_, err = Run(t.Context(), c, Options{Now: clock, Engine: noEngine(t)})
	require.ErrorContains(t, err, "is an adapter of other, not of m")

	files, err = bundle.AdapterFiles(bundle.Manifest{BaseModel: "m", Kind: bundle.KindAdapter}, map[string][]byte{"adapter_config.json": []byte(`{"r": 4, "lora_alpha": 8}`), "adapter_model.safetensors": []byte("x")})
	require.NoError(t, err)
	b, err = bundle.Add(c.Bundles, bundle.Manifest{Kind: bundle.KindAdapter, BaseModel: "m", Name: "a", Status: bundle.StatusCandidate, CreatedAt: clock()}, files)
	require.NoError(t, err)
	c.Base, c.Adapter.LoRA.Rank = b.ID(), 16
	_, err = Run(t.Context(), c, Options{Now: clock, Engine: noEngine(t)})
	require.ErrorContains(t, err, "set adapter.lora: {rank: 4, alpha: 8}")
}

func TestGroupByPrompt(t *testing.T) {
	list := []query.Candidate{{Group: "Order 17 is late", Holdout: "a"}, {Group: "Order 18 is late", Holdout: "a"}, {Group: "Hello", Holdout: "a"}}
	byPrompt(list, Config{GroupBy: groupByPrompt})
	assert.Equal(t, list[0].Group, list[1].Group)
	assert.NotEqual(t, list[0].Group, list[2].Group)
	assert.Equal(t, "a", list[0].Holdout)
}

func TestWorn(t *testing.T) {
	c := Config{MaxUses: 2, Gate: GateConfig{Holdout: 0.5}}
	var held, free string
	for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
		if heldOut(key, 0.5) {
			held = key
		} else {
			free = key
		}
	}
	list := worn([]query.Candidate{{ID: "1", Holdout: free}, {ID: "2", Holdout: free}, {ID: "3", Holdout: held}, {ID: "2", LeftOut: "where"}}, map[string]int{"1": 1, "2": 2, "3": 9}, c)
	assert.Equal(t, []string{"", "used", "", "where"}, []string{list[0].LeftOut, list[1].LeftOut, list[2].LeftOut, list[3].LeftOut})
	c.MaxUses = 0
	assert.Empty(t, worn([]query.Candidate{{ID: "2", Holdout: free}}, map[string]int{"2": 99}, c)[0].LeftOut)
}

func TestNewest(t *testing.T) {
	c := Config{Most: 2, Gate: GateConfig{Holdout: 0.5}}
	var held, free string
	for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
		if heldOut(key, 0.5) {
			held = key
		} else {
			free = key
		}
	}
	reasons := func(c Config) (out []string) {
		list := []query.Candidate{
			{ID: "1", Holdout: free, Ended: 5}, {ID: "2", Holdout: free, Ended: 9}, {ID: "3", Holdout: held, Ended: 1},
			{ID: "4", Holdout: free, Ended: 8, LeftOut: "where"}, {ID: "5", Holdout: free, Ended: 5},
		}
		for _, x := range newest(list, c) {
			out = append(out, x.LeftOut)
		}
		return out
	}
	assert.Equal(t, []string{"", "", "", "where", "max_trajectories"}, reasons(c), "the newest, by id where they are as new; the holdout is not counted")
	c.Most = 9
	assert.Equal(t, []string{"", "", "", "where", ""}, reasons(c))
	c.Most = 0
	assert.Equal(t, []string{"", "", "", "where", ""}, reasons(c))
}

func TestLedger(t *testing.T) {
	runs := t.TempDir()
	l, err := readLedger(runs, "a", "r9")
	require.NoError(t, err)
	assert.Nil(t, l.last())
	for _, n := range []Night{
		{Run: "r1", Name: "a", Trajectories: []string{"x", "y"}}, {Run: "r2", Name: "b", Trajectories: []string{"x"}},
		{Run: "r3", Name: "a", Trajectories: []string{"x"}}, {Run: "r9", Name: "a", Trajectories: []string{"x"}}, {Run: "r9", Name: "a", Trajectories: []string{"z"}},
	} {
		require.NoError(t, l.record(runs, n))
	}
	l, err = readLedger(runs, "a", "r9")
	require.NoError(t, err)
	assert.Len(t, l.nights, 4, "a run that is done again replaces itself")
	assert.Equal(t, map[string]int{"x": 2, "y": 1}, l.uses(), "of the same name, without the run itself")
	assert.Equal(t, "r3", l.last().Run)
	require.NoError(t, os.WriteFile(filepath.Join(runs, ledgerFile), []byte("{\"run\":\"r1\"}\n{"), 0o600))
	_, err = readLedger(runs, "a", "")
	require.ErrorContains(t, err, "night 2")
}

// rolloutOf is a rollout of two calls, each of n tokens.
func rolloutOf(id string, n int, agents ...string) *sequence.Rollout {
	r := &sequence.Rollout{ID: id}
	row := engine.Row{Tokens: make([]int32, 1+n*len(agents)), Rollout: id}
	for i, a := range agents {
		r.Spans = append(r.Spans, sequence.Span{From: 1 + i*n, To: 1 + (i+1)*n, Step: i, Agent: a})
	}
	r.Rows = []engine.Row{row}
	return r
}

func credits(t *testing.T, how AlgorithmConfig, g ScoredGroup, steps map[string]map[int]float64, rollouts ...*sequence.Rollout) map[string][]float64 {
	t.Helper()
	byID, sc := map[string]*sequence.Rollout{}, scores{}
	for _, r := range rollouts {
		byID[r.ID] = r
	}
	for _, id := range g.IDs {
		row := Scored{Steps: steps[id]}
		row.Profile.ID = id
		sc.Rows = append(sc.Rows, row)
	}
	items, _ := credited(how, advantages{Rows: []ScoredGroup{g}}, sc, byID)
	out := map[string][]float64{}
	for _, it := range items {
		out[it.Rollout.ID] = it.Advantages
	}
	return out
}

func TestCredit(t *testing.T) {
	how := defaultAlgorithm()
	how.Name = string(grpo.DrGRPO)
	g := ScoredGroup{Group: query.Group{IDs: []string{"x", "y", "z"}, Returns: []float64{1, 0, 2}}, Advantages: []float64{0, -1, 1}, Kind: grpo.KindTask}
	x, y := rolloutOf("x", 2, "a", "b"), rolloutOf("y", 2, "a", "a")

	assert.Equal(t, map[string][]float64{"x": {0, 0, 0, 0}, "y": {-1, -1, -1, -1}}, credits(t, how, g, nil, x, y), "z has no rows")

	how.Credit = creditAgent
	got := credits(t, how, g, nil, x, y)
	assert.InDeltaSlice(t, []float64{2. / 3, 2. / 3, 0, 0}, got["x"], 1e-12, "b took part once: nothing to compare")
	assert.InDeltaSlice(t, []float64{-1. / 3, -1. / 3, -1. / 3, -1. / 3}, got["y"], 1e-12)

	how.Credit = creditStep
	got = credits(t, how, g, map[string]map[int]float64{"x": {1: 1}, "y": {0: -1}, "z": {}}, x, y)
	// Without their steps, x, y and z returned 0, 1 and 2; step rewards are 1 and -1.
	assert.InDeltaSlice(t, []float64{-1 + 1, -1 + 1, -1 + 1, -1 + 1}, got["x"], 1e-12)
	assert.InDeltaSlice(t, []float64{0 - 1, 0 - 1, 0, 0}, got["y"], 1e-12)
}

func TestCriticise(t *testing.T) {
	how := defaultAlgorithm()
	items := []update.Item{
		{Rollout: rolloutOf("x", 1, "a", "a"), Advantages: []float64{3, 3}, Values: []float64{1, 2}},
		{Rollout: rolloutOf("y", 1, "a", "a"), Advantages: []float64{0, 0}, Values: []float64{0, 0}},
	}
	require.NoError(t, criticise(how, items))
	assert.Equal(t, []float64{3, 3}, items[0].Returns)
	var sum float64
	for _, it := range items {
		for _, a := range it.Advantages {
			sum += a
		}
	}
	assert.InDelta(t, 0, sum, 1e-12, "whitened over the night")
	assert.Greater(t, items[0].Advantages[0], items[1].Advantages[0])
	items[0].Values = nil
	require.ErrorContains(t, criticise(how, items), "0 values for 2 tokens")
}

func TestOffPolicyEstimate(t *testing.T) {
	value := func(v float64) *Scored { return &Scored{Return: &v} }
	w := weigher{returns: map[string]*Scored{"x": value(1), "y": value(0), "z": {}}}
	recorded := func(id string, logprobs ...float32) *sequence.Rollout {
		r := rolloutOf(id, len(logprobs), "a")
		r.Recorded, r.Spans[0].Logprobs = logprobs, true
		return r
	}
	require.NoError(t, w.add(recorded("x", -1, -1), []float64{-5, -5}, []float64{-1 + math.Log(2), -1}))
	require.NoError(t, w.add(recorded("y", -1), []float64{-5}, []float64{-1 + math.Log(1)}))
	require.NoError(t, w.add(recorded("z", -1), []float64{-1}, []float64{-9}))
	require.NoError(t, w.add(rolloutOf("x", 1, "a"), []float64{-1}, []float64{-9}), "nobody knows what generated it")
	got, why := w.estimate()
	require.Empty(t, why)
	assert.Equal(t, 2, got.Attempts)
	assert.InDelta(t, 0.5, got.Mean, 1e-12)
	assert.InDelta(t, 2./3, got.Estimate, 1e-12)
	assert.InDelta(t, 9./5, got.Effective, 1e-12)
	_, why = (&weigher{}).estimate()
	assert.Contains(t, why, "no held-out trajectory has a row and a return")
	_, why = (&weigher{unrecorded: 1}).estimate()
	assert.Contains(t, why, "recorded when it was served")
}

func TestMemory(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"hidden_size":576,"intermediate_size":1536,"num_hidden_layers":30,"torch_dtype":"bfloat16"}`), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "model.safetensors"), make([]byte, 1000), 0o600))
	total, model := memory(dir, 4096, 512, 8)
	assert.EqualValues(t, 1000, model)
	assert.Greater(t, *total, int64(2000))
	more, _ := memory(dir, 8192, 512, 8)
	assert.Greater(t, *more, *total)
	assert.Greater(t, *total, int64(400<<20), "torch itself is no small part")
	none, _ := memory(t.TempDir(), 4096, 512, 8)
	assert.Nil(t, none, "what is not known is not guessed")
}

func TestRefusalIsNoPassingTrouble(t *testing.T) {
	var trouble *engineError
	for _, c := range []struct {
		err     error
		passing bool
	}{
		{&engine.StatusError{Path: "forward", Status: 422, Final: true}, false},
		{fmt.Errorf("forward: %w", &engine.StatusError{Status: 400, Final: true}), false},
		{fmt.Errorf("%w: %w", &engine.StatusError{Status: 400, Final: true}, engine.ErrLost), false},
		{&engine.StatusError{Path: "retrieve_future", Status: 400}, true},
		{&engine.StatusError{Status: 503}, true},
		{io.ErrUnexpectedEOF, true},
	} {
		err := engineTrouble(c.err)
		assert.Equal(t, c.passing, errors.As(err, &trouble), "%v", c.err)
		assert.ErrorIs(t, err, c.err)
	}
}

func TestCurves(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 1.08e-5: "1.08e−5", -1.5e-12: "−1.5e−12", 0.25: "0.25", -2: "−2", 13809: "13809", 2.5e9: "2.5e9"} {
		assert.Equal(t, want, number3(v))
	}
	flat := string(curve([]point{{1, 0, false}, {2, 0, false}}, 0, "clip fraction"))
	assert.Contains(t, flat, ">0</text>")
	assert.NotContains(t, flat, "−", "a share is never below 0")
}

// TestTidy keeps what a run can still ask for.
func TestTidy(t *testing.T) {
	c := Config{Name: "nightly", Runs: t.TempDir()}
	for run, m := range map[string]Manifest{
		"20260101T000000Z":   {Ended: "done"},
		"20260102T000000Z":   {Ended: "failed"},
		"20260103T000000Z":   {},                               // interrupted, then given up: a later night ended
		"20260105T000000Z":   {},                               // interrupted just now, by another command
		"20260106T000000Z-2": {Config: Config{Name: "weekly"}}, // interrupted, of another name
	} {
		m.Version, m.ID, m.Config.Name = 1, run, cmp.Or(m.Config.Name, c.Name)
		r := runAt(t, c, m)
		require.NoError(t, r.save())
	}
	n := &adapterNight{night: &night{run: runAt(t, c, Manifest{Version: 1, ID: "20260107T000000Z", Config: c})}, ledger: &ledger{nights: []Night{{Run: "20260104T000000Z", Name: c.Name}}}}
	n.server = &tinker{config: c, worker: &worker.Worker{}}
	state := func(model, kind, name string) string { return filepath.Join(c.Runs, checkpointsDir, model, kind, name) }
	gone := []string{
		state("a", "weights", "20260101T000000Z-000006-1"), state("a", "sampler_weights", "20260101T000000Z-adapter-1"), state("b", "weights", "20260102T000000Z-000001-1"),
		state("c", "weights", "20260103T000000Z-000001-3"), state("d", "weights", "20250101T000000Z-000001-3"), state("f", "weights", "20260107T000000Z-000001-1"),
		state("f", "weights", ".partial-20260107T000000Z-000002-1"),
	}
	kept := []string{
		state("e", "weights", "20260105T000000Z-000001-1"), state("e", "weights", "20260106T000000Z-2-000001-1"),
		state("f", "weights", "20260107T000000Z-000002-1"), state("f", "weights", "somebody's"),
	}
	for _, dir := range append(gone, kept...) {
		require.NoError(t, os.MkdirAll(dir, 0o750))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "state.json"), nil, 0o600))
	}
	require.NoError(t, n.tidy("tinker://f/weights/20260107T000000Z-000002-1"))
	for _, dir := range gone {
		assert.NoDirExists(t, dir)
	}
	for _, dir := range kept {
		assert.FileExists(t, filepath.Join(dir, "state.json"))
	}
	models, err := os.ReadDir(filepath.Join(c.Runs, checkpointsDir))
	require.NoError(t, err)
	assert.Len(t, models, 2, "empty folders go, too")
}

// runAt is a run with a directory.
func runAt(t *testing.T, c Config, m Manifest) *run {
	t.Helper()
	r := &run{Manifest: m, dir: filepath.Join(c.Runs, m.ID)}
	require.NoError(t, os.MkdirAll(r.dir, 0o750))
	return r
}

func TestStuckRunsEnd(t *testing.T) {
	c := Config{Name: "nightly", Runs: t.TempDir()}
	n := &adapterNight{night: &night{run: runAt(t, c, Manifest{Version: 1, ID: "20260107T000000Z", Config: c})}}
	trouble := engineTrouble(io.ErrUnexpectedEOF)
	for range maxStuck - 1 {
		require.ErrorContains(t, n.ended(t.Context(), trouble), "goes on with run")
	}
	n.Stages = append(n.Stages, Stage{Name: "forward"})
	for range maxStuck - 1 {
		require.ErrorContains(t, n.ended(t.Context(), trouble), "goes on with run")
	}
	m, err := readManifest(n.dir)
	require.NoError(t, err)
	require.Empty(t, m.Ended)
	require.ErrorContains(t, n.ended(t.Context(), trouble), "begins a new one")
	m, err = readManifest(n.dir)
	require.NoError(t, err)
	assert.Equal(t, "failed", m.Ended)
}
