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
	seen         map[revision]struct{}
	duplicates   int // revisions that were there already
	bad          []badItem
	skipped      int // spans without ids, or of traces without a GenAI marker
}

// revision is one of a trajectory. Rows of one file set cannot be told apart, so
// it holds none twice: whoever hands a batch on again after it was told that it
// failed may be merged with himself.
type revision struct {
	id string
	at int64
}

// collect takes finished trajectories out of the spans that carry one, and
// assembles the other spans trace by trace.
func collect(td ptrace.Traces, writer string, now time.Time) collected {
	c := collected{seen: map[revision]struct{}{}}
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
	key := revision{t.ID, t.Revision}
	if _, ok := c.seen[key]; ok {
		c.duplicates++
		return
	}
	c.seen[key] = struct{}{}
	c.trajectories = append(c.trajectories, t)
}
