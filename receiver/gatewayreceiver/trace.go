package gatewayreceiver

import (
	"context"
	"net/http"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// traceContext is the place of a call's span.
type traceContext struct {
	trace  pcommon.TraceID
	span   pcommon.SpanID
	parent pcommon.SpanID // empty: the span is a root
	flags  trace.TraceFlags
	state  string
}

// continueTrace makes a new span below the one that the request's traceparent
// names, else a root. random fills a slice with random bytes.
func continueTrace(h http.Header, random func([]byte)) traceContext {
	var tc traceContext
	random(tc.span[:])
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(h))
	if in := trace.SpanContextFromContext(ctx); in.IsValid() {
		tc.trace, tc.parent = pcommon.TraceID(in.TraceID()), pcommon.SpanID(in.SpanID())
		tc.flags, tc.state = in.TraceFlags(), in.TraceState().String()
		return tc
	}
	random(tc.trace[:])
	tc.flags = trace.FlagsSampled
	return tc
}

// inject makes the upstream's spans children of the call's.
func (tc traceContext) inject(h http.Header) {
	state, err := trace.ParseTraceState(tc.state)
	if err != nil { // it was written by Extract
		panic("internal error: " + err.Error())
	}
	sc := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID(tc.trace), SpanID: trace.SpanID(tc.span), TraceFlags: tc.flags, TraceState: state,
	})
	h.Del("tracestate")
	propagation.TraceContext{}.Inject(trace.ContextWithSpanContext(context.Background(), sc), propagation.HeaderCarrier(h))
}

// OTLP's span flags beyond those of the W3C.
const (
	flagHasIsRemote = 0x100
	flagIsRemote    = 0x200
)

func (tc traceContext) otlpFlags() uint32 {
	flags := uint32(tc.flags) | flagHasIsRemote
	if !tc.parent.IsEmpty() {
		flags |= flagIsRemote
	}
	return flags
}
