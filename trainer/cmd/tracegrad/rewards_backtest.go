package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tracegrad/tracegrad/rewards"
	"github.com/tracegrad/tracegrad/trainer/rescore"
)

type rewardsBacktestFlags struct {
	dataset, where, html string
	concurrency          int
	asJSON               bool
}

func newRewardsBacktest() *cobra.Command {
	var f rewardsBacktestFlags
	cmd := &cobra.Command{
		Use:   "backtest A B",
		Short: "Compare two rewards files over history",
		Long: `Backtest scores the trajectories of a dataset by two rewards files and says what
would change: how the returns spread, what becomes of each rule and how often it
is null, which groups of attempts at the same task could no longer be told apart
(zero variance: nothing is learned from them), which attempts would change
places, with examples, and how the returns agree with facts (Spearman's rank
correlation). Nothing is written but the report of --html.

A file that reads a fact agrees with it by its making: compare such numbers only
with facts that neither file reads.`,
		Example: `  tracegrad rewards backtest rewards.yaml new.yaml --dataset dataset
  tracegrad rewards backtest rewards.yaml new.yaml --html backtest.html
  tracegrad rewards backtest rewards.yaml new.yaml --json`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := f.run(cmd.Context(), cmd.ErrOrStderr(), args)
			if err != nil {
				return err
			}
			if f.html != "" {
				if err := writeBacktest(f.html, r, args, time.Now()); err != nil {
					return err
				}
			}
			if f.asJSON {
				return printJSON(cmd.OutOrStdout(), r)
			}
			return printBacktest(cmd.OutOrStdout(), r, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.dataset, "dataset", "dataset", "`directory` of the dataset; s3://, gs:// and az:// too")
	flags.StringVar(&f.where, "where", "", "only trajectories for which this `SQL` is true")
	flags.StringVar(&f.html, "html", "", "write a report with plots to this `file`")
	flags.IntVar(&f.concurrency, "concurrency", 0, "trajectories that are scored at a time; 0 = one per core")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON")
	return cmd
}

func (f *rewardsBacktestFlags) run(ctx context.Context, errOut io.Writer, files []string) (_ *rescore.Report, err error) {
	if f.concurrency < 0 {
		return nil, usageError{errors.New("--concurrency is negative")}
	}
	var engines []*rewards.Engine
	for _, file := range files {
		e, err := rewards.Load(file)
		if err != nil {
			return nil, err
		}
		engines = append(engines, e)
	}
	db, total, err := openScored(ctx, errOut, "rewards backtest", f.dataset, f.where, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if total == 0 {
		return nil, fmt.Errorf("dataset %s has no trajectories to compare on: see --dataset and --where", f.dataset)
	}
	step, done := stepping(errOut, total)
	defer done()
	c := rescore.NewComparison(engines[0], engines[1])
	opt := rescore.Options{Where: f.where, Workers: f.concurrency, Now: time.Now().UnixMicro()}
	if err := rescore.Each(ctx, db, engines, opt, func(s *rescore.Scored) error { c.Add(s); step(); return nil }); err != nil {
		return nil, err
	}
	return c.Report(), nil
}

func writeBacktest(path string, r *rescore.Report, files []string, now time.Time) error {
	var page bytes.Buffer
	err := rescore.WriteHTML(&page, r, [2]string{files[0], files[1]}, now)
	if err == nil {
		err = os.WriteFile(path, page.Bytes(), 0o600)
	}
	if err != nil {
		return fmt.Errorf("write report %s: %w", path, err)
	}
	return nil
}

func printBacktest(out io.Writer, r *rescore.Report, files []string) error {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\tA %s\tB %s\n", plural(r.Trajectories, "trajectory", "trajectories"), files[0], files[1])
	both := func(name string, of func(*rescore.Side) string) {
		fmt.Fprintf(w, "%s\t%s\t%s\n", name, of(&r.Files[0]), of(&r.Files[1]))
	}
	summary := func(of func(*rescore.Summary) string) func(*rescore.Side) string {
		return func(s *rescore.Side) string {
			if s.Returns == nil {
				return "-"
			}
			return of(s.Returns)
		}
	}
	both("with a return", summary(func(s *rescore.Summary) string { return share(s.Count, r.Trajectories) }))
	both("masked by a null", func(s *rescore.Side) string { return share(s.Masked, r.Trajectories) })
	both("no value at all", func(s *rescore.Side) string { return share(s.None, r.Trajectories) })
	both("mean ± deviation", summary(func(s *rescore.Summary) string { return fmt.Sprintf("%.4g ± %.4g", s.Mean, s.Std) }))
	both("min, median, max", summary(func(s *rescore.Summary) string { return fmt.Sprintf("%.4g, %.4g, %.4g", s.Low, s.Median, s.High) }))
	both("groups of two and more", func(s *rescore.Side) string { return plural(s.Groups, "group", "groups") })
	both("of them all the same", func(s *rescore.Side) string { return share(s.GroupsFlat, s.Groups) })
	_ = w.Flush() // to memory, as all below
	printHistogram(&b, &r.Histogram)
	printRules(&b, r)
	printFlips(&b, &r.Groups)
	printFacts(&b, r)
	_, err := io.WriteString(out, b.String())
	return err
}

// share is n, and how much of all that is.
func share(n, all int) string {
	if all == 0 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d (%.1f %%)", n, 100*float64(n)/float64(all))
}

// barWidth is the room of the longest bar.
const barWidth = 30

func printHistogram(b *strings.Builder, h *rescore.Histogram) {
	highest := 0
	for _, counts := range h.Counts {
		for _, n := range counts {
			highest = max(highest, n)
		}
	}
	if highest == 0 {
		return
	}
	b.WriteString("\nreturns\n")
	bins := len(h.Counts[0])
	width := h.High/float64(bins) - h.Low/float64(bins)
	for i := range bins {
		from := h.Low + float64(i)*width
		b.WriteString(strings.TrimRight(fmt.Sprintf("%10.4g  %s  %s", from, bar(h.Counts[0][i], highest), bar(h.Counts[1][i], highest)), " ") + "\n")
		if width == 0 {
			return // one value: one bin
		}
	}
	fmt.Fprintf(b, "%10.4g\n", h.High)
}

// bar is padded to one width. What is there at all has at least an eighth of a block.
func bar(n, highest int) string {
	eighths := n * barWidth * 8 / highest
	if n > 0 && eighths == 0 {
		eighths = 1
	}
	text := strings.Repeat("█", eighths/8)
	length := eighths / 8
	if rest := eighths % 8; rest > 0 {
		text += string([]rune(" ▏▎▍▌▋▊▉")[rest])
		length++
	}
	label := ""
	if n > 0 {
		label = fmt.Sprint(" ", n)
	}
	return text + label + strings.Repeat(" ", max(0, barWidth+9-length-len(label)))
}

func printRules(b *strings.Builder, r *rescore.Report) {
	b.WriteString("\n")
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "rule\tchange\tmean A\tmean B\tnull A\tnull B\tdifferent in")
	for _, x := range r.Rules {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", x.Name, x.Change, short(x.Mean[0]), short(x.Mean[1]), share(x.Nulls[0], r.Trajectories), share(x.Nulls[1], r.Trajectories), share(x.Differ, r.Trajectories))
	}
	_ = w.Flush()
}

func printFlips(b *strings.Builder, g *rescore.Groups) {
	all := g.Alike + g.Flipped + g.Tied
	if all == 0 {
		b.WriteString("\nno two attempts at the same task have a return under both\n")
		return
	}
	fmt.Fprintf(b, "\nof %s at the same task: %s in the same order, %s flipped, %s equal under one or both\n",
		plural(all, "pair of attempts", "pairs of attempts"), share(g.Alike, all), share(g.Flipped, all), share(g.Tied, all))
	if g.Lost+g.Gained > 0 {
		fmt.Fprintf(b, "%s can be told apart under A only, %d under B only\n", count(g.Lost, "group"), g.Gained)
	}
	for _, f := range g.Flips {
		fmt.Fprintf(b, "  task %s: %s rises from %.4g to %.4g, over %s: from %.4g to %.4g\n", f.Task, f.Risen, f.Rise[0], f.Rise[1], f.Fallen, f.Fall[0], f.Fall[1])
	}
}

func printFacts(b *strings.Builder, r *rescore.Report) {
	if len(r.Facts) == 0 {
		b.WriteString("\nno facts with values: nothing says which of the two is nearer to the truth\n")
		return
	}
	b.WriteString("\n")
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "rank correlation with\ttrajectories\tA\tB")
	for _, x := range r.Facts {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", x.Name, x.Count, correlation(x.Rank[0]), correlation(x.Rank[1]))
	}
	_ = w.Flush()
	for side, s := range r.Files {
		if s.Feedback {
			fmt.Fprintf(b, "%s reads facts: it agrees with those by its making\n", []string{"A", "B"}[side])
		}
	}
}

func correlation(r *float64) string {
	if r == nil {
		return "-"
	}
	return fmt.Sprintf("%+.3f", *r)
}
