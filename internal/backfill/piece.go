package backfill

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/tracegrad/tracegrad/internal/otlp"
)

// grid is how exactly the time of arrival is told, in ns. What arrives within
// it arrives at once; the clocks of the buffer are far slower.
const grid = 10_000_000_000

// piece is the spans or log records of one request that arrived together.
type piece struct {
	at     int64 // ns, on the grid
	signal otlp.Signal
	data   []byte // an export request, protobuf
}

// spanTime is when a span was sent: SDKs send it when it has ended.
func spanTime(s ptrace.Span) int64 {
	if t := onGrid(s.EndTimestamp()); t > 0 {
		return t
	}
	return onGrid(s.StartTimestamp())
}

func recordTime(r plog.LogRecord) int64 {
	if t := onGrid(r.Timestamp()); t > 0 {
		return t
	}
	return onGrid(r.ObservedTimestamp())
}

// onGrid is 0 for a time that is not known.
func onGrid(t pcommon.Timestamp) int64 {
	if ns := int64(t); ns > 0 { //nolint:gosec // what does not fit is no time
		return ns - ns%grid
	}
	return 0
}

// cutter cuts requests into pieces. What has no time arrives with what stood
// before it in its file.
type cutter struct {
	last        int64
	first, most int64 // times that were seen, 0 = none
	times       []int64
}

func (c *cutter) at(t int64) int64 {
	if t == 0 {
		return c.last
	}
	if c.first == 0 || t < c.first {
		c.first = t
	}
	c.last, c.most = t, max(c.most, t)
	return t
}

// cut yields the pieces of a request, which it takes apart.
func (c *cutter) cut(req otlp.Request, yield func(piece) error) error {
	if req.Signal == otlp.Logs {
		return c.cutLogs(req.Logs, yield)
	}
	return c.cutTraces(req.Traces, yield)
}

func (c *cutter) cutTraces(td ptrace.Traces, yield func(piece) error) error {
	c.times = c.times[:0]
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				c.times = append(c.times, c.at(spanTime(s)))
			}
		}
	}
	if same(c.times) {
		return giveTraces(c.times, td, yield)
	}
	parts := map[int64]*tracesPart{}
	var order []int64
	i := 0
	for r, rs := range td.ResourceSpans().All() {
		for n, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				at := c.times[i]
				i++
				p := parts[at]
				if p == nil {
					p = &tracesPart{td: ptrace.NewTraces(), resource: -1}
					parts[at], order = p, append(order, at)
				}
				s.MoveTo(p.home(r, n, rs, ss).AppendEmpty())
			}
		}
	}
	for _, at := range order {
		if err := giveTraces([]int64{at}, parts[at].td, yield); err != nil {
			return err
		}
	}
	return nil
}

// tracesPart is a request in the making.
type tracesPart struct {
	td              ptrace.Traces
	resource, scope int // where the last span came from
	rs              ptrace.ResourceSpans
	spans           ptrace.SpanSlice
}

// home is where spans of a resource and scope go to.
func (p *tracesPart) home(resource, scope int, rs ptrace.ResourceSpans, ss ptrace.ScopeSpans) ptrace.SpanSlice {
	if p.resource != resource {
		p.rs = p.td.ResourceSpans().AppendEmpty()
		rs.Resource().CopyTo(p.rs.Resource())
		p.rs.SetSchemaUrl(rs.SchemaUrl())
		p.resource, p.scope = resource, -1
	}
	if p.scope != scope {
		to := p.rs.ScopeSpans().AppendEmpty()
		ss.Scope().CopyTo(to.Scope())
		to.SetSchemaUrl(ss.SchemaUrl())
		p.scope, p.spans = scope, to.Spans()
	}
	return p.spans
}

func (c *cutter) cutLogs(ld plog.Logs, yield func(piece) error) error {
	c.times = c.times[:0]
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, r := range sl.LogRecords().All() {
				c.times = append(c.times, c.at(recordTime(r)))
			}
		}
	}
	if same(c.times) {
		return giveLogs(c.times, ld, yield)
	}
	parts := map[int64]*logsPart{}
	var order []int64
	i := 0
	for r, rl := range ld.ResourceLogs().All() {
		for n, sl := range rl.ScopeLogs().All() {
			for _, rec := range sl.LogRecords().All() {
				at := c.times[i]
				i++
				p := parts[at]
				if p == nil {
					p = &logsPart{ld: plog.NewLogs(), resource: -1}
					parts[at], order = p, append(order, at)
				}
				rec.MoveTo(p.home(r, n, rl, sl).AppendEmpty())
			}
		}
	}
	for _, at := range order {
		if err := giveLogs([]int64{at}, parts[at].ld, yield); err != nil {
			return err
		}
	}
	return nil
}

// logsPart is a request in the making.
type logsPart struct {
	ld              plog.Logs
	resource, scope int
	rl              plog.ResourceLogs
	records         plog.LogRecordSlice
}

func (p *logsPart) home(resource, scope int, rl plog.ResourceLogs, sl plog.ScopeLogs) plog.LogRecordSlice {
	if p.resource != resource {
		p.rl = p.ld.ResourceLogs().AppendEmpty()
		rl.Resource().CopyTo(p.rl.Resource())
		p.rl.SetSchemaUrl(rl.SchemaUrl())
		p.resource, p.scope = resource, -1
	}
	if p.scope != scope {
		to := p.rl.ScopeLogs().AppendEmpty()
		sl.Scope().CopyTo(to.Scope())
		to.SetSchemaUrl(sl.SchemaUrl())
		p.scope, p.records = scope, to.LogRecords()
	}
	return p.records
}

func same(times []int64) bool {
	for _, t := range times {
		if t != times[0] {
			return false
		}
	}
	return true
}

func giveTraces(times []int64, td ptrace.Traces, yield func(piece) error) error {
	if len(times) == 0 {
		return nil
	}
	data, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	if err != nil {
		return err
	}
	return yield(piece{times[0], otlp.Traces, data})
}

func giveLogs(times []int64, ld plog.Logs, yield func(piece) error) error {
	if len(times) == 0 {
		return nil
	}
	data, err := plogotlp.NewExportRequestFromLogs(ld).MarshalProto()
	if err != nil {
		return err
	}
	return yield(piece{times[0], otlp.Logs, data})
}
