//go:build cgo

package trainer

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/rewards"
	"github.com/tracegrad/tracegrad/trainer/prompt"
	"github.com/tracegrad/tracegrad/trainer/query"
)

func run1(t *testing.T, c Config) *Result {
	t.Helper()
	result, err := Run(context.Background(), c, Options{Now: clock})
	require.NoError(t, err)
	return result
}

func TestNightOfTheCaptures(t *testing.T) {
	root := t.TempDir()
	writeCaptures(t, root, correct)
	c := quickstart(t, root)
	var stages []string
	result, err := Run(context.Background(), c, Options{Now: clock, Progress: func(e Event) {
		if e.State == Done {
			stages = append(stages, e.Stage)
		}
	}})
	require.NoError(t, err)
	assert.Equal(t, []string{"select", "score", "group", "advantage", "learn", "gate", "bundle"}, stages)

	assert.Equal(t, 119, result.Counts.Live)
	assert.Equal(t, 5, result.Counts.Groups)
	left := 0
	for _, l := range result.Counts.LeftOut {
		left += l.Count
	}
	assert.Equal(t, 119, left+result.Counts.Trained+result.Counts.Holdout, "every trajectory is accounted for")

	found := map[string]prompt.Item{}
	for _, it := range result.Items {
		found[string(it.Direction)+" "+it.Feature.Key()] = it
	}
	assert.Equal(t, "weather", found["do calls_tool:pack_list"].Scope.Task)
	assert.Equal(t, "kb", found["do cites_sources"].Scope.Task)
	assert.Contains(t, found, "avoid ends_on_error")

	assert.True(t, result.Verdict.Passed, result.Verdict.Reason)
	assert.Greater(t, result.Verdict.Support, 8)
	assert.Equal(t, bundle.StatusReleased, result.Bundle.Status)
	b, err := bundle.Open(result.Bundle.Dir)
	require.NoError(t, err)
	require.NoError(t, bundle.Verify(b))
	assert.NotEmpty(t, result.Verdict.Untested)
	assert.Len(t, b.Prompt.Items, len(result.Items)-len(result.Verdict.Untested), "what the holdout cannot test is not released")
	assert.Equal(t, result.ID, b.Manifest.Provenance.Run)
	assert.Equal(t, result.Verdict.Effect.Low, *b.Manifest.Gate.CILow)
	assert.Empty(t, b.Prompt.Demonstrations)

	shown := readAll(t, result.Report) + b.Prompt.Guidance()
	for _, r := range rollouts(t)[:40] {
		require.False(t, holds(shown, r.UserText[40:70]), "a user's text: %s", r.UserText)
	}
}

func TestShuffledVerdictsAreRefused(t *testing.T) {
	released := 0
	const nights = 12
	for seed := range uint64(nights) {
		verdicts := make([]float64, 119)
		for i, r := range rollouts(t) {
			verdicts[i] = *correct(i, &r)
		}
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(verdicts), func(i, j int) { verdicts[i], verdicts[j] = verdicts[j], verdicts[i] })
		root := t.TempDir()
		writeCaptures(t, root, func(i int, _ *rollout) *float64 { return &verdicts[i] })
		c := quickstart(t, root)
		// Only the verdict counts: what the rules read from the steps is real also
		// when the verdicts are not.
		c.Rewards.File = filepath.Join(t.TempDir(), "rewards.yaml")
		require.NoError(t, os.WriteFile(c.Rewards.File, []byte("rewards:\n  - {name: solved, expr: 'feedback(\"solved\")'}\n"), 0o600))
		result := run1(t, c)
		assert.NotEmpty(t, result.Verdict.Reason)
		assert.Equal(t, result.Verdict.Passed, result.Bundle.Status == bundle.StatusReleased)
		if result.Verdict.Passed {
			released++
		}
	}
	assert.LessOrEqual(t, released, 1, "of %d nights", nights)
}

func TestRunsAreReproducible(t *testing.T) {
	root := t.TempDir()
	writeCaptures(t, root, correct)
	c := quickstart(t, root)
	first := run1(t, c)
	c.Runs = t.TempDir()
	second := run1(t, c)
	assert.Equal(t, first.Bundle.ID, second.Bundle.ID)
	for _, name := range []string{"select.jsonl", "group.jsonl", "advantage.jsonl", "learn.json", "gate.json"} {
		assert.Equal(t, readAll(t, filepath.Join(first.Dir, name)), readAll(t, filepath.Join(second.Dir, name)), name)
	}
	c.Runs, c.Seed = t.TempDir(), 2
	assert.NotEqual(t, first.Bundle.ID, run1(t, c).Bundle.ID)
}

func TestResumeRunsOnlyWhatChanged(t *testing.T) {
	root := t.TempDir()
	writeCaptures(t, root, correct)
	c := quickstart(t, root)
	first := run1(t, c)
	resume := func() (ran []string, result *Result) {
		result, err := Run(context.Background(), c, Options{Resume: "last", Now: func() time.Time { return clock().Add(time.Hour) }, Progress: func(e Event) {
			if e.State == Done {
				ran = append(ran, e.Stage)
			}
		}})
		require.NoError(t, err)
		assert.Equal(t, first.ID, result.ID)
		return ran, result
	}
	ran, again := resume()
	assert.Empty(t, ran)
	assert.Equal(t, first, again)

	c.Gate.Confidence = 0.9
	ran, _ = resume()
	assert.Equal(t, []string{"gate", "bundle"}, ran)

	require.NoError(t, os.WriteFile(filepath.Join(first.Dir, "group.jsonl"), []byte("{}\n"), 0o600))
	ran, _ = resume()
	assert.Equal(t, []string{"group"}, ran, "the same groups are made again, so what follows stays")

	c.Gate.Confidence = 0.95
	ran, _ = resume()
	assert.Equal(t, []string{"gate", "bundle"}, ran)
	require.NoError(t, os.RemoveAll(again.Bundle.Dir))
	ran, _ = resume()
	assert.Equal(t, []string{"bundle"}, ran)
	_, err := bundle.Open(first.Bundle.Dir)
	require.NoError(t, err)

	w, err := dataset.NewWriter(root, "feedback", dataset.Options{})
	require.NoError(t, err)
	one := 1.0
	_, err = w.WriteFacts(context.Background(), []trajectory.Fact{{Name: "solved", Value: &one, Source: "feedback", TraceID: rollouts(t)[8].Traces[0], ObservedAt: clock().UnixMicro()}})
	require.NoError(t, err)
	require.NoError(t, w.Close())
	ran, _ = resume()
	assert.Equal(t, "score", ran[0], "a late fact")

	_, err = Run(context.Background(), c, Options{Resume: "20000101T000000Z"})
	assert.ErrorContains(t, err, "resume run 20000101T000000Z")
}

func TestRewardsAreWrittenBackOnce(t *testing.T) {
	root := t.TempDir()
	writeCaptures(t, root, correct)
	c := quickstart(t, root)
	run1(t, c)
	files, err := dataset.Files(root, dataset.TableRewards)
	require.NoError(t, err)
	require.NotEmpty(t, files)

	db, err := query.Open(context.Background(), root, query.Options{})
	require.NoError(t, err)
	defer db.Close()
	rewards, err := db.Rewards(context.Background())
	require.NoError(t, err)
	assert.Len(t, rewards, 114)

	c.Runs = t.TempDir()
	run1(t, c) // nothing new to say
	later, err := dataset.Files(root, dataset.TableRewards)
	require.NoError(t, err)
	assert.Equal(t, files, later)

	c.Rewards.WriteBack = false
	other := t.TempDir()
	writeCaptures(t, other, correct)
	c.Dataset, c.Runs = other, t.TempDir()
	run1(t, c)
	files, err = dataset.Files(other, dataset.TableRewards)
	require.NoError(t, err)
	assert.Empty(t, files)
}

// A fact can make a rule let go of a step that it chose when the trajectory was
// exported. The dataset must then say what the run says.
func TestStepsThatAreNotChosenAnyMoreAreTakenBack(t *testing.T) {
	root := t.TempDir()
	w, err := dataset.NewWriter(root, "collector", dataset.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, w.Close()) }()
	var list []*trajectory.Trajectory
	for _, r := range rollouts(t) {
		one := r.trajectory()
		for i := range one.Steps {
			one.Steps[i].TraceID, one.Steps[i].SpanID = r.Traces[0], fmt.Sprintf("%016x", i)
		}
		list = append(list, one)
	}
	_, err = w.Write(context.Background(), list, nil)
	require.NoError(t, err)
	c := quickstart(t, root)
	c.Rewards.File = filepath.Join(t.TempDir(), "rewards.yaml")
	require.NoError(t, os.WriteFile(c.Rewards.File, []byte(`rewards:
  - {name: calls, expr: 'tool_calls'}
  - {name: wasted, level: step, when: 'kind == "tool" && (feedback("useful") ?? 0) == 0', expr: '-1', weight: 0.5}
`), 0o600))
	run1(t, c)
	agree := func() (takenBack int) {
		result := run1(t, c)
		engine, err := rewards.Load(c.Rewards.File)
		require.NoError(t, err)
		db, err := query.Open(context.Background(), root, query.Options{Rules: engine.Rules()})
		require.NoError(t, err)
		defer db.Close()
		got := map[string]float64{}
		rows, err := db.Query(context.Background(), "SELECT trajectory_id, value::VARCHAR FROM returns WHERE value IS NOT NULL")
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			got[rows.Values()[0].(string)], err = strconv.ParseFloat(rows.Values()[1].(string), 64)
			require.NoError(t, err)
		}
		n := 0
		for i, line := range strings.Split(strings.TrimSpace(readAll(t, filepath.Join(result.Dir, "score.jsonl"))), "\n") {
			if i == 0 {
				continue
			}
			var row Scored
			require.NoError(t, json.Unmarshal([]byte(line), &row))
			require.InDelta(t, *row.Return, got[row.Profile.ID], 1e-9, row.Profile.ID)
			n++
		}
		assert.Equal(t, 114, n)
		stored, err := db.Rewards(context.Background())
		require.NoError(t, err)
		for _, list := range stored {
			for _, r := range list {
				if r.Reason == query.ReasonNotChosen {
					takenBack++
				}
			}
		}
		return takenBack
	}
	assert.Zero(t, agree())
	say := func(value float64, at int64) {
		var facts []trajectory.Fact
		for _, one := range list {
			for i := range one.Steps {
				if i%3 == 1 {
					facts = append(facts, trajectory.Fact{Name: "useful", Value: &value, Source: "feedback", TraceID: one.Steps[i].TraceID, SpanID: one.Steps[i].SpanID, ObservedAt: clock().UnixMicro() + at})
				}
			}
		}
		_, err = w.WriteFacts(context.Background(), facts)
		require.NoError(t, err)
	}
	say(1, 1)
	taken := agree()
	assert.Positive(t, taken)
	assert.Equal(t, taken, agree(), "it is said once")
	say(0, 2)
	assert.Zero(t, agree(), "and chosen again")
}

func TestWithoutVerdictsThereIsNothingToTrain(t *testing.T) {
	root := t.TempDir()
	writeCaptures(t, root, func(int, *rollout) *float64 { return nil })
	_, err := Run(context.Background(), quickstart(t, root), Options{Now: clock})
	require.ErrorIs(t, err, ErrNothingToTrain)
	assert.ErrorContains(t, err, "of 119 trajectories, 5 not_trainable: call_failed (")
	assert.ErrorContains(t, err, "114 reward_missing: solved (a rule with missing: mask has no value yet: post the feedback it waits for")
}

func TestErrorsOfANight(t *testing.T) {
	root := t.TempDir()
	writeCaptures(t, root, correct)
	night := func(change func(*Config)) error {
		c := quickstart(t, root)
		change(&c)
		_, err := Run(context.Background(), c, Options{Now: clock})
		require.Error(t, err)
		return err
	}
	err := night(func(c *Config) { c.Dataset = filepath.Join(t.TempDir(), "none") })
	require.ErrorIs(t, err, query.ErrNoDataset)
	err = night(func(c *Config) {
		c.Dataset = t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(c.Dataset, "v1"), 0o750))
	})
	require.ErrorIs(t, err, query.ErrNoDataset)
	assert.ErrorContains(t, err, "it holds no trajectories yet")

	var sql *query.Error
	require.ErrorAs(t, night(func(c *Config) { c.Where = "model_calls > 1\nAND statsu = 'ok'" }), &sql)
	assert.Equal(t, "where", sql.What)
	assert.Contains(t, sql.Error(), `Referenced column "statsu" not found`)
	assert.Contains(t, sql.Error(), "LINE 2: AND statsu = 'ok'\n            ^")

	require.ErrorIs(t, night(func(c *Config) { c.Where = "false" }), ErrNothingToTrain)
	err = night(func(c *Config) { c.GroupBy = "trajectory_id" })
	require.ErrorIs(t, err, ErrNothingToTrain)
	assert.ErrorContains(t, err, "advantage: nothing to train on: of 119 trajectories, 5 not_trainable")
	assert.ErrorContains(t, err, "77 group_of_one (the only attempt at its task); 37 held_out (kept for the gate)")
	require.ErrorIs(t, night(func(c *Config) { c.Rewards.File = "none.yaml" }), os.ErrNotExist)
	assert.ErrorContains(t, night(func(c *Config) {
		c.Rewards.File = filepath.Join(t.TempDir(), "rewards.yaml")
		require.NoError(t, os.WriteFile(c.Rewards.File, []byte("rewards:\n  - {name: a, expr: 'outptu'}\n"), 0o600))
	}), "rewards.yaml:2:")
	assert.ErrorContains(t, night(func(c *Config) { c.Base = "canary" }), "open starting policy: base: ")

	c := quickstart(t, root)
	lock, err := lockFile(filepath.Join(c.Runs, ".lock"))
	require.NoError(t, err)
	_, err = Run(context.Background(), c, Options{Now: clock})
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, unlockFile(lock))
	run1(t, c)

	stopped, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Run(stopped, quickstart(t, root), Options{Now: clock})
	require.ErrorIs(t, err, context.Canceled)
}

func TestAnInterruptedNightSaysHowToGoOn(t *testing.T) {
	root := t.TempDir()
	writeCaptures(t, root, correct)
	c := quickstart(t, root)
	for _, at := range []string{"select", "score", "learn"} {
		ctx, cancel := context.WithCancel(context.Background())
		_, err := Run(ctx, c, Options{Now: clock, Progress: func(e Event) {
			if e.Stage == at {
				cancel()
			}
		}})
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
			id, found := strings.CutPrefix(err.Error(), "interrupted; go on with --resume ")
			require.True(t, found, err)
			_, err = Run(context.Background(), c, Options{Now: clock, Resume: id})
			require.NoError(t, err)
		}
		assert.True(t, err == nil || at != "score")
	}
}

// Expressions are checked against the dataset, long after the file was read.
func TestErrorsInExpressionsNameTheLineOfTheFile(t *testing.T) {
	root := t.TempDir()
	writeCaptures(t, root, correct)
	for text, want := range map[string]string{
		"where: statsu = 'ok'":                                   "train.yaml:4: where: Binder Error: ",
		"group_by: |\n  CASE\n    WHEN statsu THEN 'a'\n  END":   "train.yaml:6: group_by: Binder Error: ",
		"group_by: |\n\n  CASE\n    WHEN statsu THEN 'a'\n  END": "train.yaml:7: group_by: Binder Error: ",
		"group_by: >\n  upper(\n  statsu)":                       "train.yaml:4: group_by: Binder Error: ",
		"gate:\n  holdout_by: input::DATE":                       "train.yaml:5: gate.holdout_by: Conversion Error: ",
		"where: (status = 'ok'":                                  "train.yaml:4: where: Parser Error: syntax error at the end",
	} {
		path := filepath.Join(t.TempDir(), "train.yaml")
		rules, err := filepath.Abs("../examples/quickstart/rewards.yaml")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, []byte("dataset: "+root+"\nrewards: {file: "+rules+"}\nname: x\n"+text+"\n"), 0o600))
		c, err := Load(path)
		require.NoError(t, err)
		_, err = Run(context.Background(), c, Options{Now: clock})
		require.Error(t, err, text)
		assert.Contains(t, err.Error(), filepath.Dir(path)+"/"+want)
	}
}

func TestTwoNightsOnOneDatasetAtOnce(t *testing.T) {
	root := t.TempDir()
	writeCaptures(t, root, correct)
	a, b := quickstart(t, root), quickstart(t, root)
	assert.Equal(t, writerName(a.Runs), writerName(a.Runs+"/."))
	// The other night holds its writer for the whole of this one.
	w, err := dataset.NewWriter(root, writerName(b.Runs), dataset.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, w.Close()) }()
	assert.Equal(t, bundle.StatusReleased, run1(t, a).Bundle.Status)
}

func TestWindowAndAge(t *testing.T) {
	root := t.TempDir()
	writeCaptures(t, root, correct)
	ends := rollouts(t)
	at := time.UnixMilli(ends[60].End).UTC()
	c := quickstart(t, root)
	c.MinAge = Duration(time.Minute)
	c.Window = Window(90 * time.Minute)
	result, err := Run(context.Background(), c, Options{Now: func() time.Time { return at.Add(time.Minute) }})
	require.NoError(t, err)
	want := 0
	for _, r := range ends {
		if r.End > ends[60].End {
			want++
		}
	}
	reasons := map[string]int{}
	for _, l := range result.Counts.LeftOut {
		reasons[l.Reason] = l.Count
	}
	assert.Positive(t, want)
	assert.Equal(t, want, reasons["too_young"])
}

func TestTheHoldoutIsFrozen(t *testing.T) {
	// These are part of docs/training.md: what was held out stays held out.
	held := ""
	for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "weather", "math"} {
		if heldOut(key, 0.3) {
			held += key + " "
			assert.True(t, heldOut(key, 0.4), "a larger share holds all of the smaller")
		}
	}
	assert.Equal(t, "d ", held)
	n := 0
	for i := range 10000 {
		if heldOut(string(rune('a'+i%26))+time.Duration(i).String(), 0.2) {
			n++
		}
	}
	assert.InDelta(t, 2000, n, 150)
}

func TestHoldoutHasNoPartInLearning(t *testing.T) {
	root := t.TempDir()
	writeCaptures(t, root, correct)
	c := quickstart(t, root)
	first := run1(t, c)
	held := map[string]bool{}
	for line := range strings.Lines(readAll(t, filepath.Join(first.Dir, "select.jsonl"))) {
		var row Chosen
		require.NoError(t, json.Unmarshal([]byte(line), &row))
		held[row.ID] = row.Split == Holdout
	}
	for _, g := range first.Groups {
		for _, id := range g.IDs {
			assert.False(t, held[id])
		}
	}
	for _, it := range first.Items {
		for _, id := range append(it.Better, it.Worse...) {
			assert.False(t, held[id])
		}
	}
	// Other verdicts on the holdout change the verdict of the gate, and nothing that is learned.
	other := t.TempDir()
	writeCaptures(t, other, func(i int, r *rollout) *float64 {
		v := correct(i, r)
		if held[r.trajectory().ID] {
			*v = 1 - *v
		}
		return v
	})
	c.Dataset, c.Runs = other, t.TempDir()
	second := run1(t, c)
	assert.Equal(t, first.Items, second.Items)
	assert.False(t, second.Verdict.Passed)
}

// startFrom packs items as a bundle and makes it the starting policy.
func startFrom(t *testing.T, c Config, gate bundle.Gate, items ...bundle.Item) string {
	t.Helper()
	m := bundle.Manifest{Kind: bundle.KindPrompt, Name: "base", Status: bundle.StatusCandidate, CreatedAt: clock(), Gate: gate}
	if gate.Passed {
		m.Status = bundle.StatusReleased
	}
	files, err := bundle.PromptFiles(m, bundle.Prompt{Items: items})
	require.NoError(t, err)
	base, err := bundle.Add(c.Bundles, m, files)
	require.NoError(t, err)
	require.NoError(t, bundle.SetLabel(c.Bundles, bundle.LabelProduction, base.ID()))
	return base.ID()
}

func sentence(t *testing.T, f prompt.Feature, d prompt.Direction) string {
	t.Helper()
	text, ok := f.Text(d)
	require.True(t, ok)
	return text
}

func TestStartingPolicyIsCarried(t *testing.T) {
	root := t.TempDir()
	writeCaptures(t, root, correct)
	c := quickstart(t, root)
	c.Policy.MaxItems = 9
	first := run1(t, c)
	require.True(t, first.Verdict.Passed, first.Verdict.Reason)
	earlier, err := bundle.Open(first.Bundle.Dir)
	require.NoError(t, err)

	learned := map[prompt.Feature]prompt.Item{}
	for _, it := range first.Items {
		learned[it.Feature] = it
	}
	packs, ends := prompt.Feature{Kind: prompt.CallsTool, Name: "pack_list"}, prompt.Feature{Kind: prompt.EndsOnError}
	require.Contains(t, learned, packs)
	require.Contains(t, learned, ends)
	tested := map[string]float64{"gate_support": 4, "n_with": 7}
	answers := prompt.Feature{Kind: prompt.NoTool}
	require.NotContains(t, learned, answers)
	id := startFrom(t, c, earlier.Manifest.Gate,
		bundle.Item{ID: "again", Text: learned[ends].Text, Scope: bundle.Scope{Task: "weather"}, Evidence: tested},
		bundle.Item{ID: "contrary", Text: sentence(t, prompt.Feature{Kind: prompt.ToolFirst, Name: "pack_list"}, prompt.Avoid), Evidence: tested},
		bundle.Item{ID: "testable", Text: sentence(t, answers, prompt.Avoid)},
		bundle.Item{ID: "known", Text: sentence(t, prompt.Feature{Kind: prompt.CallsTool, Name: "gone"}, prompt.Do), Evidence: tested},
		bundle.Item{ID: "foreign", Text: "Say hello.", Evidence: tested},
		bundle.Item{ID: "never", Text: sentence(t, prompt.Feature{Kind: prompt.CallsTool, Name: "never"}, prompt.Do)},
	)

	second := run1(t, c)
	short := bundle.ShortID(id)
	notes, reasons := map[string]string{}, map[string]string{}
	for _, it := range second.Carried {
		assert.Equal(t, id, it.From)
		notes[it.ID] = it.Note
	}
	for _, it := range second.Dropped {
		reasons[it.ID] = it.Reason
	}
	assert.Equal(t, map[string]string{
		"testable": "from " + short, "known": "from " + short + ", not tested tonight", "foreign": "from " + short + ", not tested tonight",
	}, notes)
	assert.Equal(t, map[string]string{
		"again": "replaced by " + learned[ends].ID, "contrary": "contradicted by " + learned[packs].ID, "never": "no holdout ever tested it",
	}, reasons)

	// The gate saw what can be tested, and its numbers are of both together.
	checks := map[string]prompt.Check{}
	for _, check := range second.Verdict.Items {
		checks[check.ID] = check
	}
	assert.Positive(t, checks["testable"].Support)
	assert.NotContains(t, checks, "known")
	assert.NotEqual(t, first.Verdict.Effect, second.Verdict.Effect)
	assert.Contains(t, second.Verdict.Reason, "; kept from "+short+": avoid answers_without_tool (testable)")
	assert.Contains(t, second.Verdict.Reason, "; kept from "+short+", not tested tonight: do calls_tool:gone (known), foreign")

	b, err := bundle.Open(second.Bundle.Dir)
	require.NoError(t, err)
	require.NoError(t, bundle.Verify(b))
	assert.Equal(t, id, b.Manifest.Provenance.Parent)
	evidence := map[string]map[string]float64{}
	for _, it := range b.Prompt.Items {
		evidence[it.ID] = it.Evidence
	}
	assert.InDelta(t, float64(checks["testable"].Support), evidence["testable"]["gate_support"], 0)
	assert.Equal(t, tested, evidence["known"])
	assert.Contains(t, evidence, "foreign")
	for id := range reasons {
		assert.NotContains(t, evidence, id)
	}
	card := readAll(t, filepath.Join(b.Dir, bundle.ReadmeFile))
	assert.Contains(t, card, "| `known` | all | from "+short+", not tested tonight | 7, unknown | 4 |")
	assert.Contains(t, card, "- `never` "+sentence(t, prompt.Feature{Kind: prompt.CallsTool, Name: "never"}, prompt.Do)+": no holdout ever tested it")
	page := readAll(t, second.Report)
	assert.True(t, holds(page, "Say hello.") && holds(page, "not tested tonight") && holds(page, "no holdout ever tested it"))

	c.Base = filepath.Join(c.Bundles, id) // a directory will do as well
	assert.Equal(t, id, run1(t, c).Bundle.Parent)
}

func TestNothingIsCarriedFromAPolicyThatNoGatePassed(t *testing.T) {
	root := t.TempDir()
	writeCaptures(t, root, correct)
	c := quickstart(t, root)
	id := startFrom(t, c, bundle.Gate{}, bundle.Item{ID: "g-1", Text: "Say hello.", Evidence: map[string]float64{"gate_support": 9}})
	result := run1(t, c)
	assert.Equal(t, id, result.Bundle.Parent)
	assert.Empty(t, result.Carried)
	assert.Equal(t, []DroppedItem{{"g-1", "Say hello.", "the gate of " + bundle.ShortID(id) + " did not pass"}}, result.Dropped)
	assert.True(t, holds(readAll(t, result.Report), "did not pass"))
}

// With whole tasks held out, what was learned on one task cannot be tested: no
// release speaks for it.
func TestWhatTheHoldoutCannotTestIsNotReleased(t *testing.T) {
	root := t.TempDir()
	writeCaptures(t, root, correct)
	c := quickstart(t, root)
	c.Gate.HoldoutBy = "CASE WHEN input LIKE 'A train%' OR input LIKE 'My order%' THEN 'd' ELSE 'a' END" // d is held out, a is not
	c.Gate.MinSupport = 1
	result := run1(t, c)
	supports := map[string]int{}
	for _, check := range result.Verdict.Items {
		supports[check.ID] = check.Support
	}
	b, err := bundle.Open(result.Bundle.Dir)
	require.NoError(t, err)
	require.NotEmpty(t, result.Verdict.Untested)
	assert.Equal(t, result.Verdict.Passed, len(b.Prompt.Items) < len(result.Items))
	for _, it := range b.Prompt.Items {
		if result.Verdict.Passed {
			assert.Positive(t, supports[it.ID], it.ID)
		}
		if supports[it.ID] == 0 {
			assert.NotContains(t, it.Evidence, "gate_support")
		}
	}
	card, page := readAll(t, filepath.Join(b.Dir, bundle.ReadmeFile)), readAll(t, result.Report)
	for _, id := range result.Verdict.Untested {
		assert.Contains(t, card, id)
		assert.True(t, holds(page, id))
	}
	assert.True(t, holds(page, "not tested"))
	t.Log(result.Verdict.Reason)
}

func TestTheGateSaysWhichTasksThereAre(t *testing.T) {
	root := t.TempDir()
	writeCaptures(t, root, correct)
	c := quickstart(t, root)
	c.Gate.HoldoutBy, c.Gate.Holdout = "task_key", 0.001
	result := run1(t, c)
	assert.Equal(t, bundle.StatusCandidate, result.Bundle.Status)
	assert.Contains(t, result.Verdict.Reason, "gate.holdout_by (task_key) has 5 values and 0 of them are held out: raise gate.holdout (0.001), or wait for more runs, or hold out by something finer, such as input")
}

func TestDemonstrations(t *testing.T) {
	root := t.TempDir()
	writeCaptures(t, root, correct)
	c := quickstart(t, root)
	c.Policy.Demonstrations = 3
	result := run1(t, c)
	b, err := bundle.Open(result.Bundle.Dir)
	require.NoError(t, err)
	require.Len(t, b.Prompt.Demonstrations, 3)
	tasks := map[string]bool{}
	for _, d := range b.Prompt.Demonstrations {
		tasks[d.Task] = true
		assert.NotContains(t, d.Input, "[ref:")
		assert.NotEmpty(t, d.Output)
	}
	assert.Len(t, tasks, 3)
}

func TestReportStandsAlone(t *testing.T) {
	root := t.TempDir()
	writeCaptures(t, root, correct)
	c := quickstart(t, root)
	c.GroupBy = "'<script>alert(1)</script>' || left(input, 9)"
	result := run1(t, c)
	page := readAll(t, result.Report)
	has := func(text string) bool { return holds(page, text) }
	assert.Empty(t, regexp.MustCompile(`(?i)<script|<link|<img|<iframe|src=|url\(|@import|https?://`).FindString(page))
	assert.False(t, has("alert(1)</"))
	assert.True(t, has("Content-Security-Policy"))
	for _, it := range result.Items {
		assert.True(t, has(it.ID) && has(it.Better[0]))
	}
	for _, stage := range []string{"select", "score", "group", "advantage", "learn", "gate", "bundle"} {
		assert.True(t, has("<code>"+stage+".json"), stage)
	}
	assert.False(t, has("ZgotmplZ"), "the template did not know what a value is")
	assert.False(t, has("NaN"))
}

func TestTenantsStayApart(t *testing.T) {
	root := t.TempDir()
	w, err := dataset.NewWriter(root, "collector", dataset.Options{})
	require.NoError(t, err)
	var list []*trajectory.Trajectory
	var facts []trajectory.Fact
	all := rollouts(t)
	for i := range all {
		one := all[i].trajectory()
		one.Tenant = []string{"acme", "bolt"}[i%2]
		list = append(list, one)
		facts = append(facts, trajectory.Fact{Name: "solved", Value: correct(i, &all[i]), Source: "feedback", TrajectoryID: one.ID, ObservedAt: 1})
	}
	_, err = w.Write(context.Background(), list, facts)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	result := run1(t, quickstart(t, root))
	tenant := map[string]string{}
	for _, one := range list {
		tenant[one.ID] = one.Tenant
	}
	assert.Len(t, result.Groups, 10)
	for _, g := range result.Groups {
		for _, id := range g.IDs {
			assert.Equal(t, g.Tenant, tenant[id])
		}
	}
}

func readAll(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// holds is for pages that are too long to be shown when a test fails.
func holds(page, text string) bool { return strings.Contains(page, text) }
