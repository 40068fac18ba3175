package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/tracegrad/tracegrad/internal/localcollector"
)

// sample is what a Collector took and used at a moment of a soak.
type sample struct {
	spans int64   // taken so far
	rss   float64 // MB
	held  float64 // MB, by the trajectory processor
	cpu   float64 // s, since the start
}

// soak runs one pipeline for long: its memory must not grow with what it has
// taken. What is written is checked and removed again as it comes.
func (l *lab) soak(ctx context.Context, p pipeline, w io.Writer) error {
	if !p.assembles() || p.check == nil {
		return fmt.Errorf("-soak: %s writes no dataset", p.ID)
	}
	l.delivered = newSweeper(l, filepath.Join(l.opt.work, "out"))
	m, err := l.measure(ctx, p)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s\n%s: %.2f CPU s per million spans, peak RSS %.0f MB; %d trajectories, all whole, each once\n\n", l.describe(), p.Name, m.CPU, m.RSS, len(l.delivered.seen))
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "spans taken\tRSS MB\theld MB\tCPU s per M spans since\t")
	list := l.delivered.samples
	for i, s := range list {
		cpu := 0.0
		if i > 0 && s.spans > list[i-1].spans {
			cpu = (s.cpu - list[i-1].cpu) * 1e6 / float64(s.spans-list[i-1].spans)
		}
		fmt.Fprintf(t, "%d\t%.0f\t%.0f\t%.2f\t\n", s.spans, s.rss, s.held, cpu)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	half := list[len(list)/2:]
	_, err = fmt.Fprintf(w, "\nslope of the RSS over the second half: %+.1f MB per million spans\n", slope(half))
	return err
}

// slope is by how much the RSS rises per million spans, by least squares.
func slope(list []sample) float64 {
	var x, y, xx, xy float64
	for _, s := range list {
		m := float64(s.spans) / 1e6
		x, y, xx, xy = x+m, y+s.rss, xx+m*m, xy+m*s.rss
	}
	n := float64(len(list))
	if d := n*xx - x*x; d != 0 {
		return (n*xy - x*y) / d
	}
	return 0
}

// watch looks at the Collector until ctx ends, and removes what it wrote.
func (s *sweeper) watch(ctx context.Context, c *localcollector.Collector, every time.Duration) error {
	for next := time.Now(); ctx.Err() == nil; {
		if err := s.sweep(); err != nil {
			return err
		}
		if time.Now().After(next) {
			next = time.Now().Add(every)
			if err := s.sample(ctx, c); err != nil {
				return errors.Join(err, context.Cause(ctx))
			}
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return nil
}

func (s *sweeper) sample(ctx context.Context, c *localcollector.Collector) error {
	counts, err := c.Metrics(ctx)
	if ctx.Err() != nil {
		return nil // it was about to stop
	}
	if err != nil {
		return err
	}
	cpu, err := cpuOf(c.PID())
	if err != nil {
		return err
	}
	s.samples = append(s.samples, sample{
		spans: s.lab.sent.Load(), rss: float64(resident(c.PID())) / (1 << 20),
		held: counts["processor_trajectory_held"] / (1 << 20), cpu: cpu.Seconds(),
	})
	return nil
}

// resident is the memory that a process has now, in bytes.
func resident(pid int) int64 {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := bytes.Fields(statm)
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize())
}
