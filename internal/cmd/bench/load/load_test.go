package load

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

var (
	start  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	agentK = []Kind{Semconv, OpenInference, Vercel}
)

func decoded(t *testing.T, s *Set, n int) ptrace.Traces {
	t.Helper()
	req := ptraceotlp.NewExportRequest()
	require.NoError(t, req.UnmarshalProto(s.Append(nil, n)))
	return req.Traces()
}

func each(td ptrace.Traces, visit func(ptrace.ResourceSpans, ptrace.ScopeSpans, ptrace.Span)) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				visit(rs, ss, span)
			}
		}
	}
}

// TestEveryTraceIsOneWholeRun: assembled, each trace shows all its calls and
// tools, whole and trainable, in every convention.
func TestEveryTraceIsOneWholeRun(t *testing.T) {
	for _, kind := range agentK {
		t.Run(string(kind), func(t *testing.T) {
			s, err := New(kind, start)
			require.NoError(t, err)
			assert.InDelta(t, 26_000, s.BytesPerTrace(), 1300)
			traces := map[trajectory.TraceID][]*trajectory.Span{}
			dec := genai.NewDecoder(genai.Options{})
			each(decoded(t, s, 3), func(rs ptrace.ResourceSpans, ss ptrace.ScopeSpans, span ptrace.Span) {
				id := trajectory.TraceID(span.TraceID())
				traces[id] = append(traces[id], dec.Decode(rs.Resource(), ss.Scope(), span))
			})
			assert.Len(t, traces, TracesPerRequest)
			for _, spans := range traces {
				got := trajectory.Assemble(spans, trajectory.Options{CloseReason: trajectory.CloseComplete})
				assert.Equal(t, SpansPerTrace, got.SpanCount)
				assert.Equal(t, ModelCalls, got.ModelCalls)
				assert.Equal(t, ToolRuns, got.ToolCalls)
				assert.Len(t, got.Messages, 10) // system, user, three rounds with four results, answer
				assert.True(t, got.Trainable, "%v", got.Reasons)
				assert.NotEmpty(t, got.Output)
			}
		})
	}
}

// TestNothingIsSentTwice: over two turns of all requests every span and every
// response has an id of its own, and every parent exists.
func TestNothingIsSentTwice(t *testing.T) {
	s, err := New(Mix, start)
	require.NoError(t, err)
	spans, responses := map[[24]byte]bool{}, map[string]bool{}
	calls := 0
	for n := range 2 * Requests {
		parents := map[[24]byte]bool{}
		each(decoded(t, s, n), func(_ ptrace.ResourceSpans, _ ptrace.ScopeSpans, span ptrace.Span) {
			key, parent := [24]byte{}, [24]byte{}
			trace, id, up := span.TraceID(), span.SpanID(), span.ParentSpanID()
			copy(key[copy(key[:], trace[:]):], id[:])
			copy(parent[copy(parent[:], trace[:]):], up[:])
			assert.False(t, spans[key])
			spans[key] = true
			if !up.IsEmpty() {
				parents[parent] = true
			}
			for _, k := range []string{"gen_ai.response.id", "llm.response_id"} {
				if v, ok := span.Attributes().Get(k); ok {
					responses[v.Str()] = true
					calls++
				}
			}
		})
		for p := range parents {
			assert.True(t, spans[p])
		}
	}
	assert.Len(t, spans, 2*Requests*SpansPerRequest)
	assert.Len(t, responses, calls)
	assert.Equal(t, 2*Requests*TracesPerRequest*ModelCalls, calls)
}

// TestSameArgumentsSameBytes: runs on different days and machines compare.
func TestSameArgumentsSameBytes(t *testing.T) {
	a, err := New(Mix, start)
	require.NoError(t, err)
	b, err := New(Mix, start)
	require.NoError(t, err)
	for n := range 3 {
		assert.True(t, bytes.Equal(a.Append(nil, n), b.Append([]byte("x"), n)[1:]))
	}
}

func TestOrdinarySpansHaveNoMarker(t *testing.T) {
	s, err := New(Ordinary, start)
	require.NoError(t, err)
	n := 0
	each(decoded(t, s, 0), func(_ ptrace.ResourceSpans, ss ptrace.ScopeSpans, span ptrace.Span) {
		n++
		assert.False(t, genai.Marked(ss.Scope(), span), span.Name())
	})
	assert.Equal(t, SpansPerRequest, n)
	_, err = New("poetry", start)
	assert.ErrorContains(t, err, "poetry")
}

// TestEveryShapeIsWholeRuns: put together again, the requests of a group are whole
// runs, every span once; and about as many traces are open as the shape says.
func TestEveryShapeIsWholeRuns(t *testing.T) {
	for _, shape := range Shapes {
		for _, kind := range agentK {
			t.Run(shape.Name+"/"+string(kind), func(t *testing.T) {
				s, err := NewShaped(kind, shape, start)
				require.NoError(t, err)
				traces := map[trajectory.TraceID][]*trajectory.Span{}
				dec := genai.NewDecoder(genai.Options{})
				for part := range shape.Requests {
					req := ptraceotlp.NewExportRequest()
					require.NoError(t, req.UnmarshalProto(s.AppendPart(nil, Request{5, part})))
					require.Positive(t, req.Traces().SpanCount())
					each(req.Traces(), func(rs ptrace.ResourceSpans, ss ptrace.ScopeSpans, span ptrace.Span) {
						id := trajectory.TraceID(span.TraceID())
						traces[id] = append(traces[id], dec.Decode(rs.Resource(), ss.Scope(), span))
					})
				}
				assert.Len(t, traces, shape.Traces)
				for _, spans := range traces {
					got := trajectory.Assemble(spans, trajectory.Options{CloseReason: trajectory.CloseComplete})
					assert.Equal(t, shape.Spans(), got.SpanCount)
					assert.Equal(t, shape.Calls, got.ModelCalls)
					assert.Equal(t, shape.ToolRuns(), got.ToolCalls)
					assert.True(t, got.Trainable, "%v", got.Reasons)
				}
			})
		}
	}
}

func TestOrderSendsEveryRequestOnceAndKeepsTracesOpen(t *testing.T) {
	for _, shape := range append(Shapes, Shapes[4].WithOpen(10_000)) {
		groups := 4 * shape.Open / shape.Traces
		next, open, most := map[int]int{}, 0, 0
		for _, r := range shape.Order(groups) {
			require.Equal(t, next[r.Group], r.Part, "the parts of a group come in order")
			if next[r.Group]++; r.Part == 0 {
				open += shape.Traces
			}
			most = max(most, open)
			if r.Part == shape.Requests-1 {
				open -= shape.Traces
			}
		}
		assert.Len(t, next, groups)
		assert.Zero(t, open)
		assert.InDelta(t, shape.Open, most, float64(shape.Open)/4+float64(shape.Traces*shape.Requests), shape.Name)
	}
}
