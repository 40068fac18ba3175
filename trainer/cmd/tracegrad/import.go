package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/tracegrad/tracegrad/internal/backfill"
	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/rewards"
)

type importFlags struct {
	dataset, rewards, writer        string
	taskKey, tenant, attribute, key []string
	memory                          int
	dryRun, again, asJSON           bool
}

func newImport() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import FILES…",
		Short: "Make a dataset of traces that lie in files",
		Long: `Import turns telemetry of long ago into trajectories, as if the Collector had
seen it then. It reads export requests of spans and log records (OTLP/JSON and
protobuf, as the Collector's file exporter writes them), rows of the Collector's
ClickHouse tables otel_traces and otel_logs (Parquet, JSONEachRow), spans
exported from Phoenix (Parquet, REST, OTLP/JSON) and spans of Agent Lightning's
store; plain, gzip or zstd. The content says what a file is. Folders are read
with all that is in them. docs/import.md tells how to export from each, and what
is lost there.

The order of files and lines does not matter: the telemetry's own times count,
nothing waits. The same files give the same trajectories with the same ids: what
the dataset has already is not written again, and an import that was stopped or
killed goes on where it was when it is started again. A record that cannot be
read is reported and skipped.`,
		Example: `  tracegrad import traces/ logs.jsonl.gz
  tracegrad import --dataset dataset --rewards rewards.yaml otel_traces.parquet
  tracegrad import --dry-run --json spans.jsonl`,
		Args: cobra.MinimumNArgs(1),
		RunE: f.run,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.dataset, "dataset", "dataset", "`directory` of the dataset; made if need be")
	flags.StringVar(&f.rewards, "rewards", "", "compute rewards by the rules in this `file`")
	flags.StringSliceVar(&f.taskKey, "task-key", nil, "the first of these `attributes` that a span has is the task key")
	flags.StringSliceVar(&f.tenant, "tenant-key", nil, "the first of these `attributes` that a span has is the tenant")
	flags.StringSliceVar(&f.attribute, "attribute", nil, "keep these span and resource `attributes` on trajectories and steps")
	flags.StringSliceVar(&f.key, "key-attribute", nil, "spans with the same values of these `attributes` are one trajectory; without, the spans themselves tell")
	flags.StringVar(&f.writer, "writer", backfill.DefaultWriter, "`name` of the writer in the dataset")
	flags.IntVar(&f.memory, "memory", backfill.DefaultMemory>>20, "take about this many `MiB`; what does not fit is sorted on disk, beside the dataset")
	flags.BoolVar(&f.dryRun, "dry-run", false, "count what would be imported, per dialect; write nothing")
	flags.BoolVar(&f.again, "again", false, "write what is in the dataset already, too: with other rewards, or after an upgrade")
	flags.BoolVar(&f.asJSON, "json", false, "print the report as JSON")
	return cmd
}

func (f *importFlags) run(cmd *cobra.Command, args []string) error {
	if f.memory < 64 {
		return usageError{errors.New("--memory must be at least 64")}
	}
	files, err := filesIn(args)
	if err != nil {
		return err
	}
	show := newImportProgress(cmd.ErrOrStderr())
	opt := backfill.Options{
		Dataset: f.dataset, Files: files, Writer: f.writer, Key: f.key,
		Read:   genai.Options{TaskKey: f.taskKey, Tenant: f.tenant, Attributes: f.attribute},
		Memory: int64(f.memory) << 20, DryRun: f.dryRun, Again: f.again,
		Version: version(), OnProgress: show.step, OnError: show.skipped,
	}
	if f.rewards != "" {
		if opt.Rewards, err = rewards.Load(f.rewards); err != nil {
			return err
		}
	}
	debug.SetMemoryLimit(opt.Memory) // collect garbage in time
	report, err := backfill.Run(cmd.Context(), opt)
	show.close()
	if errors.Is(err, context.Canceled) {
		return errors.New("stopped; the same command goes on where it was")
	}
	if err != nil {
		return err
	}
	if f.asJSON {
		err = printJSON(cmd.OutOrStdout(), report)
	} else {
		printImport(cmd.OutOrStdout(), report)
	}
	if err == nil && !report.Nothing && !report.Complete() {
		err = errors.New("not everything could be read: " + strings.Join(unread(report), ", "))
	}
	return err
}

// filesIn lists files, and of folders all in them but those whose names begin
// with a dot.
func filesIn(args []string) ([]string, error) {
	var files []string
	for _, arg := range args {
		info, err := os.Stat(arg)
		switch {
		case err != nil:
			return nil, fmt.Errorf("open file: %w", err)
		case !info.IsDir():
			files = append(files, arg)
			continue
		}
		err = filepath.WalkDir(arg, func(path string, e fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case path != arg && strings.HasPrefix(e.Name(), "."):
				if e.IsDir() {
					return fs.SkipDir
				}
			case e.Type().IsRegular():
				files = append(files, path)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read folder: %w", err)
		}
	}
	if len(files) == 0 {
		return nil, errors.New("no files in " + strings.Join(args, ", "))
	}
	return files, nil
}

func printImport(w io.Writer, r backfill.Report) {
	verb := "imported"
	switch {
	case r.Nothing:
		fmt.Fprintf(w, "nothing to do: these files were imported before, %s; --again imports them once more\n", plural(r.Trajectories.Found, "trajectory", "trajectories"))
		return
	case r.DryRun:
		verb = "would import"
	}
	fmt.Fprintf(w, "%s %s (%s): %s, %s in %.1f s\n", verb, count(r.Files, "file"), humanize.Bytes(uint64(r.Bytes)), count(r.Spans, "span"), count(r.LogRecords, "log record"), r.Seconds) //nolint:gosec // a size
	t := r.Trajectories
	fmt.Fprintf(w, "%s, %d trainable, %d failed", plural(t.Found, "trajectory", "trajectories"), t.Trainable, t.Failed)
	if t.There > 0 {
		fmt.Fprintf(w, "; %d of them, revisions counted, were there already", t.There)
	}
	fmt.Fprintln(w)
	for _, d := range slices.Sorted(maps.Keys(r.Dialects)) {
		c := r.Dialects[d]
		fmt.Fprintf(w, "  %-24s %s, %s, %s\n", d, plural(c.Trajectories, "trajectory", "trajectories"), count(c.ModelCalls, "model call"), count(c.ToolCalls, "tool run"))
	}
	if r.Facts > 0 {
		fmt.Fprintln(w, count(r.Facts, "fact"))
	}
	if r.Ordinary > 0 {
		fmt.Fprintf(w, "passed over %s that are not an agent's\n", plural(r.Ordinary, "span or record", "spans and records"))
	}
	if t.Found == 0 && r.Spans > 0 {
		fmt.Fprintln(w, "no span carries a GenAI marker: tracegrad doctor FILES says what is there")
	}
}

// unread says what was skipped, by reason.
func unread(r backfill.Report) []string {
	var out []string
	for _, reason := range slices.Sorted(maps.Keys(r.Reasons)) {
		out = append(out, fmt.Sprintf("%d %s", r.Reasons[reason], reason))
	}
	if n := r.Trajectories.Invalid; n > 0 {
		out = append(out, fmt.Sprintf("%d invalid_trajectory", n))
	}
	return out
}
