package genai

import (
	"iter"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

const (
	// maxDecoders bounds each of the two generations of decoders.
	maxDecoders = 4096

	// maxSpare bounds the decoders that wait to be used again.
	maxSpare = 256

	// maxLooseBytes is what the decoder of fragments may remember.
	maxLooseBytes = 4 << 20
)

// Decoders keeps a decoder for every trace that is busy, so that a history that
// is sent again is parsed once. It is a cache: a decoder that is gone costs one
// more parse. It is not safe for concurrent use.
type Decoders struct {
	opt       Options
	young     map[trajectory.TraceID]*Decoder
	old       map[trajectory.TraceID]*Decoder
	spare     []*Decoder
	loose     *Decoder // of traces that begin with a root: fragments, mostly, whose history is in other traces
	looseSize int
}

// NewDecoders returns an empty cache.
func NewDecoders(opt Options) *Decoders {
	d := &Decoders{opt: opt}
	d.Clear()
	return d
}

// Clear forgets everything.
func (d *Decoders) Clear() {
	d.young, d.old, d.spare = map[trajectory.TraceID]*Decoder{}, nil, nil
	d.loose, d.looseSize = NewDecoder(d.opt), 0
}

// Drop forgets a trace: most likely no more of its spans come.
func (d *Decoders) Drop(id trajectory.TraceID) {
	if dec := d.Take(id); dec != nil && len(d.spare) < maxSpare {
		dec.Forget()
		d.spare = append(d.spare, dec)
	}
}

// Refused forgets what it decoded of spans that were not taken after all: texts
// that come again are then counted again.
func (d *Decoders) Refused(spans iter.Seq[*trajectory.Span]) {
	for s := range spans {
		d.Drop(s.TraceID)
	}
	d.loose.Forget()
	d.looseSize = 0
}

// Take is the decoder of a trace, nil for none. It is the caller's.
func (d *Decoders) Take(id trajectory.TraceID) *Decoder {
	dec := d.young[id]
	if dec == nil {
		dec = d.old[id]
	}
	delete(d.young, id)
	delete(d.old, id)
	return dec
}

// Recycle takes a decoder back, with all that it decoded: see [Decoder.Recycle].
func (d *Decoders) Recycle(dec *Decoder) {
	if dec != nil && len(d.spare) < maxSpare {
		dec.Recycle()
		d.spare = append(d.spare, dec)
	}
}

func (d *Decoders) fresh() *Decoder {
	if n := len(d.spare) - 1; n >= 0 {
		dec := d.spare[n]
		d.spare = d.spare[:n]
		return dec
	}
	return NewDecoder(d.opt)
}

// Decode reads one span: see [Decoder.Decode].
func (d *Decoders) Decode(res pcommon.Resource, scope pcommon.InstrumentationScope, span ptrace.Span) *trajectory.Span {
	id := trajectory.TraceID(span.TraceID())
	if span.ParentSpanID().IsEmpty() && d.young[id] == nil && d.old[id] == nil {
		return d.decodeLoose(res, scope, span)
	}
	return d.of(id).Decode(res, scope, span)
}

// of is the decoder of a trace.
func (d *Decoders) of(id trajectory.TraceID) *Decoder {
	dec := d.young[id]
	if dec != nil {
		return dec
	}
	if dec = d.old[id]; dec == nil {
		dec = d.fresh()
	}
	if len(d.young) >= maxDecoders {
		d.old, d.young = d.young, make(map[trajectory.TraceID]*Decoder, maxDecoders)
	}
	d.young[id] = dec
	return dec
}

func (d *Decoders) decodeLoose(res pcommon.Resource, scope pcommon.InstrumentationScope, span ptrace.Span) *trajectory.Span {
	s := d.loose.Decode(res, scope, span)
	d.remember(s)
	return s
}

// remember bounds what the decoder of fragments remembers.
func (d *Decoders) remember(s *trajectory.Span) {
	if d.looseSize += max(s.Size, 0); d.looseSize > maxLooseBytes {
		d.loose, d.looseSize = NewDecoder(d.opt), 0
	}
}

// DecodeRecords reads the log records of a request that say something of an
// agent's call, as [Decoder.DecodeRecord] does. Those that name no trace have
// none: their session tells whose they are.
func (d *Decoders) DecodeRecords(ld plog.Logs) []*trajectory.Span {
	var list []*trajectory.Span
	same := map[trajectory.SpanID]int{} // records of this request that say the same at the same time
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, r := range sl.LogRecords().All() {
				if !Recorded(r) {
					continue
				}
				id := RecordID(r)
				if s := d.decodeRecord(rl.Resource(), sl.Scope(), r, same[id]); s != nil {
					list = append(list, s)
				}
				same[id]++
			}
		}
	}
	return list
}

func (d *Decoders) decodeRecord(res pcommon.Resource, scope pcommon.InstrumentationScope, r plog.LogRecord, nth int) *trajectory.Span {
	if id := trajectory.TraceID(r.TraceID()); id != (trajectory.TraceID{}) {
		return d.of(id).DecodeRecord(res, scope, r, nth)
	}
	s := d.loose.DecodeRecord(res, scope, r, nth)
	if s != nil {
		d.remember(s)
	}
	return s
}
