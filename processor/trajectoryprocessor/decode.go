package trajectoryprocessor

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
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
				it := buffer.Item{Span: a.decoders.decode(rs.Resource(), ss.Scope(), span)}
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

const (
	// maxDecoders bounds each of the two generations of decoders.
	maxDecoders = 4096

	// maxSpare bounds the decoders that wait to be used again.
	maxSpare = 256

	// maxLooseBytes is what the decoder of fragments may remember.
	maxLooseBytes = 4 * mib
)

// decoders keeps a decoder for every trace that is busy, so that a history that
// is sent again is parsed once. It is a cache: a decoder that is gone costs one
// more parse.
type decoders struct {
	opt       genai.Options
	young     map[trajectory.TraceID]*genai.Decoder
	old       map[trajectory.TraceID]*genai.Decoder
	spare     []*genai.Decoder
	loose     *genai.Decoder // of traces that begin with a root: fragments, mostly, whose history is in other traces
	looseSize int
}

func newDecoders(opt genai.Options) decoders {
	d := decoders{opt: opt}
	d.clear()
	return d
}

func (d *decoders) clear() {
	d.young, d.old, d.spare = map[trajectory.TraceID]*genai.Decoder{}, nil, nil
	d.loose, d.looseSize = genai.NewDecoder(d.opt), 0
}

func (d *decoders) drop(id trajectory.TraceID) {
	if dec := d.take(id); dec != nil && len(d.spare) < maxSpare {
		dec.Forget()
		d.spare = append(d.spare, dec)
	}
}

// take is the decoder of a trace, nil for none. It is the caller's.
func (d *decoders) take(id trajectory.TraceID) *genai.Decoder {
	dec := d.young[id]
	if dec == nil {
		dec = d.old[id]
	}
	delete(d.young, id)
	delete(d.old, id)
	return dec
}

// recycle takes a decoder back, with all that it decoded.
func (d *decoders) recycle(dec *genai.Decoder) {
	if dec != nil && len(d.spare) < maxSpare {
		dec.Recycle()
		d.spare = append(d.spare, dec)
	}
}

func (d *decoders) fresh() *genai.Decoder {
	if n := len(d.spare) - 1; n >= 0 {
		dec := d.spare[n]
		d.spare = d.spare[:n]
		return dec
	}
	return genai.NewDecoder(d.opt)
}

func (d *decoders) decode(res pcommon.Resource, scope pcommon.InstrumentationScope, span ptrace.Span) *trajectory.Span {
	id := trajectory.TraceID(span.TraceID())
	if span.ParentSpanID().IsEmpty() && d.young[id] == nil && d.old[id] == nil {
		return d.decodeLoose(res, scope, span)
	}
	return d.of(id).Decode(res, scope, span)
}

// of is the decoder of a trace.
func (d *decoders) of(id trajectory.TraceID) *genai.Decoder {
	dec := d.young[id]
	if dec != nil {
		return dec
	}
	if dec = d.old[id]; dec == nil {
		dec = d.fresh()
	}
	if len(d.young) >= maxDecoders {
		d.old, d.young = d.young, make(map[trajectory.TraceID]*genai.Decoder, maxDecoders)
	}
	d.young[id] = dec
	return dec
}

func (d *decoders) decodeLoose(res pcommon.Resource, scope pcommon.InstrumentationScope, span ptrace.Span) *trajectory.Span {
	s := d.loose.Decode(res, scope, span)
	if d.looseSize += max(s.Size, 0); d.looseSize > maxLooseBytes {
		d.loose, d.looseSize = genai.NewDecoder(d.opt), 0
	}
	return s
}
