// Command bench measures what the Collector's pipelines cost: CPU, memory and
// bytes written, for the same spans.
//
// Each run starts the built Collector with one pipeline, sends it the spans of
// one round over OTLP/gRPC, waits until all of them are through and stops it.
// The pipelines take turns, so that whatever else the machine does meets all of
// them. A run whose output does not match its input fails the benchmark.
//
// The measure is the CPU time of the Collector's own process, which neighbours
// disturb little, as a ratio to that of a pipeline that only receives, in the
// same round. See docs/benchmarks.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tracegrad/tracegrad/internal/cmd/bench/load"
)

type options struct {
	collector, rewards, work string
	spans, rounds            int
	senders, procs           int
	kind                     string
	only                     string
	json                     bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	o := parse()
	plan, err := o.plan()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.work, 0o755); err != nil {
		return err
	}
	lab, err := newLab(o, plan, time.Now())
	if err != nil {
		return err
	}
	results := result{Date: time.Now().UTC().Format(time.DateOnly), Machine: thisMachine(), Load: lab.describe()}
	for round := range o.rounds {
		for i := range plan {
			p := plan[(i+round)%len(plan)] // no pipeline always follows the same one
			m, err := lab.measure(ctx, p)
			if err != nil {
				return fmt.Errorf("round %d, %s: %w", round+1, p.Name, err)
			}
			m.Round = round + 1
			results.Runs = append(results.Runs, m)
			fmt.Fprintf(os.Stderr, "round %d/%d  %-24s %6.2f CPU s per million spans  %5.0f MB\n", round+1, o.rounds, p.Name, m.CPU, m.RSS)
		}
	}
	results.summarize(plan)
	if o.json {
		return results.writeJSON(os.Stdout)
	}
	return results.writeTable(os.Stdout)
}

func parse() *options {
	o := &options{}
	flag.StringVar(&o.collector, "collector", "bin/tracegrad-collector", "the built Collector")
	flag.StringVar(&o.rewards, "rewards", "examples/quickstart/rewards.yaml", "reward rules")
	flag.StringVar(&o.work, "work", ".cache/bench", "`folder` for outputs and logs")
	flag.IntVar(&o.spans, "spans", 144_000, "spans a run, rounded up to whole requests")
	flag.IntVar(&o.rounds, "rounds", 5, "how often every pipeline is run")
	flag.IntVar(&o.senders, "senders", 4, "requests at a time")
	flag.IntVar(&o.procs, "procs", 1, "GOMAXPROCS of the Collector")
	flag.StringVar(&o.kind, "load", string(load.Mix), "what the agents' spans look like: mix, semconv, openinference or vercel")
	flag.StringVar(&o.only, "only", "", "run only these `pipelines`, by letter and comma separated")
	flag.BoolVar(&o.json, "json", false, "print JSON, every run included")
	flag.Parse()
	return o
}

// plan is the pipelines to run, and the ones that they are compared with.
func (o *options) plan() ([]pipeline, error) {
	if o.spans <= 0 || o.rounds <= 0 || o.senders <= 0 || o.procs <= 0 {
		return nil, errors.New("-spans, -rounds, -senders and -procs must be greater than 0")
	}
	if o.only == "" {
		return pipelines, nil
	}
	want := strings.Split(o.only, ",")
	for _, w := range want {
		i := slices.IndexFunc(pipelines, func(p pipeline) bool { return p.ID == w })
		if i < 0 {
			return nil, fmt.Errorf("-only: there is no pipeline %q", w)
		}
		want = append(want, pipelines[i].Base)
	}
	return slices.DeleteFunc(slices.Clone(pipelines), func(p pipeline) bool { return !slices.Contains(want, p.ID) }), nil
}
