package trajectoryprocessor

import (
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/buffer"
	"github.com/tracegrad/tracegrad/internal/genai"
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
					it.Key = genai.JoinedBy(cfg.KeyAttributes, rs.Resource(), span)
				}
				if cfg.Emit == emitSpans && ss.Scope().Name() != passedScope {
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
