package trajectoryprocessor

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/buffer"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// decode turns the spans that are held into items for the buffer. a.mu is held.
func (a *assembler) decode(td ptrace.Traces, s *sorted) []buffer.Item {
	cfg := a.hub.cfg
	items := make([]buffer.Item, 0, s.held)
	at := 0
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			var home *rawScope
			for _, span := range ss.Spans().All() {
				at++
				if s.fates[at-1] != hold {
					continue
				}
				it := buffer.Item{Span: a.decoders.Decode(rs.Resource(), ss.Scope(), span)}
				if cfg.Key == keyAttributes {
					it.Key = joinedBy(cfg.KeyAttributes, rs.Resource(), span)
				}
				if cfg.Emit == emitSpans {
					if home == nil {
						home = newRawScope(rs, ss)
					}
					it.Raw, it.Size = home.keep(span)
				}
				for _, r := range it.Span.Missing {
					if s.incomplete == nil {
						s.incomplete = map[trajectory.Reason]int64{}
					}
					s.incomplete[r]++
				}
				items = append(items, it)
			}
		}
	}
	return items
}

// joinedBy returns the values of the attributes of a span, else of its
// resource; "" if one is missing.
func joinedBy(names []string, res pcommon.Resource, span ptrace.Span) string {
	var b strings.Builder
	for _, n := range names {
		v, ok := span.Attributes().Get(n)
		if !ok {
			v, ok = res.Attributes().Get(n)
		}
		if !ok {
			return ""
		}
		b.WriteString(v.AsString())
		b.WriteByte(0)
	}
	return b.String()
}
