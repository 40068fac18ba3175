package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/trainer"
	"github.com/tracegrad/tracegrad/trainer/prompt"
)

// printNight says what became of the trajectories, what was learned, what the
// gate said, and where the results are.
func printNight(out io.Writer, r *trainer.Result, dry bool) error {
	c := r.Counts
	fmt.Fprintf(out, "\n%s: learned from %d in %s, kept %d for the gate\n",
		plural(c.Live, "trajectory", "trajectories"), c.Trained, count(c.Groups, "group"), c.Holdout)
	if err := printLeftOut(out, c.LeftOut); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nguidance learned: %s\n", count(len(r.Items), "item"))
	for i := range r.Items {
		printItem(out, i+1, &r.Items[i])
	}
	printCarried(out, r)
	printVerdict(out, r.Verdict)
	if dry {
		_, err := fmt.Fprintln(out, "\ndry run: nothing was kept")
		return err
	}
	_, err := fmt.Fprintf(out, "\nbundle  %s (%s)\nreport  %s\n", r.Bundle.Dir, r.Bundle.Status, r.Report)
	if r.Bundle.Status != bundle.StatusReleased {
		_, err = fmt.Fprintln(out, "a candidate is applied only if you insist: tracegrad bundle promote --force, and allow_candidate: true for the gateway")
	}
	return err
}

func printLeftOut(out io.Writer, list []trainer.LeftOut) error {
	if len(list) == 0 {
		return nil
	}
	fmt.Fprintln(out, "left out:")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, l := range list {
		fmt.Fprintf(w, "  %d\t%s\t%s\n", l.Count, l.Reason, l.Words)
	}
	return w.Flush()
}

// printAdapterNight says what an adapter was trained on, how far it came, and
// where it is.
func printAdapterNight(out io.Writer, r *trainer.Result) error {
	c, a := r.Counts, r.Adapter
	fmt.Fprintf(out, "\n%s: trained on %d in %s, kept %d for the gate\n", plural(c.Live, "trajectory", "trajectories"), c.Trained, count(c.Groups, "group"), c.Holdout)
	if err := printLeftOut(out, c.LeftOut); err != nil {
		return err
	}
	if d := a.Dropped; d.Total() > 0 {
		fmt.Fprintf(out, "groups without a signal: %d of one trajectory, %d with equal returns, %d with returns beyond computing\n", d.Single, d.ZeroVariance, d.NotFinite)
	}
	if n := a.Sequences.EmptyGroups; n > 0 {
		fmt.Fprintf(out, "groups without a trainable row: %d\n", n)
	}
	if err := printReasons(out, "model calls not trained on:", a.Sequences.Tally.LeftOut); err != nil {
		return err
	}
	if g := a.Sequences.Agreement; g != nil && g.Differ > 0 {
		fmt.Fprintf(out, "the server that generates renders %d of %d chats to other token ids: %s\n", g.Differ, g.Compared, g.First)
	}
	if a.Update == nil {
		_, err := fmt.Fprintln(out, "\ndry run: nothing was trained, nothing was kept")
		return err
	}
	u, v := a.Update, a.Evaluated
	fmt.Fprintf(out, "\nupdate: %d of %s, %d tokens; the policy moved by %.3g nats per token\n", u.Steps, count(u.Of, "step"), u.Tokens, v.Train.Moved)
	if u.Stop != "" {
		fmt.Fprintf(out, "  stopped: %s\n", u.Stop)
	}
	printJudged(out, a.Judged)
	if o := v.Logged; o != nil {
		fmt.Fprintf(out, "  return of held-out attempts %.3f; %.3f by importance weights, resting on %.1f of %s\n", o.Mean, o.Estimate, o.Effective, count(o.Attempts, "attempt"))
	}
	_, err := fmt.Fprintf(out, "\nbundle  %s (%s)\nmetrics %s\nreport  %s\n", r.Bundle.Dir, r.Bundle.Status, a.Metrics, r.Report)
	return err
}

// printJudged says what the gate decided, and on what.
func printJudged(out io.Writer, j *trainer.Judged) {
	verdict := "not released"
	if j.Passed {
		verdict = "released"
	}
	fmt.Fprintf(out, "gate: %s: %s\n", verdict, j.Reason)
	for _, a := range []*trainer.Arm{j.Base, j.Candidate} {
		if a != nil {
			fmt.Fprintf(out, "  %s: %d of %s with a return\n", a.Model, a.Scored, count(a.Rollouts, "rollout"))
		}
	}
}

func printReasons(out io.Writer, title string, counts map[string]int) error {
	if len(counts) == 0 {
		return nil
	}
	fmt.Fprintln(out, title)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(w, "  %d\t%s\n", counts[reason], reason)
	}
	return w.Flush()
}

// dryResult has the fields of a result but those that say where it was kept.
type dryResult struct {
	*trainer.Result
	DryRun bool      `json:"dry_run"`
	Dir    string    `json:"dir,omitempty"`    // hides the result's
	Report string    `json:"report,omitempty"` // hides the result's
	Bundle dryBundle `json:"bundle"`
}

type dryBundle struct {
	trainer.PackedBundle
	Dir string `json:"dir,omitempty"` // hides the bundle's
}

func withoutPaths(r *trainer.Result) dryResult {
	return dryResult{Result: r, DryRun: true, Bundle: dryBundle{PackedBundle: r.Bundle}}
}

func printItem(out io.Writer, n int, it *prompt.Item) {
	where := ""
	if it.Scope.Task != "" {
		where += " on " + it.Scope.Task
	}
	if it.Scope.Agent != "" {
		where += " by " + it.Scope.Agent
	}
	e := it.Evidence
	fmt.Fprintf(out, "  %d. %s\n     advantage %+.2f (%+.2f to %+.2f)%s: %d runs that do, %d that do not, in %s; q %.2g\n",
		n, it.Text, e.Effect.Estimate, e.Effect.Low, e.Effect.High, where, e.With, e.Without, count(e.Groups, "group"), e.Q)
}

// printCarried says what became of the guidance of the starting policy.
func printCarried(out io.Writer, r *trainer.Result) {
	if len(r.Carried) > 0 {
		fmt.Fprintf(out, "\nkept from the starting policy: %s\n", count(len(r.Carried), "item"))
	}
	for _, it := range r.Carried {
		fmt.Fprintf(out, "  - %s\n    %s\n", it.Text, it.Note)
	}
	if len(r.Dropped) > 0 {
		fmt.Fprintf(out, "\nnot kept from the starting policy: %s\n", count(len(r.Dropped), "item"))
	}
	for _, it := range r.Dropped {
		fmt.Fprintf(out, "  - %s\n    %s\n", it.Text, it.Reason)
	}
}

func printVerdict(out io.Writer, v prompt.Verdict) {
	verdict := "refused"
	if v.Passed {
		verdict = "passed"
	}
	fmt.Fprintf(out, "\ngate: %s: %s\n", verdict, v.Reason)
	if v.Effect != nil {
		fmt.Fprintf(out, "  return %+.3f (%+.3f to %+.3f) for the %d held-out runs that follow the guidance, against %d that do not; %s in %s\n",
			v.Effect.Estimate, v.Effect.Low, v.Effect.High, v.With, v.Without, count(v.Support, "matched pair"), plural(v.Strata, "stratum", "strata"))
	}
}
