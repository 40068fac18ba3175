package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/tracegrad/tracegrad/internal/bucket"
	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/trainer"
)

type compactFlags struct {
	dataset, runs  string
	grace          time.Duration
	retain         string
	dryRun, asJSON bool
}

func newCompact() *cobra.Command {
	var f compactFlags
	cmd := &cobra.Command{
		Use:   "compact",
		Short: "Merge a dataset's small files; remove old days",
		Long: `Compact merges the small files of days that are over (UTC), per day and writer,
into files of up to 128 MiB. Collectors may go on writing and readers may go on
reading meanwhile: no query sees a difference. What was merged stays for --grace,
for queries and nights that have begun, and is removed by the first compact after
that. Files that cannot be read, that a newer version wrote, or that are not of
the dataset are left as they are and named.

With --retain, days that ended longer ago are removed, with their facts and
rewards, and with --runs the runs of tracegrad train that are as old. Bundles stay: what
they serve is for you to move (tracegrad bundle promote). Run it from cron.`,
		Example: `  tracegrad compact --dataset dataset
  tracegrad compact --dataset s3://traces/dataset
  tracegrad compact --dataset dataset --retain 90d --runs runs
  tracegrad compact --dataset dataset --retain 90d --dry-run --json`,
		Args: cobra.NoArgs,
		RunE: f.run,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.dataset, "dataset", "dataset", "`directory` or URL (s3://, gs://, az://) of the dataset")
	flags.DurationVar(&f.grace, "grace", 24*time.Hour, "how long replaced files stay for those who read them; 0 removes them at once")
	flags.StringVar(&f.retain, "retain", "", "remove days that ended longer ago than this `time`, such as 90d; empty keeps all")
	flags.StringVar(&f.runs, "runs", "", "with --retain: remove runs in this `directory` that began longer ago")
	flags.BoolVar(&f.dryRun, "dry-run", false, "say what would be done, and do nothing")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON")
	return cmd
}

func (f *compactFlags) run(cmd *cobra.Command, _ []string) (err error) {
	if err := bucket.Check(f.dataset); err != nil {
		return usageError{fmt.Errorf("--dataset %w", err)}
	}
	retain, err := daysOf(f.retain)
	if err != nil {
		return usageError{fmt.Errorf("--retain %s: %w", f.retain, err)}
	}
	switch {
	case f.grace < 0:
		return usageError{errors.New("--grace is negative: use a duration such as 24h, or 0")}
	case f.runs != "" && retain == 0:
		return usageError{errors.New("--runs needs --retain: how old a run may become")}
	}
	root, u, closed, err := bucket.Upkeep(cmd.Context(), f.dataset, dataset.Upkeep{Grace: f.grace, DryRun: f.dryRun})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closed()) }()
	var out compacted
	if retain > 0 { // first: what goes need not be merged
		if out.Retained, err = dataset.Retain(cmd.Context(), root, retain, u); err != nil {
			return err
		}
		if f.runs != "" {
			if out.Runs, err = trainer.RemoveRuns(f.runs, time.Now().Add(-retain), f.dryRun); err != nil {
				return err
			}
		}
	}
	if out.Upkept, err = dataset.Compact(cmd.Context(), root, u); err != nil {
		return err
	}
	if f.asJSON {
		return printJSON(cmd.OutOrStdout(), out.json(f))
	}
	return out.print(cmd.OutOrStdout(), f)
}

// daysOf reads 90d, or a duration of Go's; "" is 0.
func daysOf(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		d = time.Duration(n) * 24 * time.Hour
		if n > 36500 {
			err = errors.New("too long")
		}
	}
	if err != nil || d < 24*time.Hour {
		return 0, errors.New("use a number of days such as 90d, at least 1d")
	}
	return d, nil
}

// compacted is what a compact did.
type compacted struct {
	dataset.Upkept
	Retained dataset.Retained
	Runs     []string
}

func (c *compacted) json(f *compactFlags) any {
	type left struct {
		Path   string `json:"path"`
		Reason string `json:"reason"`
	}
	out := struct {
		Dataset     string   `json:"dataset"`
		DryRun      bool     `json:"dry_run,omitempty"`
		Sets        int      `json:"merged_sets"`
		Old         int      `json:"merged_files"`
		Made        int      `json:"made_files"`
		MadeBytes   int64    `json:"made_bytes"`
		Dropped     int64    `json:"superseded_rows"`
		Removed     int      `json:"removed_files"`
		RemovedSize int64    `json:"removed_bytes"`
		Waiting     int      `json:"waiting_files"`
		Days        []string `json:"retained_out_days"`
		Runs        []string `json:"removed_runs"`
		Left        []left   `json:"left"`
	}{
		f.dataset, f.dryRun, c.Merged, c.Old, len(c.Made), sizeOf(c.Made), c.Dropped,
		len(c.Removed), sizeOf(c.Removed), c.Waiting, append([]string{}, c.Retained.Days...), append([]string{}, c.Runs...), []left{},
	}
	for _, l := range c.Left {
		out.Left = append(out.Left, left(l))
	}
	return out
}

func (c *compacted) print(w io.Writer, f *compactFlags) error {
	did := func(done, would string) string {
		if f.dryRun {
			return "would " + would
		}
		return done
	}
	var b strings.Builder
	if n := len(c.Retained.Days); n > 0 {
		fmt.Fprintf(&b, "%s %s and before: %s, %d files, %s\n", did("removed", "remove"), c.Retained.Days[n-1], count(n, "day"), c.Retained.Files, humanize.IBytes(uint64(c.Retained.Bytes)))
	}
	if n := len(c.Runs); n > 0 {
		fmt.Fprintf(&b, "%s %s of %s\n", did("removed", "remove"), count(n, "run"), f.runs)
	}
	switch {
	case f.dryRun && c.Old > 0:
		fmt.Fprintf(&b, "would merge %s (%s)\n", count(c.Old, "file"), count(c.Merged, "set"))
	case c.Old > 0:
		fmt.Fprintf(&b, "merged %s into %d (%s)", count(c.Old, "file"), len(c.Made), humanize.IBytes(uint64(sizeOf(c.Made))))
		if c.Dropped > 0 {
			fmt.Fprintf(&b, "; %s that later ones had replaced are left out", count(int(c.Dropped), "row"))
		}
		b.WriteByte('\n')
	default:
		b.WriteString("nothing to merge\n")
	}
	if n := len(c.Removed); n > 0 {
		fmt.Fprintf(&b, "removed %s that had been merged, %s\n", count(n, "file"), humanize.IBytes(uint64(sizeOf(c.Removed))))
	}
	if c.Waiting > 0 && !f.dryRun {
		fmt.Fprintf(&b, "%s that were merged stay until a compact after %s\n", count(c.Waiting, "file"), f.grace)
	}
	for _, l := range c.Left {
		path, err := filepath.Rel(f.dataset, l.Path)
		if err != nil || bucket.IsURL(f.dataset) {
			path = l.Path
		}
		fmt.Fprintf(&b, "left %s: %s\n", path, l.Reason)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func sizeOf(files []dataset.File) (n int64) {
	for _, f := range files {
		n += f.Bytes
	}
	return n
}
