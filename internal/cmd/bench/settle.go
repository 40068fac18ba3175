package main

import (
	"context"
	"fmt"
	"time"

	"github.com/tracegrad/tracegrad/internal/localcollector"
)

const (
	// Looking costs the Collector CPU, so it is done seldom.
	lookEvery   = 500 * time.Millisecond
	settleAfter = 2 * time.Minute
)

// settle waits until all spans are in and every trajectory is closed, and holds
// the Collector's own counts against what was sent.
func (l *lab) settle(ctx context.Context, c *localcollector.Collector, p pipeline, m *measurement) error {
	deadline := time.Now().Add(settleAfter)
	for {
		counts, err := c.Metrics(ctx)
		if err != nil {
			return err
		}
		if p.assembles() && counts["processor_trajectory_closed"] < float64(l.trajectories()) && time.Now().Before(deadline) {
			select {
			case <-time.After(lookEvery):
				continue
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		m.Held = counts["processor_trajectory_held"] / (1 << 20)
		return l.checkCounts(counts, p)
	}
}

func (l *lab) checkCounts(counts map[string]float64, p pipeline) error {
	want := map[string]int{
		"receiver_accepted_spans": l.spans(), "receiver_refused_spans": 0, "receiver_failed_spans": 0,
		"processor_trajectory_spans": 0, "processor_trajectory_closed": 0,
		"processor_trajectory_spans_refused": 0, "processor_trajectory_spans_dropped": 0, "processor_trajectory_spans_late": 0,
		"processor_trajectory_spans_invalid": 0, "processor_trajectory_spans_incomplete": 0, "processor_trajectory_reopened": 0,
		"processor_trajectory_lost": 0, "processor_trajectory_downstream_failures": 0, "processor_trajectory_untrainable": 0,
	}
	if p.assembles() {
		want["processor_trajectory_spans"], want["processor_trajectory_closed"] = l.spans(), l.trajectories()
	}
	for name, n := range want {
		if got := counts[name]; got != float64(n) {
			return fmt.Errorf("what went in did not come out: %s is %.0f, want %d", name, got, n)
		}
	}
	return nil
}
