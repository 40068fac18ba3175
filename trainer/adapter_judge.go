package trainer

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tracegrad/tracegrad/trainer/paired"
	"github.com/tracegrad/tracegrad/trainer/query"
	"github.com/tracegrad/tracegrad/trainer/reroll"
)

// Judged is gate.json of an adapter night: base and candidate on the same
// held-out prompts. The base is the policy that the night started from.
type Judged struct {
	Passed    bool           `json:"passed"`
	Reason    string         `json:"reason"`
	Server    string         `json:"server,omitempty"` // that both were served by; "" = nobody was asked
	Prompts   int            `json:"prompts"`          // held-out prompts that were asked
	Rollouts  int            `json:"rollouts"`         // of each, by each policy
	LeftOut   map[string]int `json:"left_out"`         // held-out trajectories without a prompt, by reason
	Base      *Arm           `json:"base"`             // null: nobody was asked
	Candidate *Arm           `json:"candidate"`        //
	Compared  *paired.Result `json:"compared"`         // null: no prompt has a return under both
}

// Arm is what a policy made of the prompts.
type Arm struct {
	Model    string         `json:"model"`    // as it was served
	Rollouts int            `json:"rollouts"` // that are there
	Scored   int            `json:"scored"`   // that have a return
	Unscored map[string]int `json:"unscored"` // the others, by reason
	Refused  map[string]int `json:"refused"`  // that the server refused, by its words
	Dataset  string         `json:"dataset"`  // of the rollouts, in the run's directory
}

type judged = artifact[Judged, none]

// reportOnly is why an adapter is not released without a server.
const reportOnly = "report only: adapters are released by paired re-rolls of held-out prompts, and gate.server names no server to make them; name one, or try the candidate on part of the traffic before you promote it"

// PendingError is a gate that could not be held: the adapter is trained, and the
// same command goes on with the gate.
type PendingError struct {
	Run   string
	cause error
}

func (e *PendingError) Error() string {
	return fmt.Sprintf("gate pending: %v: the adapter is trained; start the server that gate.server names, and the same command goes on with run %s", e.cause, e.Run)
}

func (e *PendingError) Unwrap() error { return e.cause }

// pending marks trouble with the server: whatever it is, the night's work must
// not be lost for it.
func pending(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	return &PendingError{cause: err}
}

// judgeStage holds the gate.
func (n *adapterNight) judgeStage(ctx context.Context, s selected, e exported, v evaluated) (judged, error) {
	g := n.Config.Gate
	inputs := []any{g, n.Config.Seed, n.digestOf("select"), n.digestOf("score"), n.baseID()}
	return stage(n.run, "gate", inputs, func() (judged, error) {
		if g.Server == "" {
			return judged{Head: Judged{Reason: also(reportOnly, v.Head.Warning), LeftOut: map[string]int{}}}, nil
		}
		prompts, left, err := n.heldOutPrompts(ctx, s)
		if err != nil {
			return judged{}, err
		}
		j := Judged{Server: g.Server, Prompts: len(prompts), Rollouts: g.Rollouts, LeftOut: left}
		if len(prompts) > 0 {
			if err := n.compare(ctx, &j, prompts, e.Head.Folder); err != nil {
				return judged{}, err
			}
		}
		j.Passed, j.Reason = j.decide(g)
		j.Reason = also(j.Reason, v.Head.Warning)
		return judged{Head: j}, nil
	})
}

func also(reason, warning string) string {
	if warning == "" {
		return reason
	}
	return reason + "; " + warning
}

func (n *adapterNight) baseID() string {
	if n.base == nil {
		return ""
	}
	return n.base.ID()
}

// heldOutPrompts are the prompts of the holdout, as many as gate.prompts allows:
// the first by their keys, which are hashes.
func (n *adapterNight) heldOutPrompts(ctx context.Context, s selected) ([]*reroll.Prompt, map[string]int, error) {
	var ids []string
	for _, row := range s.Rows {
		if row.Split == Holdout {
			ids = append(ids, row.ID)
		}
	}
	l := &Logged{}
	left, err := l.read(ctx, n.db, ids, n.Config.Gate.TaskFacts)
	if most := n.Config.Gate.Prompts; most > 0 && len(l.Prompts) > most {
		l.Prompts = l.Prompts[:most]
	}
	return l.Prompts, left, err
}

// compare asks both policies, and scores what they say.
func (n *adapterNight) compare(ctx context.Context, j *Judged, prompts []*reroll.Prompt, folder string) error {
	server, err := n.gateServer(ctx, folder)
	if err != nil {
		return pending(ctx, err)
	}
	defer server.unload()
	asked := &progressOfTwo{n: n}
	var returns [2]map[string][]float64
	for i, arm := range []struct {
		into  **Arm
		name  string
		model string
	}{{&j.Base, "base", server.base}, {&j.Candidate, "candidate", server.candidate}} {
		policy := reroll.Policy{Model: arm.model, Seed: n.Config.Seed, NoSeed: !n.Config.Gate.Seeds, Sampling: n.Config.Gate.sampling()}
		a := &Arm{Model: arm.model, Dataset: filepath.Join("rollouts", arm.name+"-"+digestOf(policy)[:8])}
		out := filepath.Join(n.dir, a.Dataset)
		asked.before = i
		tally, err := reroll.Run(ctx, server.client, prompts, out, reroll.Options{
			Policy: policy, Rollouts: j.Rollouts, Concurrency: n.Config.Gate.Concurrency, Progress: asked.step,
		})
		if err != nil {
			return pending(ctx, err)
		}
		a.Refused = tally.Refused
		if returns[i], err = n.returnsOf(ctx, out, prompts, a); err != nil {
			return err
		}
		*arm.into = a
	}
	j.pair(returns[0], returns[1], n.Config.Gate.Confidence, n.Config.Seed)
	return nil
}

// progressOfTwo tells of both policies as of one.
type progressOfTwo struct {
	n      *adapterNight
	before int
}

func (p *progressOfTwo) step(now reroll.Progress) {
	left := now.Left
	if todo := now.Total - now.Done; p.before == 0 && todo > 0 { // the candidate takes about as long
		left = time.Duration(float64(left) * float64(todo+now.Total) / float64(todo))
	}
	p.n.progress(Event{Stage: "gate", State: Working, Done: p.before*now.Total + now.Done, Total: 2 * now.Total, Left: left})
}

// returnsOf scores the rollouts of a dataset, by prompt.
func (n *adapterNight) returnsOf(ctx context.Context, dir string, prompts []*reroll.Prompt, a *Arm) (map[string][]float64, error) {
	a.Unscored = map[string]int{}
	out := map[string][]float64{}
	for _, p := range prompts {
		out[p.Key] = nil
	}
	if _, err := os.Stat(filepath.Join(dir, "v1")); err != nil {
		return out, nil // the server refused all
	}
	db, err := query.Open(ctx, dir, query.Options{Rules: n.engine.Rules()})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	facts, err := db.Facts(ctx)
	if err != nil {
		return nil, err
	}
	for t, err := range db.Trajectories(ctx, "") {
		if err != nil {
			return nil, err
		}
		key := reroll.PromptKeyOf(t)
		if _, wanted := out[key]; !wanted {
			continue
		}
		a.Rollouts++
		if whole, why := reroll.Finished(t); !whole {
			a.Unscored[string(why)]++
			continue
		}
		value, why := n.valueOf(n.engine.Score(t, facts[t.ID], n.clock().UnixMicro()))
		if value == nil {
			a.Unscored[why]++
			continue
		}
		a.Scored++
		out[key] = append(out[key], *value)
	}
	return out, nil
}

// pair compares the prompts on which both policies have a return.
func (j *Judged) pair(base, candidate map[string][]float64, confidence float64, seed uint64) {
	var pairs []paired.Pair
	for _, key := range slices.Sorted(maps.Keys(base)) {
		if b, c := base[key], candidate[key]; len(b) > 0 && len(c) > 0 {
			pairs = append(pairs, paired.Pair{Base: average(b), Candidate: average(c)})
		}
	}
	if len(pairs) > 0 {
		r := paired.Compare(pairs, confidence, seed)
		j.Compared = &r
	}
}

func average(values []float64) float64 {
	var sum float64
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// mostUnscored is the share of a policy's rollouts that may be without a return:
// what is left of fewer says too little of what the policy does.
const mostUnscored = 0.5

// decide is the rule of release.
func (j *Judged) decide(g GateConfig) (passed bool, reason string) {
	support := 0
	if j.Compared != nil {
		support = j.Compared.Support
	}
	if least := max(g.MinSupport, 2); support < least {
		return false, fmt.Sprintf("support %d < %d held-out prompts with a return under both policies%s", support, least, j.why())
	}
	for _, a := range []*Arm{j.Base, j.Candidate} {
		if all := a.Rollouts; float64(all-a.Scored) > mostUnscored*float64(all) {
			return false, fmt.Sprintf("%d of %d rollouts of %s have no return, so re-rolls cannot tell%s", all-a.Scored, all, a.Model, j.why())
		}
	}
	r := j.Compared
	difference := fmt.Sprintf("%s (%s to %s) on %d held-out prompts, mean return %s against %s",
		signed(r.Difference), signed(r.Low), signed(r.High), r.Support, number(r.Candidate), number(r.Base))
	switch {
	case r.Low > g.Threshold:
		return true, "better by " + difference
	case r.High < 0:
		return false, "worse: " + difference
	}
	return false, fmt.Sprintf("interval is not above %s: %s", number(g.Threshold), difference)
}

// why says what prompts and rollouts are missing for, and what helps.
func (j *Judged) why() string {
	var parts []string
	add := func(what string, counts map[string]int) {
		for _, reason := range slices.Sorted(maps.Keys(counts)) {
			parts = append(parts, fmt.Sprintf("%d %s: %s", counts[reason], what, reason))
		}
	}
	add("held-out trajectories without a prompt", j.LeftOut)
	waits := false
	for _, a := range []*Arm{j.Base, j.Candidate} {
		if a == nil {
			continue
		}
		add("rollouts of "+a.Model+" without a return", a.Unscored)
		add("rollouts of "+a.Model+" refused", a.Refused)
		for reason := range a.Unscored {
			waits = waits || strings.HasPrefix(reason, "reward_missing")
		}
	}
	if waits {
		parts = append(parts, "a rollout has no feedback: let a rule read its answer, or name facts about the task in gate.task_facts")
	}
	if len(parts) == 0 {
		parts = []string{"raise gate.holdout, or wait for more prompts"}
	}
	return ": " + strings.Join(parts, "; ")
}
