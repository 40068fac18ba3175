package reroll

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/rewards"
)

// Options of [Run]; what is zero has a default.
type Options struct {
	Policy
	Rollouts    int              // per prompt; 0 = 1
	Concurrency int              // requests at a time; 0 = 8
	Now         func() time.Time // nil = time.Now
	Rewards     *rewards.Engine  // scores every rollout; nil = nobody does
	Progress    func(Progress)   // called from one goroutine; nil = nobody looks
}

// Progress is how far a run is.
type Progress struct {
	Done, Total int // rollouts, those of an earlier run included
	Left        time.Duration
}

// Tally is what became of the rollouts.
type Tally struct {
	Prompts int            `json:"prompts"`
	Wanted  int            `json:"wanted"`  // rollouts
	Reused  int            `json:"reused"`  // were there already
	Made    int            `json:"made"`    // asked for now
	Tokens  int64          `json:"tokens"`  // generated now, as far as the server says
	Ended   map[string]int `json:"ended"`   // rollouts made now that did not come to their end, by reason
	Refused map[string]int `json:"refused"` // rollouts that the server refused, by what it said
}

// Missing is the number of rollouts that are not there.
func (t *Tally) Missing() int { return t.Wanted - t.Reused - t.Made }

const (
	defaultConcurrency = 8
	commitRollouts     = 64
	commitAfter        = 20 * time.Second
)

type job struct {
	prompt *Prompt
	index  int
}

type made struct {
	job
	t   *trajectory.Trajectory
	err error
}

// Run makes rollouts of prompts and writes them into the dataset at out. Those
// that are there already, from an earlier run with the same policy, are not
// asked for again. What was made before an error stays.
func Run(ctx context.Context, c *Client, prompts []*Prompt, out string, o Options) (tally Tally, err error) {
	o.Rollouts, o.Concurrency = max(o.Rollouts, 1), cmp.Or(max(o.Concurrency, 0), defaultConcurrency)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	tally = Tally{Prompts: len(prompts), Wanted: len(prompts) * o.Rollouts, Ended: map[string]int{}, Refused: map[string]int{}}
	if err := claim(out, o.Policy); err != nil {
		return tally, err
	}
	have, err := rolloutsOf(out)
	if err != nil {
		return tally, err
	}
	var jobs []job
	for index := range o.Rollouts {
		for _, p := range prompts {
			if have[o.id(p.Key, index)] {
				tally.Reused++
				continue
			}
			jobs = append(jobs, job{p, index})
		}
	}
	o.Progress(Progress{Done: tally.Reused, Total: tally.Wanted})
	if len(jobs) == 0 {
		return tally, nil
	}
	w, err := dataset.NewWriter(out, writerName, dataset.Options{Clock: o.Now})
	if err != nil {
		return tally, err
	}
	g := gatherer{writer: w, o: o, tally: &tally, began: o.Now(), flushed: o.Now()}
	err = g.gather(ctx, c, jobs)
	return tally, errors.Join(err, w.Close())
}

// gatherer takes what the workers made.
type gatherer struct {
	writer         *dataset.Writer
	o              Options
	tally          *Tally
	began, flushed time.Time
	waiting        []*trajectory.Trajectory
}

func (g *gatherer) gather(ctx context.Context, c *Client, jobs []job) error {
	feeding, stop := context.WithCancel(ctx) // what is asked already is waited for
	defer stop()
	todo, results := make(chan job), make(chan made)
	var workers sync.WaitGroup
	for range min(g.o.Concurrency, len(jobs)) {
		workers.Go(func() {
			for j := range todo {
				t, err := roll(ctx, c, g.o.Policy, j.prompt, j.index, g.o.Now)
				results <- made{j, t, err}
			}
		})
	}
	go func() {
		defer close(todo)
		for _, j := range jobs {
			select {
			case todo <- j:
			case <-feeding.Done():
				return
			}
		}
	}()
	go func() { workers.Wait(); close(results) }()
	var failed error
	done := 0
	for m := range results {
		err := g.take(m)
		if err != nil && failed == nil {
			failed = err
			stop()
		}
		if failed == nil {
			done++
			left := time.Duration(float64(g.o.Now().Sub(g.began)) / float64(done) * float64(len(jobs)-done))
			g.o.Progress(Progress{Done: g.tally.Reused + done, Total: g.tally.Wanted, Left: left})
			if failed = g.flush(ctx, false); failed != nil {
				stop()
			}
		}
	}
	if failed == nil {
		failed = ctx.Err()
	}
	return errors.Join(failed, g.flush(context.WithoutCancel(ctx), true))
}

// take counts what a worker made. What the server refuses is about the one
// prompt, unless it refuses whoever asks, or does not know the model.
func (g *gatherer) take(m made) error {
	var refused *RefusedError
	var down *UnreachableError
	switch {
	case m.err == nil:
	case errors.As(m.err, &down):
		return fmt.Errorf("ask model %s: %w", g.o.Model, m.err)
	case errors.As(m.err, &refused) && aboutPrompt(refused):
		g.tally.Refused[refused.Message]++
		return nil
	case errors.As(m.err, &refused) && (refused.Status == 401 || refused.Status == 403):
		return fmt.Errorf("ask model %s: %w: is the server's key right?", g.o.Model, m.err)
	default:
		return fmt.Errorf("ask model %s: %w", g.o.Model, m.err)
	}
	if g.o.Rewards != nil {
		g.o.Rewards.Apply(m.t, g.o.Now().UnixMicro())
	}
	g.tally.Made++
	if whole, why := Finished(m.t); !whole {
		g.tally.Ended[string(why)]++
	}
	if m.t.OutputTokens != nil {
		g.tally.Tokens += *m.t.OutputTokens
	}
	g.waiting = append(g.waiting, m.t)
	return nil
}

func aboutPrompt(e *RefusedError) bool {
	return e.Status == 400 || e.Status == 413 || e.Status == 422
}

// flush commits what waits, if it is enough, or has waited for long, or now.
func (g *gatherer) flush(ctx context.Context, now bool) error {
	enough := len(g.waiting) >= commitRollouts || g.o.Now().Sub(g.flushed) >= commitAfter
	if len(g.waiting) == 0 || !(now || enough) {
		return nil
	}
	_, err := g.writer.Write(ctx, g.waiting, nil)
	g.waiting, g.flushed = nil, g.o.Now()
	return err
}
