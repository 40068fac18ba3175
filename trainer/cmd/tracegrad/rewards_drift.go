package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tracegrad/tracegrad/rewards"
	"github.com/tracegrad/tracegrad/trainer/rescore"
)

type rewardsDriftFlags struct {
	dataset, where   string
	recent, baseline string
	concurrency      int
	fail, asJSON     bool
}

func newRewardsDrift() *cobra.Command {
	var f rewardsDriftFlags
	cmd := &cobra.Command{
		Use:   "drift FILE",
		Short: "Warn where rewards rise and what they stand for does not",
		Long: `Drift scores the trajectories of the last days and of the days before by one
rewards file, and compares: the return and every rule, facts such as feedback,
the length of answers, model calls and tool use. It warns of signs that a reward
is earned otherwise than meant: the return rises while feedback falls or stays,
while answers grow or shrink or tools are used differently, while it agrees less
with feedback, or while more trajectories are masked by a null.

A change counts if it is beyond three standard errors and a tenth of a standard
deviation, of 30 values and more in each window. Windows are compared within
tasks if the tasks that both hold make up half of either, so that another mix of
tasks is no change. They end with the newest trajectory, not with today.`,
		Example: `  tracegrad rewards drift rewards.yaml --dataset dataset
  tracegrad rewards drift rewards.yaml --recent 2d --baseline 14d
  tracegrad rewards drift rewards.yaml --fail --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := f.run(cmd.Context(), cmd.ErrOrStderr(), args[0])
			if err != nil {
				return err
			}
			if f.asJSON {
				err = printJSON(cmd.OutOrStdout(), r)
			} else {
				err = printDrift(cmd.OutOrStdout(), r)
			}
			if err == nil && f.fail && len(r.Warnings) > 0 {
				err = errors.New(count(len(r.Warnings), "warning"))
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.dataset, "dataset", "dataset", "`directory` of the dataset; s3://, gs:// and az:// too")
	flags.StringVar(&f.where, "where", "", "only trajectories for which this `SQL` is true")
	flags.StringVar(&f.recent, "recent", "7d", "how much `time` at the end is looked at")
	flags.StringVar(&f.baseline, "baseline", "28d", "how much `time` before is compared with")
	flags.IntVar(&f.concurrency, "concurrency", 0, "trajectories that are scored at a time; 0 = one per core")
	flags.BoolVar(&f.fail, "fail", false, "exit with 1 if there are warnings")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON")
	return cmd
}

func (f *rewardsDriftFlags) run(ctx context.Context, errOut io.Writer, file string) (_ *rescore.Drifted, err error) {
	if f.concurrency < 0 {
		return nil, usageError{errors.New("--concurrency is negative")}
	}
	var d rescore.Drift
	for flag, at := range map[string]struct {
		text string
		to   *time.Duration
	}{"--recent": {f.recent, &d.Recent}, "--baseline": {f.baseline, &d.Baseline}} {
		if *at.to, err = windowOf(at.text); err != nil {
			return nil, usageError{fmt.Errorf("%s %s: %w", flag, at.text, err)}
		}
	}
	if d.Engine, err = rewards.Load(file); err != nil {
		return nil, err
	}
	db, total, err := openScored(ctx, errOut, "rewards drift", f.dataset, f.where, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	step, done := stepping(errOut, total)
	defer done()
	opt := rescore.Options{Where: f.where, Workers: f.concurrency, Now: time.Now().UnixMicro()}
	if err := rescore.Each(ctx, db, []*rewards.Engine{d.Engine}, opt, func(s *rescore.Scored) error { d.Add(s); step(); return nil }); err != nil {
		return nil, err
	}
	r := d.Report()
	if r.Trajectories[0] == 0 || r.Trajectories[1] == 0 {
		return nil, fmt.Errorf("dataset %s has %d trajectories of the last %s and %d of the %s before: nothing to compare; see --recent and --baseline", f.dataset, r.Trajectories[1], f.recent, r.Trajectories[0], f.baseline)
	}
	return r, nil
}

// windowOf reads 7d, or a duration of Go's such as 36h.
func windowOf(text string) (time.Duration, error) {
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return d, nil
	}
	if d, err := daysOf(text); err == nil && d > 0 {
		return d, nil
	}
	return 0, errors.New("use a number of days such as 7d, or hours such as 36h")
}

func printDrift(out io.Writer, r *rescore.Drifted) error {
	var b strings.Builder
	day := func(t time.Time) string { return t.Format("2006-01-02 15:04") }
	fmt.Fprintf(&b, "before: %s from %s\nlately: %s from %s to %s\n", plural(r.Trajectories[0], "trajectory", "trajectories"), day(r.Since),
		plural(r.Trajectories[1], "trajectory", "trajectories"), day(r.Parted), day(r.Until))
	if r.Tasks > 0 {
		fmt.Fprintf(&b, "compared within %s that both hold\n\n", count(r.Tasks, "task"))
	} else {
		b.WriteString("compared as a whole: too few tasks are in both\n\n")
	}
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "measure\tcourse\tbefore\tlately\tchange\tin deviations\t")
	for _, m := range r.Measures {
		means := [2]string{"-", "-"}
		for i := range means {
			if m.Count[i] > 0 {
				means[i] = fmt.Sprintf("%.4g", m.Mean[i])
			}
		}
		moved := map[int]string{1: "up", -1: "down"}[m.Moved]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.Measure, spark(m.Course), means[0], means[1], short(m.Change), short(m.Effect), moved)
	}
	_ = w.Flush() // to memory
	b.WriteString("\n")
	for _, text := range r.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", text)
	}
	if len(r.Warnings) == 0 {
		b.WriteString("no sign of a reward that is earned otherwise than meant\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// spark draws a course of means from the lowest to the highest; a dot where
// there is none.
func spark(course []*float64) string {
	levels := []rune("▁▂▃▄▅▆▇█")
	var low, high *float64
	for _, v := range course {
		if v == nil {
			continue
		}
		if low == nil || *v < *low {
			low = v
		}
		if high == nil || *v > *high {
			high = v
		}
	}
	var b strings.Builder
	for _, v := range course {
		if v == nil {
			b.WriteRune('·')
			continue
		}
		at := 0
		if x := (*v - *low) / (*high - *low); x > 0 {
			at = min(int(x*float64(len(levels))), len(levels)-1)
		}
		b.WriteRune(levels[at])
	}
	return b.String()
}
