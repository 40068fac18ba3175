package trainer

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/trainer/engine"
	"github.com/tracegrad/tracegrad/trainer/sequence"
	"github.com/tracegrad/tracegrad/trainer/update"
)

// ForwardHead is the head of forward.jsonl.
type ForwardHead struct {
	Engine    About  `json:"engine"`
	Start     string `json:"start,omitempty"` // state that the update begins with; "" = the base model
	Reference bool   `json:"reference"`
}

// Said is what policies say of a trajectory's generated tokens, in the order of
// its spans.
type Said struct {
	ID        string    `json:"rollout"`
	Old       []float32 `json:"old"`                 // the policy before the first step
	Reference []float32 `json:"reference,omitempty"` // the base model
	Values    []float32 `json:"values,omitempty"`    // the critic
}

type said = artifact[ForwardHead, Said]

// start is the state that the update begins with; "" for the base model. Our
// worker reads the bundle itself; other engines need a state of their own.
func (n *adapterNight) start() (string, error) {
	if n.base == nil {
		return "", nil
	}
	if n.server.About().URL == "" {
		dir, err := filepath.Abs(filepath.Join(n.base.Dir, bundle.AdapterDir))
		if err == nil {
			err = bundle.Verify(n.base)
		}
		if err != nil {
			return "", fmt.Errorf("open starting policy: %w", err)
		}
		return "file://" + filepath.ToSlash(dir), nil
	}
	for i := len(n.ledger.nights) - 1; i >= 0; i-- {
		if night := n.ledger.nights[i]; night.Bundle == n.base.ID() && night.Engine == n.server.About().URL {
			return night.State, nil
		}
	}
	return "", fmt.Errorf("open starting policy: no night in %s left bundle %s on this engine, so it cannot be trained further there: name the runs directory of the night that made it, or train on the worker",
		n.Config.Runs, bundle.ShortID(n.base.ID()))
}

// at is the model at a state.
func (n *adapterNight) at(ctx context.Context, state string) (Trainee, error) {
	if n.open != nil && n.state == state {
		return n.open, nil
	}
	if n.open != nil {
		err := n.open.Close(ctx)
		if n.open = nil; err != nil {
			return nil, engineTrouble(err)
		}
	}
	open, err := n.server.Open(ctx, state)
	if err != nil {
		return nil, engineTrouble(err)
	}
	n.open, n.state = open, state
	return open, nil
}

// forwardStage asks what the policy says before it is changed: what every later
// step is measured against.
func (n *adapterNight) forwardStage(ctx context.Context, s sequences) (said, error) {
	start, err := n.start()
	if err != nil {
		return said{}, err
	}
	how := n.Config.Algorithm
	wanted := how.KL.Beta > 0
	inputs := []any{n.server.About(), start, wanted, how.recipe().Critic, n.Config.Adapter.LoRA, n.Config.Seed}
	return stage(n.run, "forward", inputs, func() (said, error) {
		out := said{Head: ForwardHead{Engine: n.server.About(), Start: start, Reference: wanted}}
		old, values, err := n.ask(ctx, "forward", start, s, how.recipe().Critic)
		if err != nil {
			return out, err
		}
		reference := old // a fresh adapter says what the base model says
		if wanted && start != "" {
			if reference, _, err = n.ask(ctx, "forward", "", s, false); err != nil {
				return out, err
			}
		}
		for i := range s.Rows {
			row := Said{ID: s.Rows[i].ID, Old: singles(old[i]), Values: singles(values[i])}
			if wanted {
				row.Reference = singles(reference[i])
			}
			out.Rows = append(out.Rows, row)
		}
		return out, nil
	})
}

// ask runs all rollouts through the model at a state, for a stage.
func (n *adapterNight) ask(ctx context.Context, stage, state string, s sequences, critic bool) (logprobs, values [][]float64, err error) {
	model, err := n.at(ctx, state)
	if err != nil {
		return nil, nil, err
	}
	began := n.clock()
	for done := 0; done < len(s.Rows); {
		var part []*sequence.Rollout
		for tokens := 0; done+len(part) < len(s.Rows) && (len(part) == 0 || tokens < 4*n.Config.Adapter.BatchTokens); {
			r := s.Rows[done+len(part)].Rollout
			part, tokens = append(part, r), tokens+sizeOf(r)
		}
		l, v, err := update.Forward(ctx, model, part, critic)
		if err != nil {
			return nil, nil, engineTrouble(err)
		}
		logprobs, values, done = append(logprobs, l...), append(values, v...), done+len(part)
		left := time.Duration(float64(n.clock().Sub(began)) / float64(done) * float64(len(s.Rows)-done))
		n.progress(Event{Stage: stage, State: Working, Done: done, Total: len(s.Rows), Left: left})
	}
	return logprobs, values, nil
}

func sizeOf(r *sequence.Rollout) (tokens int) {
	for i := range r.Rows {
		tokens += len(r.Rows[i].Tokens)
	}
	return tokens
}

func singles(values []float64) []float32 {
	if values == nil {
		return nil
	}
	out := make([]float32, len(values))
	for i, v := range values {
		out[i] = float32(v)
	}
	return out
}

func doubles(values []float32) []float64 {
	if values == nil {
		return nil
	}
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = float64(v)
	}
	return out
}

// Updated is update.json: how far the update came.
type Updated struct {
	Steps        int            `json:"steps"` // taken
	Of           int            `json:"of"`
	Stop         string         `json:"stop,omitempty"` // why not all
	State        string         `json:"state"`          // of the engine: the policy after the last step
	Tokens       int            `json:"tokens"`         // trained on, all steps together
	Moved        float64        `json:"moved"`          // KL(old ‖ now) before the last step, nats per token
	Plan         update.Plan    `json:"plan"`
	Last         *update.Step   `json:"last"`
	LeftOut      map[string]int `json:"left_out"`
	Trajectories []string       `json:"trajectories"` // trained on

	perSecond float64
}

type updated = artifact[Updated, none]

// metricsFile is the journal of an update and its curves.
const metricsFile = "metrics.jsonl"

// updateStage takes the optimizer steps.
func (n *adapterNight) updateStage(ctx context.Context, sc scores, a advantages, s sequences, f said) (updated, error) {
	how := n.Config.Algorithm
	plan := n.plan()
	inputs := []any{plan, how.Credit, how.Gamma, how.Lambda, n.Config.Adapter.LoRA, n.digestOf("advantage"), n.digestOf("sequence"), n.digestOf("score")}
	out, err := stage(n.run, "update", inputs, func() (updated, error) {
		items, left, err := n.items(sc, a, s, f)
		if err != nil {
			return updated{}, err
		}
		u, err := n.update(ctx, plan, items, f.Head.Start, digestOf(inputs, n.digestOf("forward")))
		if err != nil {
			return updated{}, err
		}
		u.LeftOut = left
		return updated{Head: u}, nil
	})
	if err == nil {
		out.Head.perSecond = n.speed()
	}
	return out, err
}

func digestOf(parts ...any) string {
	text, err := json.Marshal(parts)
	if err != nil {
		panic("internal error: " + err.Error())
	}
	return digest(text)
}

// plan is the update as the config has it.
func (n *adapterNight) plan() update.Plan {
	c, how := n.Config.Adapter, n.Config.Algorithm
	recipe := how.recipe()
	return update.Plan{
		Rule: how.rule(), Reduce: recipe.Reduce, Length: c.MaxLength, Limits: how.Stop.limits(), Critic: recipe.Critic, ValueClip: 0.2,
		Adam:   engine.Adam{Rate: c.LearningRate, Beta1: 0.9, Beta2: 0.95, Epsilon: 1e-8, WeightDecay: c.WeightDecay},
		Epochs: c.Epochs, StepRollouts: c.StepRollouts, SaveEvery: c.SaveEvery, Seed: n.Config.Seed,
	}
}

// items joins what is trained on with what was said of it.
func (n *adapterNight) items(sc scores, a advantages, s sequences, f said) ([]update.Item, map[string]int, error) {
	rollouts, about := map[string]*sequence.Rollout{}, map[string]*Said{}
	for i := range s.Rows {
		if s.Rows[i].Split == Train {
			rollouts[s.Rows[i].ID] = s.Rows[i].Rollout
		}
	}
	for i := range f.Rows {
		about[f.Rows[i].ID] = &f.Rows[i]
	}
	how := n.Config.Algorithm
	items, left := credited(how, a, sc, rollouts)
	for i := range items {
		it := &items[i]
		x := about[it.Rollout.ID]
		it.Old, it.Reference, it.Values = doubles(x.Old), doubles(x.Reference), doubles(x.Values)
	}
	if how.recipe().Critic {
		return items, left, criticise(how, items)
	}
	return items, left, nil
}

// update goes on where the journal ends.
func (n *adapterNight) update(ctx context.Context, plan update.Plan, items []update.Item, start, inputs string) (Updated, error) {
	journal, err := update.OpenJournal(filepath.Join(n.dir, metricsFile), inputs)
	if err != nil {
		return Updated{}, err
	}
	state := start
	if c := journal.Checkpoint(); c != "" {
		state = c
	}
	model, err := n.at(ctx, state)
	if err != nil && len(journal.Steps) > 0 {
		return Updated{}, fmt.Errorf("go on from step %d: %w (--fresh begins a new run)", len(journal.Steps), err)
	}
	if err != nil {
		return Updated{}, err
	}
	eta := &eta{clock: n.clock, skip: len(journal.Steps)}
	stop, err := update.Run(ctx, model, items, plan, update.Options{
		Run: n.ID, Journal: journal, Now: n.clock,
		Tidy: n.tidy,
		Report: func(s update.Step) {
			state := Working
			if s.Step <= eta.skip {
				state = Reused
			}
			n.progress(Event{Stage: "update", State: state, Done: s.Step, Total: s.Of, Step: &s, Left: eta.left(s)})
		},
	})
	n.state = "moved" // whatever happened, it is not at the state it was opened with
	if err != nil {
		return Updated{}, engineTrouble(err)
	}
	out := Updated{Of: len(plan.Schedule(len(items))), Stop: stop, State: journal.Checkpoint(), Plan: plan}
	out.take(journal.Steps)
	for _, it := range items {
		out.Trajectories = append(out.Trajectories, it.Rollout.ID)
	}
	if out.Steps == 0 {
		return Updated{}, fmt.Errorf("%w: the update stopped before its first step: %s", ErrNothingToTrain, stop)
	}
	n.state = out.State
	return out, nil
}

// take sums up the steps that were taken.
func (u *Updated) take(steps []update.Step) {
	for i := range steps {
		s := steps[i]
		u.Moved = s.Moved
		s.Seconds, s.PerSecond = 0, 0 // the artifact is the same however long it took
		u.Last = &s
		if s.Stop == "" {
			u.Steps++
			u.Tokens += s.Tokens
		}
	}
}

// speed is the tokens per second of the update's steps; 0 = unknown.
func (n *adapterNight) speed() float64 {
	steps, err := update.ReadSteps(filepath.Join(n.dir, metricsFile))
	if err != nil {
		return 0
	}
	var tokens, seconds float64
	for _, s := range steps {
		tokens, seconds = tokens+s.PerSecond*s.Seconds, seconds+s.Seconds
	}
	if seconds <= 0 {
		return 0
	}
	return tokens / seconds
}

// eta is how long the rest of an update takes, by the steps of this process.
type eta struct {
	clock func() time.Time
	began time.Time
	skip  int // steps that an earlier process took
}

func (e *eta) left(s update.Step) time.Duration {
	if e.began.IsZero() {
		e.began = e.clock().Add(-time.Duration(s.Seconds * float64(time.Second)))
	}
	done := s.Step - e.skip
	if done <= 0 {
		e.began = time.Time{}
		return 0
	}
	return time.Duration(float64(e.clock().Sub(e.began)) / float64(done) * float64(s.Of-s.Step))
}
