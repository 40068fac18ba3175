package trajectoryprocessor

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/buffer"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// rawSpan is an original span, kept for emit: spans.
type rawSpan struct {
	home *rawScope
	span ptrace.Span
}

// rawScope is where spans of one request came from.
type rawScope struct {
	resource       pcommon.Resource
	resourceSchema string
	scope          pcommon.InstrumentationScope
	schema         string
}

func newRawScope(rs ptrace.ResourceSpans, ss ptrace.ScopeSpans) *rawScope {
	home := &rawScope{
		resource: pcommon.NewResource(), resourceSchema: rs.SchemaUrl(),
		scope: pcommon.NewInstrumentationScope(), schema: ss.SchemaUrl(),
	}
	rs.Resource().CopyTo(home.resource)
	ss.Scope().CopyTo(home.scope)
	return home
}

// keep copies a span and says how many bytes that takes, roughly.
func (h *rawScope) keep(span ptrace.Span) (raw *rawSpan, size int) {
	raw = &rawSpan{home: h, span: ptrace.NewSpan()}
	span.CopyTo(raw.span)
	size = 256 + sizeOf(span.Attributes())
	for _, e := range span.Events().All() {
		size += 64 + sizeOf(e.Attributes())
	}
	return raw, size + 64*span.Links().Len()
}

func sizeOf(m pcommon.Map) int {
	n := 0
	for k, v := range m.All() {
		n += 48 + len(k) + valueSize(v)
	}
	return n
}

func valueSize(v pcommon.Value) int {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return len(v.Str())
	case pcommon.ValueTypeBytes:
		return v.Bytes().Len()
	case pcommon.ValueTypeMap:
		return sizeOf(v.Map())
	case pcommon.ValueTypeSlice:
		n := 0
		for _, e := range v.Slice().All() {
			n += 32 + valueSize(e)
		}
		return n
	default:
		return 8
	}
}

// spans appends the original spans of a trajectory that were not sent before,
// with ids, and rewards where they belong.
func (w *writer) spans(c *buffer.Closed, t *trajectory.Trajectory) {
	if len(c.Fresh) == 0 {
		return
	}
	steps := make(map[string]*trajectory.Step, len(t.Steps))
	for i := range t.Steps {
		steps[t.Steps[i].TraceID+t.Steps[i].SpanID] = &t.Steps[i]
	}
	root := rootOf(c.Spans)
	for i := range c.Fresh {
		it := &c.Fresh[i]
		raw := it.Raw.(*rawSpan)
		span := w.home(raw.home).AppendEmpty()
		raw.span.MoveTo(span)
		at := span.Attributes()
		if it.Span == root {
			summarize(at, t)
		} else {
			at.PutStr(trajectory.AttrID, t.ID)
		}
		if step := steps[it.Span.TraceID.String()+it.Span.SpanID.String()]; step != nil {
			at.PutInt(trajectory.AttrStepIndex, int64(step.Index))
			for _, r := range t.Rewards {
				if r.Step == step.Index && r.Value != nil {
					at.PutDouble(trajectory.AttrRewardPrefix+r.Name, *r.Value)
				}
			}
		}
		w.bytes += int64(it.Size)
	}
	w.trajectories++
}

// home is where spans of a scope go to in the batch.
func (w *writer) home(h *rawScope) ptrace.SpanSlice {
	if s, ok := w.byScope[h]; ok {
		return s
	}
	rs := w.td.ResourceSpans().AppendEmpty()
	h.resource.CopyTo(rs.Resource())
	rs.SetSchemaUrl(h.resourceSchema)
	ss := rs.ScopeSpans().AppendEmpty()
	h.scope.CopyTo(ss.Scope())
	ss.SetSchemaUrl(h.schema)
	w.byScope[h] = ss.Spans()
	return ss.Spans()
}

// rootOf is the span that stands for the trajectory: the first without a parent
// among the spans, a call only if there is nothing else.
func rootOf(spans []*trajectory.Span) *trajectory.Span {
	type key struct {
		trace trajectory.TraceID
		span  trajectory.SpanID
	}
	known := make(map[key]bool, len(spans))
	for _, s := range spans {
		known[key{s.TraceID, s.SpanID}] = true
	}
	var best *trajectory.Span
	for _, s := range spans {
		switch {
		case known[key{s.TraceID, s.ParentID}]:
		case best == nil || isCall(best) && !isCall(s) || isCall(best) == isCall(s) && s.Start < best.Start:
			best = s
		}
	}
	return best
}

func isCall(s *trajectory.Span) bool {
	return s.Role == trajectory.RoleModelSpan || s.Role == trajectory.RoleToolSpan
}
