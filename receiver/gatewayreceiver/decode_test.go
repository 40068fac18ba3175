package gatewayreceiver

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// decode sends one request through a gateway and reads its span as the rest of
// tracegrad does.
func decode(t *testing.T, body string, handler http.HandlerFunc, change func(*Config)) *trajectory.Span {
	t.Helper()
	sink := new(consumertest.TracesSink)
	b := start(t, handler, sink, change)
	b.post(body, "X-Conversation-Id", "c-1", "X-Agent-Name", "planner")
	b.span(sink)
	rs := sink.AllTraces()[0].ResourceSpans().At(0)
	ss := rs.ScopeSpans().At(0)
	return genai.NewDecoder(genai.Options{}).Decode(rs.Resource(), ss.Scope(), ss.Spans().At(0))
}

// TestSpanDecodes: what the gateway writes is what internal/genai reads.
func TestSpanDecodes(t *testing.T) {
	r := recorded(t, "chat_tool_result_turn")
	s := decode(t, string(r.request), func(w http.ResponseWriter, _ *http.Request) { r.serve(w) }, nil)
	require.Equal(t, trajectory.RoleModelSpan, s.Role)
	assert.Empty(t, s.Missing)
	assert.Empty(t, s.Error)
	assert.Equal(t, "c-1", s.Conversation)
	assert.Equal(t, "planner", s.Agent)
	c := s.Call
	assert.Equal(t, []string{"openai", "base", "base", "length"}, []string{c.Provider, c.RequestModel, c.ResponseModel, c.FinishReason})
	assert.Equal(t, int64(7), *c.Seed)
	assert.Equal(t, int64(12), *c.MaxTokens)
	assert.InDelta(t, 1.0, *c.Temperature, 0)
	assert.NotEmpty(t, c.ResponseID)
	require.Len(t, c.Prompt, 4)
	assert.Equal(t, &trajectory.Message{Role: "system", Text: "You are a helpful assistant."}, c.Prompt[0])
	assert.Equal(t, []trajectory.ToolCall{{ID: "call_1", Name: "get_weather", Arguments: `{"city": "Paris"}`}}, c.Prompt[2].ToolCalls)
	assert.Equal(t, &trajectory.Message{Role: "tool", Text: "sunny", ToolCallID: "call_1"}, c.Prompt[3])
	require.Len(t, c.Reply, 1)
	assert.Equal(t, "assistant", c.Reply[0].Role)
	assert.NotEmpty(t, c.Reply[0].Text)
}

func TestStreamedToolCallDecodes(t *testing.T) {
	s := decode(t, helloStream, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, `data: {"id":"x","choices":[{"index":0,"delta":{"role":"assistant","reasoning_content":"Hm.","tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"get_weather","arguments":"{\"city\":"}}]}}]}

data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"Oslo\"}"}}]},"finish_reason":"tool_calls"}]}

data: [DONE]

`)
	}, nil)
	assert.Empty(t, s.Missing)
	require.Len(t, s.Call.Reply, 1)
	assert.Equal(t, "Hm.", s.Call.Reply[0].Reasoning)
	assert.Equal(t, []trajectory.ToolCall{{ID: "call_1", Name: "get_weather", Arguments: `{"city":"Oslo"}`}}, s.Call.Reply[0].ToolCalls)
}

func TestInjectedSpanDecodes(t *testing.T) {
	packed := writeBundle(t, bundle.StatusReleased)
	s := decode(t, hello, answering, withBundle(packed.Dir))
	assert.Equal(t, packed.ID(), s.Call.Bundle)
	require.Len(t, s.Call.Prompt, 1, "what was injected is not a message of the agent")
	assert.Equal(t, &trajectory.Message{Role: "user", Text: "hi"}, s.Call.Prompt[0])
}

// Content that was left out is missing with a reason, not absent.
func TestDroppedContentDecodes(t *testing.T) {
	s := decode(t, hello, answering, func(c *Config) { c.MaxCaptureBytes = 1 })
	assert.Contains(t, s.Missing, trajectory.ReasonDropped)
}
