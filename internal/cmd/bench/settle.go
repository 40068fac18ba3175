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
	// What groupbytrace has is out by then: its wait_duration is 1 s.
	groupedAfter = 5 * time.Second
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
		waits := counts["processor_trajectory_closed"] < float64(l.trajectories()) || counts["processor_trajectory_open"] > 0
		if p.assembles() && waits && time.Now().Before(deadline) {
			if err := sleep(ctx, lookEvery); err != nil {
				return err
			}
			continue
		}
		if p.stock { // groupbytrace has no count of what waits, and loses it when it stops
			if err := sleep(ctx, groupedAfter); err != nil {
				return err
			}
		}
		m.Reopened = counts["processor_trajectory_reopened"]
		m.Held = counts["processor_trajectory_held"] / (1 << 20)
		return l.checkCounts(counts, p)
	}
}

func (l *lab) checkCounts(counts map[string]float64, p pipeline) error {
	want := map[string]int{
		"receiver_accepted_spans": l.spans(), "receiver_refused_spans": 0, "receiver_failed_spans": 0, "processor_trajectory_open": 0,
		"processor_trajectory_spans": 0, "processor_trajectory_closed": 0,
		"processor_trajectory_spans_refused": 0, "processor_trajectory_spans_dropped": 0, "processor_trajectory_spans_late": 0,
		"processor_trajectory_spans_invalid": 0, "processor_trajectory_spans_incomplete": 0,
		"processor_trajectory_lost": 0, "processor_trajectory_downstream_failures": 0, "processor_trajectory_untrainable": 0,
	}
	if p.assembles() {
		reopened := int(counts["processor_trajectory_reopened"])
		if reopened > 0 && !l.shape.Late {
			return fmt.Errorf("%d trajectories came out again", reopened)
		}
		if l.shape.Late && reopened < l.trajectories()*9/10 {
			return fmt.Errorf("only %d of %d trajectories were handed on before their last span came", reopened, l.trajectories())
		}
		want["processor_trajectory_spans"], want["processor_trajectory_closed"] = l.spans(), l.trajectories()+reopened
	}
	for name, n := range want {
		if got := counts[name]; got != float64(n) {
			return fmt.Errorf("what went in did not come out: %s is %.0f, want %d", name, got, n)
		}
	}
	return nil
}
