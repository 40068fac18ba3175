package trajectoryprocessor

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/processor/trajectoryprocessor/internal/metadata"
)

// testSpan is one span of a request.
type testSpan struct {
	trace, span, parent byte
	service             string
	attrs               map[string]any
}

// request makes a request; every service is a resource.
func request(spans ...testSpan) ptrace.Traces {
	td := ptrace.NewTraces()
	byService := map[string]ptrace.SpanSlice{}
	for _, s := range spans {
		slice, ok := byService[s.service]
		if !ok {
			rs := td.ResourceSpans().AppendEmpty()
			rs.Resource().Attributes().PutStr("service.name", s.service)
			rs.SetSchemaUrl("resource-schema")
			ss := rs.ScopeSpans().AppendEmpty()
			ss.Scope().SetName("test")
			ss.SetSchemaUrl("scope-schema")
			slice = ss.Spans()
			byService[s.service] = slice
		}
		span := slice.AppendEmpty()
		span.SetTraceID(pcommon.TraceID{s.trace})
		span.SetSpanID(pcommon.SpanID{s.span})
		if s.parent != 0 {
			span.SetParentSpanID(pcommon.SpanID{s.parent})
		}
		now := time.Now()
		span.SetName(fmt.Sprintf("span %d", s.span))
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(now))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(now.Add(time.Millisecond)))
		if err := span.Attributes().FromRaw(s.attrs); err != nil {
			panic(err)
		}
	}
	return td
}

func agent(trace, span, parent byte) testSpan {
	return testSpan{trace: trace, span: span, parent: parent, service: "shop", attrs: map[string]any{
		"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "assistant", "gen_ai.conversation.id": "c1", "user.id": "u1",
	}}
}

func chat(trace, span, parent byte) testSpan {
	return testSpan{trace: trace, span: span, parent: parent, service: "shop", attrs: map[string]any{
		"gen_ai.operation.name":  "chat",
		"gen_ai.request.model":   "m",
		"gen_ai.input.messages":  `[{"role":"user","parts":[{"type":"text","content":"Where is my parcel?"}]}]`,
		"gen_ai.output.messages": `[{"role":"assistant","parts":[{"type":"text","content":"In Oslo."}],"finish_reason":"stop"}]`,
	}}
}

func tool(trace, span, parent byte) testSpan {
	return testSpan{trace: trace, span: span, parent: parent, service: "shop", attrs: map[string]any{
		"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "track", "gen_ai.tool.call.id": "call_1",
		"gen_ai.tool.call.arguments": `{"id":1}`, "gen_ai.tool.call.result": "Oslo",
	}}
}

func ordinary(trace, span, parent byte) testSpan {
	return testSpan{trace: trace, span: span, parent: parent, service: "web", attrs: map[string]any{"http.request.method": "GET"}}
}

// running is a started processor with a sink behind it.
type running struct {
	processor.Traces
	sink *consumertest.TracesSink
}

func start(t *testing.T, cfg *Config, set processor.Settings, next consumer.Traces) running {
	t.Helper()
	sink := &consumertest.TracesSink{}
	if next == nil {
		next = sink
	}
	p, err := NewFactory().CreateTraces(t.Context(), set, cfg, next)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	return running{p, sink}
}

func nopSettings() processor.Settings { return processortest.NewNopSettings(metadata.Type) }

func defaults() *Config { return createDefaultConfig().(*Config) }

func (r running) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, r.Shutdown(context.WithoutCancel(t.Context())))
}

// trajectories decodes what left as trajectories.
func trajectories(t *testing.T, list []ptrace.Traces) []*trajectory.Trajectory {
	t.Helper()
	var out []*trajectory.Trajectory
	for span := range allSpans(list) {
		raw, ok := span.Attributes().Get(trajectory.AttrTrajectory)
		if !ok {
			continue
		}
		tr, err := trajectory.Decode(raw.Bytes().AsRaw())
		require.NoError(t, err)
		out = append(out, tr)
	}
	return out
}

func allSpans(list []ptrace.Traces) func(func(ptrace.Span) bool) {
	return func(yield func(ptrace.Span) bool) {
		for _, td := range list {
			for _, rs := range td.ResourceSpans().All() {
				for _, ss := range rs.ScopeSpans().All() {
					for _, s := range ss.Spans().All() {
						if !yield(s) {
							return
						}
					}
				}
			}
		}
	}
}
