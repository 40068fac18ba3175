package gatewayreceiver

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/tracegrad/tracegrad/receiver/gatewayreceiver/internal/metadata"
)

var update = flag.Bool("update", false, "rewrite the expected spans in testdata")

// bench is a gateway between a test and an upstream.
type bench struct {
	t         testing.TB
	url       string
	upstream  *httptest.Server
	gateway   *gateway
	telemetry *componenttest.Telemetry
	logs      *observer.ObservedLogs
	stopped   bool
}

// start starts a gateway before an upstream that answers with handler.
func start(tb testing.TB, handler http.HandlerFunc, next consumer.Traces, change func(*Config)) *bench {
	tb.Helper()
	b := &bench{t: tb, upstream: httptest.NewServer(handler), telemetry: componenttest.NewTelemetry()}
	cfg := createDefaultConfig().(*Config)
	cfg.ServerConfig.NetAddr.Endpoint = "127.0.0.1:0"
	cfg.Upstream.Endpoint = b.upstream.URL + "/v1"
	cfg.TokenIDs = idsOff // tests that ask say so
	if change != nil {
		change(cfg)
	}
	require.NoError(tb, cfg.Validate())

	core, logs := observer.New(zap.DebugLevel)
	b.logs = logs
	set := receivertest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = b.telemetry.NewTelemetrySettings()
	set.Logger = zap.New(core)
	b.gateway = newTestGateway(tb, cfg, set, next)
	require.NoError(tb, b.gateway.Start(context.Background(), componenttest.NewNopHost()))
	b.url = "http://" + b.gateway.listener.Addr().String()
	tb.Cleanup(func() {
		b.stop()
		http.DefaultClient.CloseIdleConnections()
		b.upstream.Close()
		require.NoError(tb, b.telemetry.Shutdown(context.Background()))
	})
	return b
}

// newTestGateway has a clock that ticks 10 ms a call and countable ids.
func newTestGateway(tb testing.TB, cfg *Config, set receiver.Settings, next consumer.Traces) *gateway {
	tb.Helper()
	g, err := newGateway(cfg, set, next)
	require.NoError(tb, err)
	var mu sync.Mutex
	var id byte
	now := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	g.random = func(b []byte) {
		mu.Lock()
		defer mu.Unlock()
		id++
		copy(b, bytes.Repeat([]byte{id}, len(b)))
	}
	g.now = func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(10 * time.Millisecond)
		return now
	}
	return g
}

// stop shuts the gateway down, so that all spans have arrived.
func (b *bench) stop() {
	if !b.stopped {
		b.stopped = true
		require.NoError(b.t, b.gateway.Shutdown(context.Background()))
	}
}

// post sends a chat completion and reads the answer.
func (b *bench) post(body string, headers ...string) (*http.Response, []byte) {
	res, err := http.DefaultClient.Do(b.request(context.Background(), body, headers...))
	require.NoError(b.t, err)
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	require.NoError(b.t, err)
	return res, answer
}

func (b *bench) request(ctx context.Context, body string, headers ...string) *http.Request {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+chatPath, strings.NewReader(body))
	require.NoError(b.t, err)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return req
}

// spans stops the gateway and lists what arrived.
func (b *bench) spans(sink *consumertest.TracesSink) []ptrace.Span {
	b.stop()
	var out []ptrace.Span
	for _, td := range sink.AllTraces() {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					out = append(out, s)
				}
			}
		}
	}
	return out
}

func (b *bench) span(sink *consumertest.TracesSink) ptrace.Span {
	spans := b.spans(sink)
	require.Len(b.t, spans, 1)
	return spans[0]
}

func attr(s ptrace.Span, key string) any {
	v, ok := s.Attributes().Get(key)
	if !ok {
		return nil
	}
	return v.AsRaw()
}

// recording is one exchange of testdata/vllm.
type recording struct {
	Method          string
	Path            string
	RequestHeaders  map[string]string `json:"request_headers"`
	Status          int
	ResponseHeaders map[string]string `json:"response_headers"`

	request, response []byte
}

func recorded(tb testing.TB, name string) recording {
	tb.Helper()
	base := filepath.Join("testdata", "vllm", name)
	head, err := os.ReadFile(base + ".json")
	require.NoError(tb, err)
	var r recording
	require.NoError(tb, json.Unmarshal(head, &r))
	r.request, _ = os.ReadFile(base + ".request") // a GET has none
	r.response, err = os.ReadFile(base + ".response")
	require.NoError(tb, err)
	return r
}

// serve answers as the recorded server did, a stream event by event.
func (r recording) serve(w http.ResponseWriter) {
	for k, v := range r.ResponseHeaders {
		if k != "transfer-encoding" && k != "content-length" {
			w.Header().Set(k, v)
		}
	}
	w.WriteHeader(r.Status)
	for _, event := range bytes.SplitAfter(r.response, []byte("\n\n")) {
		_, _ = w.Write(event)
		_ = http.NewResponseController(w).Flush()
	}
}

// TestRecordings: recorded exchanges go through byte for byte in both
// directions, and their spans are testdata/spans.
func TestRecordings(t *testing.T) {
	names, err := filepath.Glob("testdata/vllm/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	for _, name := range names {
		name = strings.TrimSuffix(filepath.Base(name), ".json")
		t.Run(name, func(t *testing.T) {
			r := recorded(t, name)
			sink := new(consumertest.TracesSink)
			var got []byte
			var path string
			b := start(t, func(w http.ResponseWriter, req *http.Request) {
				path = req.Method + " " + req.RequestURI
				got, _ = io.ReadAll(req.Body)
				r.serve(w)
			}, sink, nil)

			req, err := http.NewRequestWithContext(context.Background(), r.Method, b.url+r.Path, bytes.NewReader(r.request))
			require.NoError(t, err)
			for k, v := range r.RequestHeaders {
				req.Header.Set(k, v)
			}
			res, err := http.DefaultClient.Do(req)
			require.NoError(t, err)
			answer, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())

			assert.Equal(t, r.Method+" "+r.Path, path)
			assert.Equal(t, string(r.request), string(got))
			assert.Equal(t, string(r.response), string(answer))
			assert.Equal(t, r.Status, res.StatusCode)
			for k, v := range r.ResponseHeaders {
				if k != "transfer-encoding" && k != "content-length" {
					assert.Equal(t, v, res.Header.Get(k), k)
				}
			}
			assert.Empty(t, res.Header.Get(headerBundle))
			if r.Method == http.MethodGet {
				assert.Empty(t, b.spans(sink))
				return
			}
			golden(t, filepath.Join("testdata", "spans", name+".json"), b.span(sink))
		})
	}
}

// golden compares a span, JSON attributes unfolded, without the random port.
func golden(t *testing.T, name string, s ptrace.Span) {
	t.Helper()
	attrs := s.Attributes().AsRaw()
	delete(attrs, "server.port")
	for k, v := range attrs {
		if text, ok := v.(string); ok && (strings.HasPrefix(text, "[") || strings.HasPrefix(text, "{")) {
			require.True(t, json.Valid([]byte(text)), k)
			attrs[k] = map[string]any{"json": json.RawMessage(text)}
		}
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	require.NoError(t, enc.Encode(map[string]any{
		"name": s.Name(), "kind": s.Kind().String(), "status": s.Status().Code().String(), "message": s.Status().Message(),
		"ms": s.EndTimestamp().AsTime().Sub(s.StartTimestamp().AsTime()).Milliseconds(), "attributes": attrs,
		"trace": s.TraceID().String(), "span": s.SpanID().String(), "flags": s.Flags(), "dropped": s.DroppedAttributesCount(),
	}))
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, buf.Bytes(), 0o600))
	}
	want, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, string(want), buf.String())
}
