package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/tracegrad/tracegrad/internal/otlp"
)

type replayFlags struct {
	endpoint    string
	headers     map[string]string
	shuffle     uint64
	keepTimes   bool
	concurrency int
	rate        float64
	asJSON      bool
}

func newReplay() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay FILES…",
		Short: "Send captures to a Collector",
		Long: `Replay sends captures over OTLP/HTTP as if the agents ran now.

A capture is a file of export requests of spans or log records, as the
Collector's file exporter writes them: OTLP/JSON or protobuf, plain, gzip or
zstd; the content says which. All times move by one step so that the capture
ends now, and requests go out in order, each after the answer to the one before.
A request that the endpoint is too busy for is sent again after a pause; a line
that cannot be read is reported and skipped.`,
		Example: `  tracegrad replay testdata/captures/openai__*.jsonl
  tracegrad replay --shuffle 1 --endpoint http://127.0.0.1:4318 capture.jsonl.gz`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			return f.run(cmd, files, cmd.Flags().Changed("shuffle"))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.endpoint, "endpoint", "http://127.0.0.1:4318", "base `URL` of the OTLP/HTTP receiver")
	flags.StringToStringVar(&f.headers, "header", nil, "send this header, as `name=value` (repeatable)")
	flags.Uint64Var(&f.shuffle, "shuffle", 0, "reorder, split and duplicate requests; the same `seed` gives the same sequence")
	flags.BoolVar(&f.keepTimes, "keep-times", false, "send the times of the capture as they are")
	flags.IntVar(&f.concurrency, "concurrency", 1, "this `many` requests in flight; more than one gives up the order")
	flags.Float64Var(&f.rate, "rate", 0, "at most this `many` requests per second (0 = no limit)")
	flags.BoolVar(&f.asJSON, "json", false, "print the report as JSON")
	return cmd
}

func (f *replayFlags) run(cmd *cobra.Command, files []string, shuffled bool) error {
	if f.concurrency < 1 || f.rate < 0 {
		return usageError{errors.New("--concurrency must be at least 1 and --rate not negative")}
	}
	for _, file := range files {
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("open capture: %w", err)
		}
	}
	found := map[string]bool{}
	src := noteFiles(otlp.Files(files...), found)
	if shuffled {
		src = otlp.Shuffle(src, f.shuffle)
	}
	show := newReplayProgress(cmd.ErrOrStderr())
	report, err := otlp.Replay(cmd.Context(), src, otlp.Options{
		Endpoint: f.endpoint, Headers: f.headers,
		KeepTimes: f.keepTimes, Concurrency: f.concurrency, Rate: f.rate,
		OnProgress: show.step,
		OnError:    show.skipped,
	})
	show.close()
	empty := slices.DeleteFunc(slices.Clone(files), func(file string) bool { return found[file] })
	switch {
	case f.asJSON:
		if err := printJSON(cmd.OutOrStdout(), report); err != nil {
			return err
		}
	case report.Requests > 0:
		printReplay(cmd.OutOrStdout(), report)
	}
	switch {
	case err != nil:
		return fmt.Errorf("replay to %s: %w", f.endpoint, err)
	case len(found) == 0:
		return errors.New("nothing to send in " + strings.Join(empty, ", "))
	}
	for _, file := range empty {
		fmt.Fprintln(cmd.ErrOrStderr(), "nothing to send in", file)
	}
	if !report.Complete() {
		return errors.New("not everything was accepted: " + strings.Join(losses(report), ", "))
	}
	return nil
}

// noteFiles notes the files that hold anything, readable or not.
func noteFiles(src otlp.Source, found map[string]bool) otlp.Source {
	return func(yield func(otlp.Request, error) bool) {
		for req, err := range src {
			found[req.File] = true
			if !yield(req, err) {
				return
			}
		}
	}
}

func printReplay(w io.Writer, r otlp.Report) {
	fmt.Fprintf(w, "replayed %s: %s, %s, %s; %s (%s gzip) in %.1f s, %s\n",
		count(r.Files, "capture"), count(r.Requests, "request"), count(r.Spans, "span"), count(r.LogRecords, "log record"),
		humanize.Bytes(uint64(r.Bytes)), humanize.Bytes(uint64(r.SentBytes)), r.Seconds, plural(r.Retries, "retry", "retries"))
	if r.ShiftSeconds != 0 {
		fmt.Fprintf(w, "all times moved by %s, so that the last one is now\n", time.Duration(r.ShiftSeconds*float64(time.Second)).Round(time.Second))
	}
	if r.Spans > 0 {
		fmt.Fprintf(w, "with the clocks of init's collector.yaml, runs are in the dataset in %s, without a root span in %s\n", rootWait, idleWait)
	}
}

func losses(r otlp.Report) []string {
	var out []string
	add := func(n int, one, many, more string) {
		if n > 0 {
			out = append(out, plural(n, one, many)+more)
		}
	}
	reason := ""
	if r.RejectedReason != "" {
		reason = " (" + r.RejectedReason + ")"
	}
	add(r.Invalid, "line", "lines", " unreadable")
	add(r.Refused, "request", "requests", " refused")
	add(int(r.RejectedSpans), "span", "spans", " rejected"+reason)
	add(int(r.RejectedLogRecords), "log record", "log records", " rejected"+reason)
	return out
}

// count is "1 span", "2 spans".
func count(n int, noun string) string { return plural(n, noun, noun+"s") }

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return humanize.Comma(int64(n)) + " " + many
}
