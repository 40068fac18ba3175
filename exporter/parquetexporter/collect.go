package parquetexporter

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// collected is what a batch of spans holds.
type collected struct {
	trajectories []*trajectory.Trajectory
	bad          []badItem
	skipped      int // spans without ids, or of traces without a GenAI marker
}

// collect takes finished trajectories out of the spans that carry one, and
// assembles the other spans trace by trace.
func collect(td ptrace.Traces, writer string, now time.Time) collected {
	var c collected
	plain := newTraces()
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				if v, ok := span.Attributes().Get(trajectory.AttrTrajectory); ok {
					c.finished(v)
				} else if !plain.add(rs.Resource(), ss.Scope(), span) {
					c.skipped++
				}
			}
		}
	}
	plain.assemble(&c, writer, now)
	return c
}

func (c *collected) finished(v pcommon.Value) {
	if v.Type() != pcommon.ValueTypeBytes {
		c.bad = append(c.bad, badItem{reasonNotBytes, trajectory.AttrTrajectory + " holds " + v.Type().String() + ", not bytes", []byte(v.AsString())})
		return
	}
	b := v.Bytes().AsRaw() // a copy: ours
	t, err := trajectory.DecodeOwned(b)
	if err != nil {
		c.bad = append(c.bad, badItem{reasonUndecodable, err.Error(), b})
		return
	}
	c.trajectories = append(c.trajectories, t)
}
