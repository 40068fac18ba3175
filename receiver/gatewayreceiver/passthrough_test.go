package gatewayreceiver

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/tracegrad/tracegrad/receiver/gatewayreceiver/internal/metadatatest"
)

const hello = `{"model":"m","messages":[{"role":"user","content":"hi"}]}`

// answering is an upstream with one plain answer.
func answering(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"id":"x","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}]}`)
}

func (b *bench) assertOutcome(want outcome) {
	b.t.Helper()
	metadatatest.AssertEqualReceiverLlmGatewayRequests(b.t.(*testing.T), b.telemetry,
		[]metricdata.DataPoint[int64]{{Value: 1, Attributes: attribute.NewSet(attribute.String("outcome", string(want)))}},
		metricdatatest.IgnoreTimestamp())
}

func TestCredentialsPassAndStaySecret(t *testing.T) {
	var seen http.Header
	sink := new(consumertest.TracesSink)
	b := start(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Clone()
		answering(w, r)
	}, sink, nil)
	b.post(hello, "Authorization", "Bearer sk-secret", "X-Api-Key", "key-secret", "Cookie", "a=secret", "X-Custom", "kept", "Expect", "100-continue")

	assert.Equal(t, []string{"Bearer sk-secret"}, seen.Values("Authorization"))
	assert.Equal(t, "key-secret", seen.Get("X-Api-Key"))
	assert.Equal(t, "kept", seen.Get("X-Custom"))
	assert.Equal(t, "identity", seen.Get("Accept-Encoding"))
	assert.Empty(t, seen.Values("Expect"))
	assert.Empty(t, seen.Values("X-Forwarded-For"))

	b.span(sink)
	raw, err := (&ptrace.JSONMarshaler{}).MarshalTraces(sink.AllTraces()[0])
	require.NoError(t, err)
	assert.NotContains(t, string(raw), "secret")
	logs, err := json.Marshal(b.logs.All())
	require.NoError(t, err)
	assert.NotContains(t, string(logs), "secret")
}

func TestUpstreamHeadersReplace(t *testing.T) {
	var seen []string
	b := start(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Values("Authorization")
		answering(w, r)
	}, consumertest.NewNop(), func(c *Config) {
		c.Upstream.Headers = configopaque.MapList{{Name: "authorization", Value: "Bearer upstream"}}
	})
	b.post(hello, "Authorization", "Bearer agent")
	assert.Equal(t, []string{"Bearer upstream"}, seen)
}

func TestHopByHopHeaders(t *testing.T) {
	var seen http.Header
	b := start(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Clone()
		w.Header().Set("Connection", "X-Hop")
		w.Header().Set("X-Hop", "1")
		w.Header().Set("X-Kept", "1")
		answering(w, r)
	}, consumertest.NewNop(), nil)
	res, _ := b.post(hello, "Connection", "X-Mine, Upgrade", "X-Mine", "1", "Upgrade", "websocket", "Te", "gzip", "Proxy-Authorization", "x", "Keep-Alive", "1")
	for _, h := range []string{"X-Mine", "Upgrade", "Connection", "Te", "Proxy-Authorization", "Keep-Alive"} {
		assert.Empty(t, seen.Values(h), h)
	}
	assert.Empty(t, res.Header.Get("X-Hop"))
	assert.Equal(t, "1", res.Header.Get("X-Kept"))
}

func TestTraceContinues(t *testing.T) {
	for name, c := range map[string]struct {
		in, state         string
		trace, parent     string
		flags             uint32
		out, outState     string
		wantOutStateEmpty bool
	}{
		"child": {
			in: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", state: "a=b",
			trace: "4bf92f3577b34da6a3ce929d0e0e4736", parent: "00f067aa0ba902b7", flags: 0x301,
			out: "00-4bf92f3577b34da6a3ce929d0e0e4736-0101010101010101-01", outState: "a=b",
		},
		"not sampled": {
			in:    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
			trace: "4bf92f3577b34da6a3ce929d0e0e4736", parent: "00f067aa0ba902b7", flags: 0x300,
			out: "00-4bf92f3577b34da6a3ce929d0e0e4736-0101010101010101-00",
		},
		"root":    {trace: "02020202020202020202020202020202", flags: 0x101, out: "00-02020202020202020202020202020202-0101010101010101-01"},
		"invalid": {in: "00-zz-00-01", state: "a=b", trace: "02020202020202020202020202020202", flags: 0x101, out: "00-02020202020202020202020202020202-0101010101010101-01"},
	} {
		t.Run(name, func(t *testing.T) {
			var seen http.Header
			sink := new(consumertest.TracesSink)
			b := start(t, func(w http.ResponseWriter, r *http.Request) {
				seen = r.Header.Clone()
				answering(w, r)
			}, sink, nil)
			b.post(hello, "Traceparent", c.in, "Tracestate", c.state)
			assert.Equal(t, c.out, seen.Get("Traceparent"))
			assert.Equal(t, c.outState, seen.Get("Tracestate"))
			s := b.span(sink)
			assert.Equal(t, c.trace, s.TraceID().String())
			assert.Equal(t, c.parent, s.ParentSpanID().String())
			assert.Equal(t, "0101010101010101", s.SpanID().String())
			assert.Equal(t, c.flags, s.Flags())
			assert.Equal(t, ptrace.SpanKindClient, s.Kind())
		})
	}
}

func TestNames(t *testing.T) {
	sink := new(consumertest.TracesSink)
	b := start(t, answering, sink, func(c *Config) { c.Agent, c.Provider = "default", "vllm" })
	b.post(hello)
	b.post(hello, "X-Agent-Name", "planner", "X-Conversation-Id", "c-1")
	b.post(hello, "X-Agent-Name", strings.Repeat("x", maxNameBytes+1), "X-Conversation-Id", "caf\xe9")
	got := map[any]any{}
	for _, s := range b.spans(sink) {
		assert.Equal(t, "vllm", attr(s, "gen_ai.provider.name"))
		got[attr(s, "gen_ai.conversation.id")] = attr(s, "gen_ai.agent.name")
	}
	assert.Equal(t, map[any]any{nil: "default", "c-1": "planner", "caf\ufffd": "default"}, got)
}

func TestEverythingElseIsNotFound(t *testing.T) {
	sink := new(consumertest.TracesSink)
	b := start(t, func(http.ResponseWriter, *http.Request) { t.Error("the upstream was called") }, sink, nil)
	for _, r := range [][2]string{{"GET", chatPath}, {"POST", modelsPath}, {"POST", "/v1/completions"}, {"GET", "/metrics"}, {"DELETE", "/"}, {"GET", modelsPath + "/m"}} {
		req, err := http.NewRequestWithContext(context.Background(), r[0], b.url+r[1], nil)
		require.NoError(t, err)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		assert.Equal(t, http.StatusNotFound, res.StatusCode)
		assert.JSONEq(t, `{"error":{"message":"`+r[0]+` `+r[1]+` is not served here: use POST /v1/chat/completions or GET /v1/models","type":"invalid_request_error","param":null,"code":"not_found"}}`, string(body))
	}
	assert.Empty(t, b.spans(sink))
}

func TestTooLargeRequest(t *testing.T) {
	sink := new(consumertest.TracesSink)
	b := start(t, func(http.ResponseWriter, *http.Request) { t.Error("the upstream was called") }, sink,
		func(c *Config) { c.ServerConfig.MaxRequestBodySize = 10 })
	res, body := b.post(hello)
	assert.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode)
	assert.Contains(t, string(body), "max_request_body_size of 10 bytes")
	b.assertOutcome(outcomeRejected)
	assert.Empty(t, b.spans(sink))
}

func TestUnreachableUpstream(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	sink := new(consumertest.TracesSink)
	b := start(t, answering, sink, func(c *Config) { c.Upstream.Endpoint = "http://" + ln.Addr().String() })
	res, body := b.post(hello)
	assert.Equal(t, http.StatusBadGateway, res.StatusCode)
	assert.JSONEq(t, `{"error":{"message":"the model server `+ln.Addr().String()+` did not answer","type":"gateway_error","param":null,"code":"upstream_unreachable"}}`, string(body))
	b.assertOutcome(outcomeUnreachable)
	s := b.span(sink)
	assert.Equal(t, "unreachable", attr(s, "error.type"))
	assert.Equal(t, ptrace.StatusCodeError, s.Status().Code())
	assert.NotNil(t, attr(s, "gen_ai.input.messages"))
	assert.Nil(t, attr(s, "gen_ai.output.messages"))
}

func TestUpstreamTimeout(t *testing.T) {
	sink := new(consumertest.TracesSink)
	b := start(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a server sees that its client is gone once it has the body
		<-r.Context().Done()
	}, sink,
		func(c *Config) { c.Upstream.Timeout = time.Millisecond })
	res, body := b.post(hello)
	assert.Equal(t, http.StatusGatewayTimeout, res.StatusCode)
	assert.Contains(t, string(body), "upstream_timeout")
	b.assertOutcome(outcomeTimeout)
	assert.Equal(t, "timeout", attr(b.span(sink), "error.type"))
}

func TestUpstreamBasePath(t *testing.T) {
	var path string
	b := start(t, func(w http.ResponseWriter, r *http.Request) {
		path = r.RequestURI
		answering(w, r)
	}, consumertest.NewNop(), func(c *Config) { c.Upstream.Endpoint = strings.TrimSuffix(c.Upstream.Endpoint, "/v1") + "/openai/v1/" })
	res, err := http.Get(b.url + modelsPath + "?limit=2")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	assert.Equal(t, "/openai/v1/models?limit=2", path)
}

func TestContentSwitchedOff(t *testing.T) {
	sink := new(consumertest.TracesSink)
	r := recorded(t, "err_bad_json")
	b := start(t, func(w http.ResponseWriter, _ *http.Request) { r.serve(w) }, sink, func(c *Config) { c.CaptureContent = false })
	b.post(hello)
	s := b.span(sink)
	assert.Equal(t, "m", attr(s, "gen_ai.request.model"))
	assert.Nil(t, attr(s, "gen_ai.input.messages"))
	assert.Equal(t, "400", attr(s, "error.type"))
	assert.Equal(t, "Bad Request", s.Status().Message(), "the server's words may quote the request")
	assert.Zero(t, s.DroppedAttributesCount())

	sink.Reset()
	for _, name := range []string{"chat_stream_continuous_usage", "chat"} {
		r := recorded(t, name)
		sink := new(consumertest.TracesSink)
		b := start(t, func(w http.ResponseWriter, _ *http.Request) { r.serve(w) }, sink, func(c *Config) { c.CaptureContent = false })
		b.post(string(r.request))
		s := b.span(sink)
		assert.Nil(t, attr(s, "gen_ai.output.messages"))
		assert.Equal(t, []any{"length"}, attr(s, "gen_ai.response.finish_reasons"))
		assert.Equal(t, int64(12), attr(s, "gen_ai.usage.output_tokens"))
	}
}

// Content over the limit is left out whole and counted, never cut.
func TestLargeContentIsDroppedWhole(t *testing.T) {
	for _, name := range []string{"chat", "chat_stream_plain"} {
		r := recorded(t, name)
		sink := new(consumertest.TracesSink)
		b := start(t, func(w http.ResponseWriter, _ *http.Request) { r.serve(w) }, sink, func(c *Config) { c.MaxCaptureBytes = 30 })
		_, answer := b.post(string(r.request))
		assert.Equal(t, string(r.response), string(answer))
		s := b.span(sink)
		assert.Nil(t, attr(s, "gen_ai.input.messages"))
		assert.Nil(t, attr(s, "gen_ai.output.messages"))
		assert.Equal(t, uint32(2), s.DroppedAttributesCount())
		assert.Equal(t, "base", attr(s, "gen_ai.request.model"))
		assert.Equal(t, []any{"length"}, attr(s, "gen_ai.response.finish_reasons"))
	}
}

func TestCompressedAnswerIsNotGuessed(t *testing.T) {
	sink := new(consumertest.TracesSink)
	b := start(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "br")
		_, _ = io.WriteString(w, "\x01\x02")
	}, sink, nil)
	_, answer := b.post(hello)
	assert.Equal(t, "\x01\x02", string(answer))
	s := b.span(sink)
	assert.Equal(t, uint32(1), s.DroppedAttributesCount())
	assert.Nil(t, attr(s, "error.type"))
}
