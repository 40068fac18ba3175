// Command benchgroups measures what it costs to make groups and advantages of
// many trajectories, as a night does, beside a DuckDB hash over exactly the
// columns that are read for it.
//
// The dataset is written by our own writer: tasks with four attempts each, of two
// steps, three messages and one reward. Both sides run in processes of their own;
// what counts is their CPU time, user and system, and their peak memory.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cost is what one side of a measurement took.
type cost struct {
	What   string  `json:"what"`
	Wall   float64 `json:"wall_s"`
	CPU    float64 `json:"cpu_s"`
	PeakMB float64 `json:"peak_rss_mb"`
	Says   string  `json:"says"` // what came out, so that both are known to have read everything
}

// sides in the order in which they are shown.
var sides = []struct {
	name, what string
	run        func(ctx context.Context, dir string) (string, error)
}{
	{"open", "open the dataset", opened},
	{"hash", "open, DuckDB hash of the columns", hash},
	{"groups", "open, select, returns, groups, advantages", groups},
	{"sql", "tracegrad sql: mean return of every task", byTask},
	{"rescore", "open, re-score with facts", rescored},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchgroups:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	work := flag.String("work", ".cache/bench-groups", "`folder` for datasets; they are made once")
	sizes := flag.String("trajectories", "10000,100000,1000000", "comma-separated `numbers`")
	rounds := flag.Int("rounds", 3, "how often every side is run")
	asJSON := flag.Bool("json", false, "print JSON, every run included")
	only := flag.String("sides", "open,hash,groups,sql,rescore", "which `sides` are run")
	side := flag.String("side", "", "run this `side` alone, in this process, on the dataset of -work")
	flag.Parse()
	if *side != "" {
		return alone(ctx, *side, *work)
	}
	all := map[string][]cost{}
	for text := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n <= 0 {
			return fmt.Errorf("-trajectories: %q is not a number of trajectories", text)
		}
		dir := filepath.Join(*work, text)
		if err := prepare(ctx, dir, n); err != nil {
			return err
		}
		if all[text], err = measure(ctx, dir, *rounds, strings.Split(*only, ",")); err != nil {
			return err
		}
		if !*asJSON {
			show(text, all[text])
		}
	}
	if *asJSON {
		return json.NewEncoder(os.Stdout).Encode(all)
	}
	return nil
}

// measure runs the sides in turns, each in a process of its own.
func measure(ctx context.Context, dir string, rounds int, only []string) (list []cost, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for range rounds {
		for _, s := range sides {
			if !slices.Contains(only, s.name) {
				continue
			}
			cmd := exec.CommandContext(ctx, self, "-side", s.name, "-work", dir)
			cmd.Stderr = os.Stderr
			began := time.Now()
			out, err := cmd.Output()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
			c := cost{What: s.name, Wall: time.Since(began).Seconds()}
			if err := json.Unmarshal(out, &c); err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
			c.CPU = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
			list = append(list, c)
		}
	}
	return list, nil
}

// alone runs one side and says what came out.
func alone(ctx context.Context, name, dir string) error {
	for _, s := range sides {
		if s.name != name {
			continue
		}
		says, err := s.run(ctx, dir)
		if err != nil {
			return err
		}
		peak, err := peakMB()
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"says": says, "peak_rss_mb": peak})
	}
	return errors.New("-side: there is no such side")
}

// peakMB is the most memory that this process had.
func peakMB() (float64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(status), "VmHWM:")
	kb, err := strconv.ParseFloat(strings.Fields(rest + " 0")[0], 64)
	if !ok || err != nil {
		return 0, errors.New("read the peak memory: this system does not tell")
	}
	return kb / 1024, nil
}

func show(n string, list []cost) {
	fmt.Printf("\n%s trajectories\n", n)
	cpu := func(c cost) float64 { return c.CPU }
	base, opening := median(list, "hash", cpu), median(list, "open", cpu)
	for _, s := range sides {
		at := slices.IndexFunc(list, func(c cost) bool { return c.What == s.name })
		if at < 0 {
			continue
		}
		took := median(list, s.name, cpu)
		wall := median(list, s.name, func(c cost) float64 { return c.Wall })
		peak := median(list, s.name, func(c cost) float64 { return c.PeakMB })
		fmt.Printf("  %-42s %7.2f CPU s  %6.2f x hash, %6.2f x without opening  %7.2f s  %6.0f MB  %s\n",
			s.what, took, took/base, (took-opening)/(base-opening), wall, peak, list[at].Says)
	}
}

func median(list []cost, of string, value func(cost) float64) float64 {
	var values []float64
	for _, c := range list {
		if c.What == of {
			values = append(values, value(c))
		}
	}
	if len(values) == 0 {
		return math.NaN()
	}
	slices.Sort(values)
	return values[len(values)/2]
}
