package trajectoryprocessor

import (
	"context"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/tracegrad/tracegrad/internal/buffer"
	"github.com/tracegrad/tracegrad/internal/genai"
)

// recorded says whether any log record of a request may be an agent's.
func recorded(ld plog.Logs) bool {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, r := range sl.LogRecords().All() {
				if genai.Recorded(r) {
					return true
				}
			}
		}
	}
	return false
}

// takeRecords puts what log records say into the buffer: all of a request or,
// with an error, nothing.
func (a *assembler) takeRecords(ctx context.Context, ld plog.Logs) error {
	a.mu.Lock()
	if err := a.closed(); err != nil {
		a.mu.Unlock()
		if a.hub.cfg.Storage == nil {
			return nil // the traces that they belong to are handed out
		}
		return err
	}
	now := a.now()
	err := a.addRecords(now, ld)
	tally, whole := a.buf.Take(), a.rested()
	a.mu.Unlock()
	if err != nil {
		return a.refused(ctx, ld.LogRecordCount(), err)
	}
	a.prepare(whole, now)
	a.hub.countTally(ctx, tally)
	return nil
}

// addRecords puts them into the buffer. With storage they are stored before;
// meanwhile a.mu is not held.
func (a *assembler) addRecords(now int64, ld plog.Logs) error {
	if a.durable == nil {
		items := a.decodeRecords(ld)
		switch {
		case len(items) == 0:
			return nil
		case a.buf.Full():
			return buffer.ErrFull
		}
		return a.insert(now, items)
	}
	if a.buf.Full() {
		return buffer.ErrFull
	}
	a.mu.Unlock()
	parts := recordsByTrace(ld)
	entries, err := a.keepRecords(now, parts)
	a.mu.Lock()
	if err != nil {
		return err
	}
	defer a.needless(entries)
	var items []buffer.Item
	for i, part := range parts {
		items = append(items, logged(a.decodeRecords(part), entries[i])...)
	}
	if len(items) > 0 && a.buf.Full() {
		return buffer.ErrFull
	}
	return a.insert(now, items)
}

// recordsByTrace splits a request into what may be an agent's of each trace.
// Records that name no trace stay together if a process wrote them.
func recordsByTrace(ld plog.Logs) []plog.Logs {
	type origin struct {
		trace    pcommon.TraceID
		resource int // of records without a trace; else -1
	}
	var parts []plog.Logs
	at := map[origin]int{}
	for i, rl := range ld.ResourceLogs().All() {
		to := map[int]plog.ResourceLogs{}
		for _, sl := range rl.ScopeLogs().All() {
			in := map[int]plog.ScopeLogs{}
			for _, r := range sl.LogRecords().All() {
				if !genai.Recorded(r) {
					continue
				}
				from := origin{trace: r.TraceID(), resource: -1}
				if from.trace.IsEmpty() {
					from.resource = i
				}
				n, ok := at[from]
				if !ok {
					n = len(parts)
					at[from], parts = n, append(parts, plog.NewLogs())
				}
				if _, ok := to[n]; !ok {
					to[n] = parts[n].ResourceLogs().AppendEmpty()
					rl.Resource().CopyTo(to[n].Resource())
					to[n].SetSchemaUrl(rl.SchemaUrl())
				}
				if _, ok := in[n]; !ok {
					in[n] = to[n].ScopeLogs().AppendEmpty()
					sl.Scope().CopyTo(in[n].Scope())
					in[n].SetSchemaUrl(sl.SchemaUrl())
				}
				r.CopyTo(in[n].LogRecords().AppendEmpty())
			}
		}
	}
	return parts
}

// decodeRecords turns log records into items for the buffer. a.mu is held.
func (a *assembler) decodeRecords(ld plog.Logs) []buffer.Item {
	var items []buffer.Item
	for _, s := range a.decoders.DecodeRecords(ld) {
		items = append(items, buffer.Item{Span: s})
	}
	return items
}
