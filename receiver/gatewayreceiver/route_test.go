package gatewayreceiver

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/receiver/gatewayreceiver/internal/metadatatest"
	"github.com/tracegrad/tracegrad/receiver/gatewayreceiver/internal/openai"
)

// loraServer answers as the recorded vLLM did, which serves the model base and
// the adapters that are loaded.
type loraServer struct {
	t      testing.TB
	loaded []string

	mu    sync.Mutex
	asked []string // the models of the requests, in order
	last  []byte   // the last request
}

func (s *loraServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	assert.NoError(s.t, err)
	assert.Equal(s.t, int64(len(body)), r.ContentLength)
	model, _ := openai.Model(body)
	var want struct{ Stream bool }
	assert.NoError(s.t, json.Unmarshal(body, &want))
	s.mu.Lock()
	s.asked, s.last = append(s.asked, model), body
	known := slices.Contains(s.loaded, model)
	s.mu.Unlock()
	name := map[bool]string{true: "adapter", false: "unknown"}[known]
	switch {
	case model == "base":
		name = "base"
	case model == "unloadable":
		name = "unloadable"
	case known && want.Stream:
		name = "adapter_stream"
	}
	answer(s.t, w, name, model)
}

// answer sends a recorded answer with the model's name in it.
func answer(tb testing.TB, w http.ResponseWriter, name, model string) {
	var head struct {
		Status      int
		ContentType string `json:"content_type"`
	}
	raw, err := os.ReadFile(filepath.Join("testdata", "lora", name+".json"))
	assert.NoError(tb, err)
	assert.NoError(tb, json.Unmarshal(raw, &head))
	w.Header().Set("Content-Type", head.ContentType)
	w.WriteHeader(head.Status)
	for _, event := range bytes.SplitAfter([]byte(loraAnswer(tb, name, model)), []byte("\n\n")) {
		_, _ = w.Write(event)
		_ = http.NewResponseController(w).Flush()
	}
}

// loraAnswer is a recorded answer with another name of the model.
func loraAnswer(tb testing.TB, name, model string) string {
	raw, err := os.ReadFile(filepath.Join("testdata", "lora", name+".response"))
	assert.NoError(tb, err)
	return strings.ReplaceAll(string(raw), "policy@v1", model)
}

// loraRequest is a recorded request for the model base.
func loraRequest(tb testing.TB, name string) string {
	raw, err := os.ReadFile(filepath.Join("testdata", "lora", name+".request"))
	require.NoError(tb, err)
	body, ok := openai.SetModel(raw, "base")
	require.True(tb, ok)
	return string(body)
}

// packAdapter adds a bundle of kind adapter to root. The gateway reads only its
// manifest: the weights are the server's.
func packAdapter(tb testing.TB, root, name string, change ...func(*bundle.Manifest)) *bundle.Bundle {
	tb.Helper()
	m := bundle.Manifest{
		Kind: bundle.KindAdapter, Name: name, Status: bundle.StatusReleased, BaseModel: "models/base", Gate: bundle.Gate{Passed: true},
		CreatedAt: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC),
	}
	for _, c := range change {
		c(&m)
	}
	files, err := bundle.AdapterFiles(m, map[string][]byte{"adapter_config.json": []byte("{}"), "adapter_model.safetensors": []byte(name)})
	require.NoError(tb, err)
	b, err := bundle.Add(root, m, files)
	require.NoError(tb, err)
	return b
}

func following(root string, change ...func(*BundleConfig)) func(*Config) {
	return func(c *Config) {
		cfg := BundleConfig{Directory: root, Label: bundle.LabelProduction, Models: []string{"base"}}
		for _, f := range change {
			f(&cfg)
		}
		c.Bundle = configoptional.Some(cfg)
	}
}

func TestCallIsRoutedToTheAdapter(t *testing.T) {
	for _, name := range []string{"adapter", "adapter_stream"} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			b := packAdapter(t, root, "one")
			require.NoError(t, bundle.SetLabel(root, bundle.LabelProduction, b.ID()))
			up := &loraServer{t: t, loaded: []string{b.AdapterName()}}
			sink := new(consumertest.TracesSink)
			g := start(t, up.ServeHTTP, sink, following(root))
			res, got := g.post(loraRequest(t, name))

			assert.Equal(t, loraAnswer(t, name, "base"), string(got), "the answer names the model that was asked for, the rest stays")
			assert.Equal(t, b.ID(), res.Header.Get(headerBundle))
			want, _ := openai.SetModel([]byte(loraRequest(t, name)), b.AdapterName())
			assert.Equal(t, string(want), string(up.last), "only the model changes")

			s := g.span(sink)
			assert.Equal(t, "chat base", s.Name())
			assert.Equal(t, []any{"base", b.AdapterName(), b.AdapterName(), b.ID(), "production", nil}, []any{
				attr(s, "gen_ai.request.model"), attr(s, "gen_ai.response.model"), attr(s, "tracegrad.adapter"),
				attr(s, "tracegrad.bundle"), attr(s, "tracegrad.bundle.label"), attr(s, "tracegrad.adapter.missing")})
			metadatatest.AssertEqualReceiverLlmGatewayRouted(t, g.telemetry,
				[]metricdata.DataPoint[int64]{{Value: 1, Attributes: attribute.NewSet(attribute.String("label", "production"))}}, metricdatatest.IgnoreTimestamp())

			rs := sink.AllTraces()[0].ResourceSpans().At(0)
			c := genai.NewDecoder(genai.Options{}).Decode(rs.Resource(), rs.ScopeSpans().At(0).Scope(), s).Call
			assert.Equal(t, []string{b.ID(), b.AdapterName(), "base", b.AdapterName()}, []string{c.Bundle, c.Adapter, c.RequestModel, c.ResponseModel},
				"these become the dataset's columns")
		})
	}
}

// TestUnknownAdapterFallsBack: a label ahead of the server costs the agent
// nothing, and the call is nobody's but the base model's.
func TestUnknownAdapterFallsBack(t *testing.T) {
	root := t.TempDir()
	b := packAdapter(t, root, "one")
	require.NoError(t, bundle.SetLabel(root, bundle.LabelProduction, b.ID()))
	up := &loraServer{t: t}
	sink := new(consumertest.TracesSink)
	g := start(t, up.ServeHTTP, sink, following(root))
	res, got := g.post(loraRequest(t, "adapter"))

	assert.Equal(t, http.StatusOK, res.StatusCode)
	assert.Equal(t, loraAnswer(t, "base", "base"), string(got))
	assert.Equal(t, loraRequest(t, "adapter"), string(up.last))
	assert.Equal(t, []string{b.AdapterName(), "base"}, up.asked)
	assert.Empty(t, res.Header.Get(headerBundle))
	s := g.span(sink)
	assert.Equal(t, []any{"base", nil, nil, nil, b.AdapterName()}, []any{
		attr(s, "gen_ai.response.model"), attr(s, "tracegrad.adapter"), attr(s, "tracegrad.bundle"), attr(s, "tracegrad.bundle.label"), attr(s, "tracegrad.adapter.missing")})
	assert.Nil(t, attr(s, "error.type"))
	g.assertNotRouted("unknown_adapter")
	assert.Equal(t, 1, g.logs.FilterMessageSnippet("does not have the adapter").Len())
}

func (b *bench) assertNotRouted(reason string) {
	b.t.Helper()
	metadatatest.AssertEqualReceiverLlmGatewayNotRouted(b.t.(*testing.T), b.telemetry,
		[]metricdata.DataPoint[int64]{{Value: 1, Attributes: attribute.NewSet(attribute.String("reason", reason))}}, metricdatatest.IgnoreTimestamp())
}

// Other errors of a routed call are the agent's to see, once.
func TestOtherRefusalsPass(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
	}{
		"no such path":  {404, `{"detail":"Not Found"}`},
		"bad request":   {400, `{"error":{"message":"temperature must be non-negative","type":"BadRequestError","code":400}}`},
		"not JSON":      {404, `<html>one-`},
		"its own fault": {500, `{"error":{"message":"ADAPTER broke"}}`},
		"empty":         {404, ``},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			b := packAdapter(t, root, "one")
			require.NoError(t, bundle.SetLabel(root, bundle.LabelProduction, b.ID()))
			calls := 0
			body := strings.ReplaceAll(c.body, "ADAPTER", b.AdapterName())
			g := start(t, func(w http.ResponseWriter, _ *http.Request) {
				calls++
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, body)
			}, consumertest.NewNop(), following(root))
			res, got := g.post(loraRequest(t, "adapter"))
			assert.Equal(t, c.status, res.StatusCode)
			assert.Equal(t, body, string(got))
			assert.Equal(t, 1, calls)
		})
	}
}

func TestRefusalsOfAnAdapter(t *testing.T) {
	for name, adapter := range map[string]string{"unknown": "policy@v1", "unloadable": "dora"} {
		rec := &recorderOfAnswers{header: http.Header{}}
		answer(t, rec, name, "policy@v1")
		res := &http.Response{StatusCode: rec.status, Body: io.NopCloser(bytes.NewReader(rec.body.Bytes()))}
		assert.True(t, isUnknown(res, adapter), name)
		rest, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		assert.Equal(t, rec.body.String(), string(rest), "it can be read again")
		assert.False(t, isUnknown(&http.Response{StatusCode: rec.status, Body: io.NopCloser(bytes.NewReader(rest))}, "another"))
	}
}

type recorderOfAnswers struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorderOfAnswers) Header() http.Header         { return r.header }
func (r *recorderOfAnswers) WriteHeader(status int)      { r.status = status }
func (r *recorderOfAnswers) Write(p []byte) (int, error) { return r.body.Write(p) }

func TestNotRouted(t *testing.T) {
	for name, c := range map[string]struct {
		body, reason string
		change       func(*bundle.Manifest)
	}{
		"another model": {`{"model":"other","messages":[]}`, "model", nil},
		"two models":    {`{"model":"base","model":"base"}`, "no_model", nil},
		"no model":      {`{"messages":[]}`, "no_model", nil},
		"not JSON":      {`{"model":"base"`, "no_model", nil},
		"other agents":  {`{"model":"base"}`, "agent", func(m *bundle.Manifest) { m.Agents = []string{"planner"} }},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			change := func(*bundle.Manifest) {}
			if c.change != nil {
				change = c.change
			}
			require.NoError(t, bundle.SetLabel(root, bundle.LabelProduction, packAdapter(t, root, "one", change).ID()))
			g, got, header, sink := injected(t, c.body, following(root))
			assert.Equal(t, c.body, string(got))
			assert.Empty(t, header.Get(headerBundle))
			assert.Nil(t, attr(g.span(sink), "tracegrad.adapter"))
			g.assertNotRouted(c.reason)
		})
	}
}

// TestGuidanceAndAdapterAtOnce: a call may be served by both kinds.
func TestGuidanceAndAdapterAtOnce(t *testing.T) {
	prompts := writeBundle(t, bundle.StatusReleased)
	root := t.TempDir()
	b := packAdapter(t, root, "one")
	require.NoError(t, bundle.SetLabel(root, bundle.LabelProduction, b.ID()))
	up := &loraServer{t: t, loaded: []string{b.AdapterName()}}
	sink := new(consumertest.TracesSink)
	g := start(t, up.ServeHTTP, sink, func(c *Config) {
		following(root)(c)
		c.Adapter = c.Bundle
		withBundle(prompts.Dir)(c)
	})
	res, got := g.post(loraRequest(t, "adapter"))
	assert.Equal(t, loraAnswer(t, "adapter", "base"), string(got))
	assert.Equal(t, prompts.ID(), res.Header.Get(headerBundle))
	assert.Contains(t, string(up.last), "Look up the weather first.")
	s := g.span(sink)
	assert.Equal(t, []any{prompts.ID(), b.AdapterName()}, []any{attr(s, "tracegrad.bundle"), attr(s, "tracegrad.adapter")})
}
