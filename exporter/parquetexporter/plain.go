package parquetexporter

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// traces collects the spans of a batch that nobody assembled before, trace by trace.
type traces struct {
	order []pcommon.TraceID
	of    map[pcommon.TraceID]*trace
}

type trace struct {
	marked bool
	spans  []rawSpan
}

type rawSpan struct {
	resource pcommon.Resource
	scope    pcommon.InstrumentationScope
	span     ptrace.Span
}

func newTraces() *traces { return &traces{of: map[pcommon.TraceID]*trace{}} }

// add takes a span that has ids; without, it belongs to nothing.
func (ts *traces) add(res pcommon.Resource, scope pcommon.InstrumentationScope, span ptrace.Span) bool {
	if span.TraceID().IsEmpty() || span.SpanID().IsEmpty() {
		return false
	}
	t := ts.of[span.TraceID()]
	if t == nil {
		t = &trace{}
		ts.of[span.TraceID()] = t
		ts.order = append(ts.order, span.TraceID())
	}
	t.marked = t.marked || genai.Marked(scope, span)
	t.spans = append(t.spans, rawSpan{res, scope, span})
	return true
}

// attempt is the decoded spans of one trajectory.
type attempt struct {
	seed  string // what its id is made from
	spans []*trajectory.Span
}

// assemble makes a trajectory of every trace with a GenAI marker, or of all
// traces of one rollout. A batch is all it sees: traces that arrive in pieces
// need the trajectory processor.
func (ts *traces) assemble(c *collected, writer string, now time.Time) {
	var attempts []*attempt
	rollouts := map[string]*attempt{}
	for _, id := range ts.order {
		t := ts.of[id]
		if !t.marked {
			c.skipped += len(t.spans)
			continue
		}
		a := t.decode()
		if first := rollouts[a.seed]; first != nil {
			first.spans = append(first.spans, a.spans...)
			continue
		}
		rollouts[a.seed] = a
		attempts = append(attempts, a)
	}
	for _, a := range attempts {
		c.add(trajectory.Assemble(a.spans, a.options(writer, now)))
	}
}

func (t *trace) decode() *attempt {
	a := &attempt{seed: t.spans[0].span.TraceID().String()}
	d := genai.NewDecoder(genai.Options{})
	for i, raw := range t.spans {
		s := d.Decode(raw.resource, raw.scope, raw.span)
		s.Seq = uint64(i)
		a.spans = append(a.spans, s)
	}
	for _, s := range a.spans {
		if s.Rollout != "" {
			a.seed = s.Rollout
			break
		}
	}
	return a
}

// options have a revision in ms, where a trajectory processor's are in µs: they
// rise from batch to batch, and none ever outranks what a processor saw whole.
func (a *attempt) options(writer string, now time.Time) trajectory.Options {
	o := trajectory.Options{
		ID: trajectory.IDOf(a.seed), Revision: now.UnixMilli(), FirstSeenAt: now.UnixMicro(),
		Writer: writer, CloseReason: trajectory.CloseIdle,
	}
	for _, s := range a.spans {
		if s.ParentID == (trajectory.SpanID{}) && s.End != 0 {
			o.CloseReason = trajectory.CloseComplete
		}
	}
	return o
}

func (c *collected) add(t *trajectory.Trajectory) {
	if err := t.Valid(); err != nil {
		c.bad = append(c.bad, badItem{reasonInvalid, err.Error(), trajectory.Encode(t)})
		return
	}
	c.trajectories = append(c.trajectories, t)
}
