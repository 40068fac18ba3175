package buffer

import "github.com/tracegrad/tracegrad/internal/trajectory"

// readRecords looks anew at the call of a trace that has log records and may be
// a fragment: what its prompt says decides what it continues.
func (b *Buffer) readRecords(t *trace) {
	if !t.records || t.agent || t.root || t.session != nil {
		return
	}
	var call *trajectory.Span
	for _, s := range trajectory.Join(t.spans) {
		if s.ParentID == (trajectory.SpanID{}) && isCall(s) && (call == nil || s.Start < call.Start) {
			call = s
		}
	}
	if call != nil {
		b.unlink(t)
		t.call = call
	}
}
