package update

import (
	"context"
	"fmt"
	"time"

	"github.com/tracegrad/tracegrad/trainer/engine"
	"github.com/tracegrad/tracegrad/trainer/grpo"
	"github.com/tracegrad/tracegrad/trainer/sequence"
)

// Options of [Run].
type Options struct {
	Run     string                  // names checkpoints
	Journal *Journal                //
	Now     func() time.Time        // for speeds
	Tidy    func(keep string) error // once a checkpoint is in the journal: those before it are not needed; nil = they stay
	Report  func(Step)              // after every step, those of the journal included; nil = nobody looks
}

// Run takes the steps of plan that the journal does not hold yet. model must be
// as the journal's last checkpoint left it, or new if there is none. It returns
// why the update stopped before its last step, "" if it did not.
//
// After an error the journal holds every step that was taken and saved.
func Run(ctx context.Context, model Model, items []Item, plan Plan, o Options) (stop string, err error) {
	u := &updater{Options: o, model: model, items: items, plan: plan, schedule: plan.Schedule(len(items))}
	for _, s := range o.Journal.Steps {
		u.report(s)
		if s.Stop != "" {
			return s.Stop, nil
		}
	}
	for i := len(o.Journal.Steps); i < len(u.schedule); i++ {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		s, err := u.step(ctx, i)
		if err != nil {
			return "", fmt.Errorf("step %d of %d: %w", i+1, len(u.schedule), err)
		}
		u.report(s)
		if s.Stop != "" {
			return s.Stop, nil
		}
	}
	return "", nil
}

type updater struct {
	Options
	model    Model
	items    []Item
	plan     Plan
	schedule [][]int
}

func (u *updater) report(s Step) {
	if u.Report != nil {
		u.Report(s)
	}
}

// step takes one step, or says why it must not be taken.
func (u *updater) step(ctx context.Context, i int) (Step, error) {
	began := u.Now()
	perEpoch := len(u.schedule) / u.plan.Epochs
	s := Step{Step: i + 1, Of: len(u.schedule), Epoch: i/perEpoch + 1}
	batch := u.schedule[i]
	now, values, err := u.forward(ctx, i, batch)
	if err != nil {
		return s, err
	}
	rollouts, err := u.apply(batch, now, &s)
	if err != nil {
		return s, err
	}
	if s.Stop = u.plan.Limits.Stop(s.Metrics); s.Stop != "" {
		// A checkpoint of the step before is where the policy is: without one,
		// a run that goes on would stand before steps that were taken.
		if err := u.save(ctx, i, &s, u.Journal.Checkpoint() == "" || u.Journal.Steps[i-1].Checkpoint == ""); err != nil {
			return s, err
		}
		return s, u.note(s)
	}
	tokens, err := u.move(ctx, batch, rollouts, values, &s)
	if err != nil {
		return s, err
	}
	last := i+1 == len(u.schedule)
	if err := u.save(ctx, i+1, &s, last || (i+1)%u.plan.SaveEvery == 0); err != nil {
		return s, err
	}
	s.Seconds = u.Now().Sub(began).Seconds()
	if s.Seconds > 0 {
		s.PerSecond = float64(tokens) / s.Seconds
	}
	return s, u.note(s)
}

// note makes a step durable.
func (u *updater) note(s Step) error {
	if err := u.Journal.add(s); err != nil || s.Checkpoint == "" || u.Tidy == nil {
		return err
	}
	return u.Tidy(s.Checkpoint)
}

// save keeps the policy after steps steps, if it is wanted and there were any.
func (u *updater) save(ctx context.Context, steps int, s *Step, wanted bool) (err error) {
	if !wanted || steps == 0 {
		return nil
	}
	s.Checkpoint, err = u.model.Save(ctx, u.Journal.Name(u.Run, steps))
	return err
}

// forward asks what the policy says now. Before the first step that is known.
func (u *updater) forward(ctx context.Context, i int, batch []int) (now, values [][]float64, err error) {
	now, values = make([][]float64, len(batch)), make([][]float64, len(batch))
	if i == 0 {
		for k, at := range batch {
			now[k], values[k] = u.items[at].Old, u.items[at].Values
		}
		return now, values, nil
	}
	rollouts := make([]*sequence.Rollout, len(batch))
	for k, at := range batch {
		rollouts[k] = u.items[at].Rollout
	}
	return Forward(ctx, u.model, rollouts, u.plan.Critic)
}

// Forward computes log-probabilities, and the critic's values if it is wanted,
// as flat lists, one per rollout.
func Forward(ctx context.Context, model Model, rollouts []*sequence.Rollout, critic bool) (logprobs, values [][]float64, err error) {
	var rows []engine.Row
	for _, r := range rollouts {
		rows = append(rows, r.Rows...)
	}
	outputs, err := model.Forward(ctx, rows)
	if err != nil {
		return nil, nil, fmt.Errorf("forward: %w", err)
	}
	if len(outputs) != len(rows) {
		return nil, nil, fmt.Errorf("forward: the engine answered %d rows for %d", len(outputs), len(rows))
	}
	logprobs, values = make([][]float64, len(rollouts)), make([][]float64, len(rollouts))
	for i, r := range rollouts {
		own := outputs[:len(r.Rows)]
		outputs = outputs[len(r.Rows):]
		var said, worth [][]float32
		for _, o := range own {
			said, worth = append(said, o.Logprobs), append(worth, o.Values)
		}
		if logprobs[i], err = r.Flat(said); err == nil && critic {
			values[i], err = r.Flat(worth)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("forward: %w", err)
		}
	}
	return logprobs, values, nil
}

// apply writes the step's coefficients into the rows and sums up its metrics.
func (u *updater) apply(batch []int, now [][]float64, s *Step) ([]*sequence.Rollout, error) {
	rollouts := make([]*sequence.Rollout, len(batch))
	sums := make([]float64, len(batch)) // losses by rollout, for the normalised one
	for k, at := range batch {
		it := &u.items[at]
		rollouts[k] = it.Rollout
		behaviour, err := it.Rollout.Behaviour(it.Old)
		if err != nil {
			return nil, err
		}
		m, err := it.Rollout.Apply(u.plan.Rule, grpo.Logs{Now: now[k], Old: it.Old, Behaviour: behaviour, Recorded: it.Rollout.Known(), Reference: it.Reference, Advantages: it.Advantages})
		if err != nil {
			return nil, err
		}
		sums[k] = m.Loss
		s.Metrics.Add(m)
	}
	if err := sequence.Weigh(rollouts, u.plan.Reduce, u.plan.Length); err != nil {
		return nil, err
	}
	for k, r := range rollouts {
		s.Loss += weight(r) * sums[k]
	}
	s.Rollouts, s.Tokens = len(batch), s.Metrics.Tokens
	s.Moved, s.ClipFraction = s.Metrics.MeanMoved(), s.Metrics.ClipFraction()
	if s.Metrics.Effective.N > 0 {
		share := s.Metrics.Effective.Share()
		s.ESS = &share
	}
	if u.plan.Rule.Penalty.Beta != 0 {
		kl := s.Metrics.MeanKL()
		s.KL = &kl
	}
	return rollouts, nil
}

// weight is the mean over a rollout's tokens of what their losses are multiplied
// with: the same for all, unless rows are what a batch is normalised by.
func weight(r *sequence.Rollout) (w float64) {
	for _, s := range r.Spans {
		w += r.Rows[s.Row].Weight * float64(s.To-s.From)
	}
	return w / float64(max(r.Trained(), 1))
}

// move takes the optimizer step and says how many tokens went in.
func (u *updater) move(ctx context.Context, batch []int, rollouts []*sequence.Rollout, values [][]float64, s *Step) (tokens int, err error) {
	var rows []engine.Row
	for _, r := range rollouts {
		rows = append(rows, r.Rows...)
	}
	for i := range rows {
		tokens += len(rows[i].Tokens)
	}
	passes := []Pass{{Loss: grpo.Loss{Fn: grpo.FnImportance}, Rows: rows}}
	if u.plan.Critic {
		if err := u.critic(batch, rollouts, values, s); err != nil {
			return 0, err
		}
		rows = nil
		for _, r := range rollouts {
			rows = append(rows, r.Rows...)
		}
		passes[0].Rows = rows
		passes = append(passes, Pass{Loss: grpo.Loss{Fn: grpo.FnCritic, Low: u.plan.ValueClip}, Rows: rows})
	}
	return tokens, u.model.Step(ctx, passes, u.plan.Adam)
}

// critic writes what the critic said and should have said into the rows.
func (u *updater) critic(batch []int, rollouts []*sequence.Rollout, values [][]float64, s *Step) error {
	var loss float64
	for k, at := range batch {
		it := &u.items[at]
		if err := rollouts[k].SetValues(it.Values, it.Returns); err != nil {
			return err
		}
		each, _ := grpo.ValueLoss(values[k], it.Values, it.Returns, u.plan.ValueClip)
		for _, l := range each {
			loss += l * weight(rollouts[k])
		}
	}
	s.ValueLoss = &loss
	return nil
}
