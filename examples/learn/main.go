// Command learn is the proof that a model learns: an agent that knows nothing of
// tracegrad answers tickets through the gateway, vLLM serves its model, and night
// after night tracegrad train makes an adapter of what was right, which the gate
// compares with the base model on tickets that were never trained on.
//
// It is run by make learn, from the root of the repository, once bin/ and the
// Python environments are there.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
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

// lab is what all seeds share. Its paths are absolute.
type lab struct {
	dir, bin            string
	vllm, worker, agent string // Pythons
	model               string // folder
	nights              int
	kinds, times        int // of tickets in a night
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "\nlearn: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	l := &lab{}
	flag.StringVar(&l.dir, "dir", "learn", "`folder` for what the nights leave behind; the folders of seeds that are there are replaced")
	flag.StringVar(&l.bin, "bin", "bin", "`folder` of the built binaries")
	flag.StringVar(&l.vllm, "vllm", "", "`python` of the environment with vLLM")
	flag.StringVar(&l.worker, "worker", "", "`python` of the worker's environment")
	flag.StringVar(&l.agent, "agent", "", "`python` of the agent's environment")
	flag.StringVar(&l.model, "model", ".cache/learn/SmolLM2-135M-Instruct", "`folder` of the model")
	flag.IntVar(&l.nights, "nights", 1, "nights")
	flag.IntVar(&l.kinds, "kinds", 130, "kinds of tickets in a night")
	flag.IntVar(&l.times, "times", 4, "tickets of each kind in a night")
	seeds := flag.String("seeds", "1", "comma-separated `numbers`: a run of all nights for each")
	resume := flag.Bool("resume", false, "keep what results.json has already, and run only what it lacks")
	online := flag.String("trl", "", "`folder` of packages with TRL for the worker's Python: its online GRPO learns beside, from as many rollouts")
	flag.Parse()
	for _, path := range []*string{&l.dir, &l.bin, &l.vllm, &l.worker, &l.agent, &l.model, online} {
		if *path == "" {
			continue
		}
		whole, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = whole
	}
	if l.vllm == "" || l.worker == "" || l.agent == "" {
		return errors.New("-vllm, -worker and -agent are needed: run make learn")
	}
	var results []result
	if *resume {
		var err error
		if results, err = l.saved(); err != nil {
			return err
		}
	}
	for text := range strings.SplitSeq(*seeds, ",") {
		number, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return fmt.Errorf("-seeds: %q is not a number", text)
		}
		if results, err = l.seed(ctx, number, *online, results); err != nil {
			return fmt.Errorf("seed %d: %w", number, err)
		}
	}
	summarize(os.Stdout, results)
	return nil
}

// seed adds to the results what they do not have of a seed, and saves them.
func (l *lab) seed(ctx context.Context, number uint64, online string, results []result) (_ []result, err error) {
	s, err := l.newSeed(number)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.vllm.stop()) }()
	at := slices.IndexFunc(results, func(r result) bool { return r.Seed == number })
	if at < 0 {
		one, err := s.learn(ctx)
		if err != nil {
			return nil, err
		}
		at, results = len(results), append(results, one)
		if err := l.save(results); err != nil {
			return nil, err
		}
	}
	if online == "" || results[at].Online != nil {
		return results, nil
	}
	if results[at].Online, err = s.online(ctx, online); err != nil {
		return nil, err
	}
	return results, l.save(results)
}

// learn is all nights of one seed.
func (s *seed) learn(ctx context.Context) (out result, err error) {
	out.Seed = s.number
	if err := s.clear(); err != nil {
		return out, err
	}
	for n := range s.lab.nights {
		began := time.Now()
		fmt.Printf("\n─── seed %d, night %d ───\n\n", s.number, n+1)
		if err := s.day(ctx); err != nil {
			return out, fmt.Errorf("day %d: %w", n+1, err)
		}
		one, err := s.night(ctx)
		if err != nil {
			return out, fmt.Errorf("night %d: %w", n+1, err)
		}
		one.Seconds = time.Since(began).Seconds()
		out.Nights = append(out.Nights, one)
		one.print(os.Stdout, n+1)
	}
	out.Last, err = s.last(ctx, out.Nights)
	return out, err
}

func (l *lab) save(results []result) error {
	data, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(l.results(), append(data, '\n'), 0o644)
}

// saved reads what save wrote; nothing where there is nothing.
func (l *lab) saved() (results []result, err error) {
	data, err := os.ReadFile(l.results())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &results)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", l.results(), err)
	}
	return results, nil
}

func (l *lab) results() string { return filepath.Join(l.dir, "results.json") }

// tracegrad runs one command of ours in the seed's folder and shows it as one
// types it. Its exit code is no error.
func (s *seed) tracegrad(ctx context.Context, args ...string) (int, error) {
	fmt.Printf("$ tracegrad %s\n", strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, filepath.Join(s.lab.bin, "tracegrad"), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, os.Stdout, os.Stdout
	cmd.Env = append(os.Environ(), "TRACEGRAD_WORKER_PYTHON="+s.lab.worker)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), nil
	}
	return 0, err
}
