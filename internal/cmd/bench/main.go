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
	collector, stock, rewards, work string
	spans, rounds                   int
	senders, procs                  int
	open, memory                    int
	kind, shape                     string
	only                            string
	soak                            time.Duration
	json                            bool
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
	shape, err := o.shapeOf()
	if err != nil {
		return err
	}
	lab, err := newLab(o, shape, plan, time.Now())
	if err != nil {
		return err
	}
	if o.soak > 0 {
		return lab.soak(ctx, plan[len(plan)-1], os.Stdout)
	}
	results, err := lab.rounds(ctx, plan)
	if err != nil {
		return err
	}
	if o.json {
		return results.writeJSON(os.Stdout)
	}
	return results.writeTable(os.Stdout)
}

// rounds runs every pipeline of the plan as often as is asked for.
func (l *lab) rounds(ctx context.Context, plan []pipeline) (*result, error) {
	results := &result{Date: time.Now().UTC().Format(time.DateOnly), Machine: thisMachine(), Load: l.describe()}
	for round := range l.opt.rounds {
		for i := range plan {
			p := plan[(i+round)%len(plan)] // no pipeline always follows the same one
			m, err := l.measure(ctx, p)
			if err != nil {
				return nil, fmt.Errorf("%s, round %d, %s: %w", l.shape.Name, round+1, p.Name, err)
			}
			m.Round = round + 1
			results.Runs = append(results.Runs, m)
			fmt.Fprintf(os.Stderr, "%s, round %d/%d  %-24s %6.2f CPU s per million spans  %5.0f MB\n", l.shape.Name, round+1, l.opt.rounds, p.Name, m.CPU, m.RSS)
		}
	}
	results.summarize(plan)
	return results, nil
}

// shapeOf is the shape of the load, with as many open traces as is asked for.
func (o *options) shapeOf() (load.Shape, error) {
	s, err := load.ShapeOf(o.shape)
	if o.open > 0 {
		s = s.WithOpen(o.open)
	}
	return s, err
}

func parse() *options {
	o := &options{}
	flag.StringVar(&o.collector, "collector", "bin/tracegrad-collector", "the built Collector")
	flag.StringVar(&o.stock, "stock", ".cache/bench/stock/stock-collector", "the built Collector of stock components (internal/cmd/bench/stock.yaml)")
	flag.StringVar(&o.rewards, "rewards", "examples/quickstart/rewards.yaml", "reward rules")
	flag.StringVar(&o.work, "work", ".cache/bench", "`folder` for outputs and logs")
	flag.IntVar(&o.spans, "spans", 144_000, "spans a run, rounded up to whole requests")
	flag.IntVar(&o.rounds, "rounds", 5, "how often every pipeline is run")
	flag.IntVar(&o.senders, "senders", 4, "requests at a time")
	flag.IntVar(&o.procs, "procs", 1, "GOMAXPROCS of the Collector")
	flag.StringVar(&o.kind, "load", string(load.Mix), "what the agents' spans look like: mix, semconv, openinference or vercel")
	flag.StringVar(&o.only, "only", "", "run only these `pipelines`, by letter and comma separated")
	flag.StringVar(&o.shape, "shape", load.Plain.Name, "how long runs are and how their spans come: plain, conv12, conv40, split, interleaved or late")
	flag.IntVar(&o.open, "open", 0, "`traces` on their way at the same time, where the shape spreads them over requests; 0 = as many as the shape says")
	flag.IntVar(&o.memory, "memory", 512, "max_memory_mib of the trajectory processor")
	flag.DurationVar(&o.soak, "soak", 0, "run the last pipeline once and look at its memory so `often`; files are checked and removed as they come")
	flag.BoolVar(&o.json, "json", false, "print JSON, every run included")
	flag.Parse()
	return o
}

// plan is the pipelines to run, and the ones that they are compared with.
func (o *options) plan() ([]pipeline, error) {
	if o.spans <= 0 || o.rounds <= 0 || o.senders <= 0 || o.procs <= 0 || o.memory <= 0 {
		return nil, errors.New("-spans, -rounds, -senders, -procs and -memory must be greater than 0")
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
