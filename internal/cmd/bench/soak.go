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
	l.delivered = newSweeper(l, filepath.Join(l.opt.work, "out"), w)
	fmt.Fprintf(w, "%s\n\n%12s %8s %8s %24s\n", l.describe(), "spans taken", "RSS MB", "held MB", "CPU s per M spans since")
	m, err := l.measure(ctx, p)
	if err != nil {
		return err
	}
	half := l.delivered.samples[len(l.delivered.samples)/2:]
	_, err = fmt.Fprintf(w, "\n%s: %.2f CPU s per million spans, peak RSS %.0f MB; %d trajectories, all whole, each once\nslope of the RSS over the second half: %+.1f MB per million spans\n",
		p.Name, m.CPU, m.RSS, len(l.delivered.seen), slope(half))
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
	now := sample{
		spans: s.lab.sent.Load(), rss: float64(resident(c.PID())) / (1 << 20),
		held: counts["processor_trajectory_held"] / (1 << 20), cpu: cpu.Seconds(),
	}
	since := 0.0
	if n := len(s.samples); n > 0 && now.spans > s.samples[n-1].spans {
		since = (now.cpu - s.samples[n-1].cpu) * 1e6 / float64(now.spans-s.samples[n-1].spans)
	}
	s.samples = append(s.samples, now)
	_, err = fmt.Fprintf(s.table, "%12d %8.0f %8.0f %24.2f\n", now.spans, now.rss, now.held, since)
	return err
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
