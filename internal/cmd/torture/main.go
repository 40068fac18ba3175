// Command torture does to Collectors what production does to them, under load,
// and holds the dataset against what was acknowledged after each.
//
// A round sends runs of agents over OTLP/gRPC as they arrive on a bad day: in
// parts, shuffled, some late, some twice; senders send again until they have an
// answer, and some give up. At a random moment of it a fault strikes: a Collector
// is killed, stopped, frozen, its disk fills up or becomes read-only, its clock
// jumps. Then the dataset must hold every span that was acknowledged, each once,
// and every run that was acknowledged as a whole as one whole trajectory.
//
// The Collectors are the built binary with a shipped configuration, and go on
// over all rounds with the same dataset and stores. The same -seed gives the
// same load and the same faults; when exactly they meet is chance.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tracegrad/tracegrad/internal/cmd/torture/delivery"
)

var errElsewhere = errors.New("failed, see above")

type options struct {
	collector, config, rewards string
	work                       string
	rounds, collectors, traces int
	seed                       uint64
	lateWindow                 time.Duration
	s3                         string // the binary of an S3 server
	faults                     []fault

	shape  delivery.Shape
	settle time.Duration // all is acknowledged by then, and must be in the dataset
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	o, err := parse()
	if err != nil {
		return err
	}
	if elsewhere, err := o.ownDisks(); elsewhere {
		return err
	}
	if o.findBucket(); len(o.faults) == 0 {
		return errors.New("no fault is left that this machine can have")
	}
	fmt.Printf("seed %d, %d Collectors, %s\n", o.seed, o.collectors, o.config)
	return o.torture(ctx, &report{out: os.Stdout})
}

// torture runs all rounds. It ends with the first one that went wrong.
func (o *options) torture(ctx context.Context, report *report) error {
	defer report.summarize()
	for _, g := range grounds(o) {
		if err := g.run(ctx, report); err != nil {
			return err
		}
	}
	return nil
}

// ownDisks sees to it that file systems can be mounted, where a fault needs them:
// another process, which can, does it all. Where that is not allowed those faults
// are left out, and said to be.
func (o *options) ownDisks() (elsewhere bool, err error) {
	mounts := func(f fault) bool { return f.place == ofSmallDisk }
	if !slices.ContainsFunc(o.faults, mounts) {
		return false, nil
	}
	ran, err := enter()
	var exit *exec.ExitError
	switch {
	case ran && errors.As(err, &exit):
		return true, errElsewhere // which has said what is wrong
	case err != nil:
		fmt.Printf("skipped: readonly, full: %v\n", err)
		o.faults = slices.DeleteFunc(slices.Clone(o.faults), mounts)
		return false, nil
	}
	return ran, nil
}

func parse() (*options, error) {
	o := &options{
		shape:  delivery.Shape{Over: 2 * time.Second, Parts: 4, Spread: 800 * time.Millisecond, Late: 2500 * time.Millisecond},
		settle: time.Minute,
	}
	only := ""
	flag.StringVar(&o.collector, "collector", "bin/tracegrad-collector", "the built Collector")
	flag.StringVar(&o.config, "config", "examples/quickstart/durable.yaml", "its configuration")
	flag.StringVar(&o.rewards, "rewards", "examples/quickstart/rewards.yaml", "its reward rules")
	flag.StringVar(&o.work, "work", ".cache/torture", "`folder` for datasets, stores and logs; it is emptied first")
	flag.IntVar(&o.rounds, "rounds", 20, "how often a fault strikes")
	flag.IntVar(&o.collectors, "collectors", 2, "Collectors that share the dataset; a trace goes to one of them")
	flag.IntVar(&o.traces, "traces", 320, "runs of agents a round, of 9 spans each")
	flag.DurationVar(&o.lateWindow, "late-window", 20*time.Second, "`late_window` of the Collectors: longer than any outage, short enough to end while rounds go on")
	flag.StringVar(&o.s3, "s3", ".cache/systems/versitygw", "the S3 `server` versitygw, for the faults of buckets")
	flag.StringVar(&only, "faults", "", "only these `faults`, comma separated: "+joined(faults))
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of the load and the faults") //nolint:gosec // any number
	flag.Parse()
	if o.rounds <= 0 || o.collectors <= 0 || o.traces <= 0 {
		return nil, errors.New("-rounds, -collectors and -traces must be greater than 0")
	}
	o.faults = faults
	if only != "" {
		o.faults = nil
		for _, name := range strings.Split(only, ",") {
			i := slices.IndexFunc(faults, func(f fault) bool { return f.name == name })
			if i < 0 {
				return nil, fmt.Errorf("-faults: there is no %q; there are %s", name, joined(faults))
			}
			o.faults = append(o.faults, faults[i])
		}
	}
	for _, path := range []string{o.collector, o.config, o.rewards} {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("find what to torture: %w (make build; run in the repository's root)", err)
		}
	}
	return o, nil
}
