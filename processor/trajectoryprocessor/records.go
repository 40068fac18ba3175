package trajectoryprocessor

import (
	"context"

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
	if a.stopped {
		a.mu.Unlock()
		return nil // the traces that they belong to are handed out
	}
	now := a.now()
	var items []buffer.Item
	entry, err := a.keepFirst(func() (uint64, error) { return a.keepRecords(now, ld) })
	if err == nil {
		items = a.decodeRecords(ld)
		if len(items) > 0 && a.buf.Full() {
			err = buffer.ErrFull
		} else {
			err = a.insert(now, items, entry)
		}
	}
	tally, whole := a.buf.Take(), a.rested()
	a.mu.Unlock()
	if err != nil {
		return a.refused(ctx, ld.LogRecordCount(), entry, err)
	}
	a.prepare(whole, now)
	a.hub.countTally(ctx, tally)
	return nil
}

// decodeRecords turns log records into items for the buffer. a.mu is held.
func (a *assembler) decodeRecords(ld plog.Logs) []buffer.Item {
	var items []buffer.Item
	for _, s := range a.decoders.DecodeRecords(ld) {
		items = append(items, buffer.Item{Span: s})
	}
	return items
}
