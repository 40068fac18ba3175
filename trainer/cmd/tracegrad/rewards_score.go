package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/tracegrad/tracegrad/internal/bucket"
	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/rewards"
	"github.com/tracegrad/tracegrad/trainer/query"
	"github.com/tracegrad/tracegrad/trainer/rescore"
)

type rewardsScoreFlags struct {
	dataset, where string
	concurrency    int
	dryRun, asJSON bool
}

func newRewardsScore() *cobra.Command {
	var f rewardsScoreFlags
	cmd := &cobra.Command{
		Use:   "score FILE",
		Short: "Compute the rewards of history anew and append what is new",
		Long: `Score evaluates reward rules over the trajectories of a dataset, with the facts
that have come by now, and appends the rewards that the dataset does not say yet
under the same rule: those of new rules, those that late facts changed. Nothing
is overwritten; the views rewards and returns show the newest value.

It may run beside collectors and readers. What is written stays: the same
command goes on where an interrupted one stopped. Nulls are written with their
reason, and counted.`,
		Example: `  tracegrad rewards score rewards.yaml --dataset dataset --dry-run
  tracegrad rewards score rewards.yaml --dataset dataset
  tracegrad rewards score rewards.yaml --where "started_at > now() - INTERVAL 7 DAY" --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := f.run(cmd.Context(), cmd.ErrOrStderr(), args[0])
			if err != nil {
				return err
			}
			if f.asJSON {
				return printJSON(cmd.OutOrStdout(), out)
			}
			return out.print(cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.dataset, "dataset", "dataset", "`directory` of the dataset; s3://, gs:// and az:// too")
	flags.StringVar(&f.where, "where", "", "only trajectories for which this `SQL` is true")
	flags.IntVar(&f.concurrency, "concurrency", 0, "trajectories that are scored at a time; 0 = one per core")
	flags.BoolVar(&f.dryRun, "dry-run", false, "say what would be appended, and append nothing")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON")
	return cmd
}

// scoredHistory is what a score did.
type scoredHistory struct {
	Rewards      string           `json:"rewards"` // hash of the file
	DryRun       bool             `json:"dry_run"`
	Trajectories int              `json:"trajectories"`
	Facts        int              `json:"facts"`
	Computed     int              `json:"computed"`
	Changed      int              `json:"changed"` // new ones too
	Written      int              `json:"written"`
	Masked       int              `json:"masked"` // trajectories that a null keeps out of training
	Rules        []*rescore.Tally `json:"rules"`
}

func (f *rewardsScoreFlags) run(ctx context.Context, errOut io.Writer, file string) (_ *scoredHistory, err error) {
	if f.concurrency < 0 {
		return nil, usageError{errors.New("--concurrency is negative")}
	}
	engine, err := rewards.Load(file)
	if err != nil {
		return nil, err
	}
	db, total, err := openScored(ctx, errOut, "rewards score", f.dataset, f.where, engine.Rules())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	stored, err := db.Rewards(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now().UnixMicro()
	out := &scoredHistory{Rewards: engine.Hash(), DryRun: f.dryRun}
	tallies := rescore.NewTallies(engine.Rules())
	back := rescore.Appender{Dataset: f.dataset, Writer: scoreWriter(f.dataset)}
	step, done := stepping(errOut, total)
	defer done()
	err = rescore.Each(ctx, db, []*rewards.Engine{engine}, rescore.Options{Where: f.where, Workers: f.concurrency, Now: now}, func(s *rescore.Scored) error {
		defer step()
		list := s.Rewards[0]
		out.add(engine, s, list)
		tallies.Add(list)
		rows := rescore.Changed(s.Trajectory, stored[s.ID], list, now)
		if out.Changed += len(rows); f.dryRun {
			return nil
		}
		return back.Add(ctx, rows)
	})
	if err == nil {
		err = back.Flush(ctx)
	}
	out.Written, out.Rules = back.Written, tallies.List
	if err != nil && back.Written > 0 {
		err = fmt.Errorf("%w (%s written; the same command goes on)", err, count(back.Written, "reward"))
	}
	return out, err
}

func (o *scoredHistory) add(engine *rewards.Engine, s *rescore.Scored, list []trajectory.Reward) {
	o.Trajectories++
	o.Facts += len(s.Known)
	o.Computed += len(list)
	if _, masked := engine.Return(list); masked {
		o.Masked++
	}
}

func (o *scoredHistory) print(w io.Writer) error {
	var b strings.Builder
	if err := printTallies(&b, o.Rules); err != nil {
		return err
	}
	fmt.Fprintf(&b, "scored %s with %s by %s, hash %s\n", plural(o.Trajectories, "trajectory", "trajectories"), count(o.Facts, "fact"), count(len(o.Rules), "rule"), o.Rewards[:12])
	if o.Masked > 0 {
		fmt.Fprintf(&b, "%d of them cannot be trained on: a rule with missing: mask is null\n", o.Masked)
	}
	switch {
	case o.Changed == 0:
		b.WriteString("the dataset says all of it already\n")
	case o.DryRun:
		fmt.Fprintf(&b, "would append %s of %d\n", count(o.Changed, "reward"), o.Computed)
	default:
		fmt.Fprintf(&b, "appended %s of %d\n", count(o.Written, "reward"), o.Computed)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func printTallies(out io.Writer, rules []*rescore.Tally) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "rule\tlevel\tvalues\tmean\tmin\tmax\tnulls\twhy null")
	for _, t := range rules {
		var why []string
		for _, reason := range slices.Sorted(maps.Keys(t.Why)) {
			why = append(why, fmt.Sprintf("%s %d", reason, t.Why[reason]))
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%d\t%s\n", t.Name, t.Level, t.Values, short(t.Mean), short(t.Low), short(t.High), t.Nulls, strings.Join(why, ", "))
	}
	return w.Flush()
}

// short is a number for a table; - where there is none.
func short(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.4g", *v)
}

// openScored opens a dataset to score it, and counts what there is to score.
func openScored(ctx context.Context, errOut io.Writer, command, dataset, where string, rules []rewards.Rule) (*query.DB, int, error) {
	db, err := query.Open(ctx, dataset, query.Options{Rules: rules, Fetched: fetched(errOut), LeaveOut: leftOut(errOut, command)})
	if err != nil {
		return nil, 0, namingDataset(err, "name the one that the Collector writes with --dataset DIRECTORY")
	}
	n, err := rescore.Count(ctx, db, where)
	if err != nil {
		return nil, 0, errors.Join(err, db.Close())
	}
	return db, n, nil
}

// stepping shows on a terminal how many of total are done.
func stepping(out io.Writer, total int) (step, done func()) {
	if !isTerminal(out) || total == 0 {
		return func() {}, func() {}
	}
	bar := progressbar.NewOptions(total, progressbar.OptionSetWriter(out), progressbar.OptionSetItsString("trajectories"), progressbar.OptionShowIts(), progressbar.OptionShowCount(),
		progressbar.OptionSetWidth(30), progressbar.OptionThrottle(50*time.Millisecond), progressbar.OptionClearOnFinish())
	return func() { _ = bar.Add(1) }, func() { _ = bar.Exit() }
}

// scoreWriter is the name under which scores of a dataset are written from this
// machine. It is one per dataset, so that what a killed one left is cleaned up.
func scoreWriter(dataset string) string {
	host, _ := os.Hostname() // "" will do: it only tells machines apart
	path := dataset
	if abs, err := filepath.Abs(path); err == nil && !bucket.IsURL(path) {
		path = abs
	}
	sum := sha256.Sum256([]byte(host + "\x00" + path))
	return fmt.Sprintf("tracegrad-score-%x", sum[:6])
}
