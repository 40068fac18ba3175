// Command grade replays captures through the built Collector, one dataset a
// capture, and compares the datasets with the captures' ground truth.
//
// Every capture goes through the same shipped configuration; only the clocks
// are shortened. The comparison is testdata/grade/grade.py.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tracegrad/tracegrad/internal/localcollector"
	"github.com/tracegrad/tracegrad/internal/otlp"
)

type options struct {
	captures, out     string
	shuffle           *uint64
	collector, config string
	rewards           string
	python, script    string
	parallel          int
	minExact          float64
	maxInvented       int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "grade:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var o options
	flag.StringVar(&o.captures, "captures", "testdata/captures", "`folder` of captures and truth.jsonl, or of them gzipped")
	flag.StringVar(&o.out, "out", ".cache/grade", "`folder` for the datasets; those of the captures are replaced")
	flag.Func("shuffle", "reorder, split and duplicate the requests by this `seed`", func(s string) error {
		var seed uint64
		_, err := fmt.Sscan(s, &seed)
		o.shuffle = &seed
		return err
	})
	flag.StringVar(&o.collector, "collector", "bin/tracegrad-collector", "the built Collector")
	flag.StringVar(&o.config, "config", "examples/quickstart/collector.yaml", "its configuration")
	flag.StringVar(&o.rewards, "rewards", "examples/quickstart/rewards.yaml", "its reward rules")
	flag.StringVar(&o.python, "python", "python3", "a Python with duckdb")
	flag.StringVar(&o.script, "script", "testdata/grade/grade.py", "the comparison")
	flag.IntVar(&o.parallel, "parallel", 6, "captures at a time: most of the time they wait for clocks")
	flag.Float64Var(&o.minExact, "min-exact", 95, "least `percent` of exact rollouts")
	flag.IntVar(&o.maxInvented, "max-invented", 0, "most invented steps")
	flag.Parse()

	var err error
	if o.captures, err = unpacked(o.captures, o.out); err != nil {
		return err
	}
	names, err := capturesIn(o.captures)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := o.replayAll(ctx, names); err != nil {
		return err
	}
	fmt.Printf("%d captures replayed in %.0f s\n\n", len(names), time.Since(began).Seconds())
	return o.compare(ctx)
}

// capturesIn lists the captures of a folder by name.
func capturesIn(dir string) ([]string, error) {
	if _, err := os.Stat(filepath.Join(dir, "truth.jsonl")); err != nil {
		return nil, fmt.Errorf("open captures: %w: name a folder of captures with their truth.jsonl", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".jsonl")
		if name != "truth" && !strings.HasSuffix(name, ".logs") {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no captures (NAME.jsonl) in %s", dir)
	}
	return names, nil
}

func (o *options) replayAll(ctx context.Context, names []string) error {
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	ports := new(localcollector.Ports)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(o.parallel)
	for _, name := range names {
		group.Go(func() error {
			line, err := o.replay(ctx, name, ports)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			fmt.Printf("%-55s %s\n", name, line)
			return nil
		})
	}
	return group.Wait()
}

// replay makes the dataset of one capture.
func (o *options) replay(ctx context.Context, name string, ports *localcollector.Ports) (line string, err error) {
	dataset := filepath.Join(o.out, name)
	if err := os.RemoveAll(dataset); err != nil {
		return "", err
	}
	c, err := localcollector.Start(ctx, localcollector.Options{
		Binary: o.collector, Config: o.config, Log: dataset + ".log", Ports: ports,
		Env: map[string]string{
			"TRACEGRAD_DATA": dataset, "TRACEGRAD_REWARDS": o.rewards,
			"TRACEGRAD_ROOT_GRACE": "2s", "TRACEGRAD_IDLE": "5s", "TRACEGRAD_FLUSH": "1s",
		},
	})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()

	files := []string{filepath.Join(o.captures, name+".jsonl")}
	if logs := filepath.Join(o.captures, name+".logs.jsonl"); exists(logs) {
		files = append(files, logs)
	}
	src := otlp.Files(files...)
	if o.shuffle != nil {
		src = otlp.Shuffle(src, *o.shuffle)
	}
	report, err := otlp.Replay(ctx, src, otlp.Options{Endpoint: c.URL(localcollector.OTLPHTTP)})
	if err != nil {
		return "", err
	}
	if !report.Complete() {
		return "", fmt.Errorf("not everything was accepted: %+v", report)
	}
	committed, err := c.Settle(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%4d requests %5d spans %5d log records → %3d trajectories", report.Requests, report.Spans, report.LogRecords, committed), nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// compare runs the comparison and holds its sums to the limits.
func (o *options) compare(ctx context.Context) error {
	result := filepath.Join(o.out, "grade.json")
	cmd := exec.CommandContext(ctx, o.python, o.script, "--captures", o.captures, "--datasets", o.out, "--json", result, "--why", "20")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("compare: %s: %w", cmd, err)
	}
	return o.judge(result)
}
