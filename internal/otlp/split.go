package otlp

import (
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// split distributes the items of r over n requests; part says where the i-th
// item goes. Parts without an item are left out. Each keeps the resources and
// scopes of its items.
func (r Request) split(n int, part func(i int) int) []Request {
	to := make([]int, r.Items())
	for i := range to {
		to[i] = part(i)
	}
	var out []Request
	for p := range n {
		piece := r.pick(func(i int) bool { return to[i] == p })
		if piece.Items() > 0 {
			out = append(out, piece)
		}
	}
	return out
}

// halve splits a request of at least two items in the middle.
func (r Request) halve() []Request {
	half := r.Items() / 2
	return r.split(2, func(i int) int {
		if i < half {
			return 0
		}
		return 1
	})
}

// clone returns a copy that shares nothing with r.
func (r Request) clone() Request { return r.pick(func(int) bool { return true }) }

// pick returns a copy with only the items for which keep is true.
func (r Request) pick(keep func(i int) bool) Request {
	i := -1
	drop := func() bool { i++; return !keep(i) }
	if r.Signal == Logs {
		ld := plog.NewLogs()
		r.Logs.CopyTo(ld)
		ld.ResourceLogs().RemoveIf(func(rl plog.ResourceLogs) bool {
			rl.ScopeLogs().RemoveIf(func(sl plog.ScopeLogs) bool {
				sl.LogRecords().RemoveIf(func(plog.LogRecord) bool { return drop() })
				return sl.LogRecords().Len() == 0
			})
			return rl.ScopeLogs().Len() == 0
		})
		r.Logs = ld
		return r
	}
	td := ptrace.NewTraces()
	r.Traces.CopyTo(td)
	td.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
		rs.ScopeSpans().RemoveIf(func(ss ptrace.ScopeSpans) bool {
			ss.Spans().RemoveIf(func(ptrace.Span) bool { return drop() })
			return ss.Spans().Len() == 0
		})
		return rs.ScopeSpans().Len() == 0
	})
	r.Traces = td
	return r
}
