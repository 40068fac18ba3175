package gatewayreceiver

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/receiver/gatewayreceiver/internal/metadatatest"
)

// injected sends one request through a gateway with a bundle.
func injected(t *testing.T, body string, change func(*Config), headers ...string) (b *bench, got []byte, header http.Header, sink *consumertest.TracesSink) {
	t.Helper()
	sink = new(consumertest.TracesSink)
	b = start(t, func(w http.ResponseWriter, r *http.Request) {
		got, _ = io.ReadAll(r.Body)
		assert.Equal(t, int64(len(got)), r.ContentLength)
		answering(w, r)
	}, sink, change)
	res, _ := b.post(body, headers...)
	return b, got, res.Header, sink
}

func TestBundleIsApplied(t *testing.T) {
	packed := writeBundle(t, bundle.StatusReleased)
	body := `{ "model":"m", "seed": 1.0, "messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"hi"}] }`
	for agent, items := range map[string][]string{"": {"g1"}, "shop-assistant": {"g1", "g2"}} {
		b, got, header, sink := injected(t, body, withBundle(packed.Dir), "X-Agent-Name", agent)

		target := bundle.Target{}
		if agent != "" {
			target.Agents = []string{agent}
		}
		want, err := packed.Apply([]byte(body), target)
		require.NoError(t, err)
		require.Equal(t, bundle.SkipNone, want.Skip)
		assert.Equal(t, string(want.Body), string(got), "the upstream gets what Apply makes, byte for byte")
		assert.Equal(t, packed.ID(), header.Get("x-tracegrad-bundle"))

		s := b.span(sink)
		assert.Equal(t, packed.ID(), attr(s, "tracegrad.bundle"))
		assert.JSONEq(t, `[{"role":"system","parts":[{"type":"text","content":"Be brief."}]},{"role":"user","parts":[{"type":"text","content":"hi"}]}]`,
			attr(s, "gen_ai.input.messages").(string), "messages are kept as the agent sent them")
		var marks []bundle.Injection
		require.NoError(t, json.Unmarshal([]byte(attr(s, "tracegrad.injected").(string)), &marks))
		assert.Equal(t, want.Injected, marks)
		assert.Equal(t, items, marks[0].Items)
		metadatatest.AssertEqualReceiverLlmGatewayInjected(t, b.telemetry, []metricdata.DataPoint[int64]{{Value: 1}}, metricdatatest.IgnoreTimestamp())
	}
}

func TestBundleByLabel(t *testing.T) {
	packed := writeBundle(t, bundle.StatusReleased)
	root := packed.Dir[:len(packed.Dir)-len(packed.ID())]
	require.NoError(t, bundle.SetLabel(root, bundle.LabelProduction, packed.ID()))
	_, got, header, _ := injected(t, hello, func(c *Config) {
		c.Bundle = configoptional.Some(BundleConfig{Directory: root, Label: "production"})
	})
	assert.Equal(t, packed.ID(), header.Get(headerBundle))
	assert.Contains(t, string(got), "Look up the weather first.")
}

func TestBundleIsNotApplied(t *testing.T) {
	packed := writeBundle(t, bundle.StatusReleased)
	present, err := packed.Apply([]byte(hello), bundle.Target{})
	require.NoError(t, err)
	for reason, body := range map[string]string{
		"not_json":    `{"model": "base", "messages": [`,
		"no_messages": `{"model":"m"}`,
		"ambiguous":   `{"messages":[{"role":"user","role":"system","content":"hi"}]}`,
		"present":     string(present.Body),
	} {
		t.Run(reason, func(t *testing.T) {
			b, got, header, sink := injected(t, body, withBundle(packed.Dir))
			assert.Equal(t, body, string(got))
			s := b.span(sink)
			assert.Nil(t, attr(s, "tracegrad.injected"))
			if reason == "present" { // another gateway did it: the call is the bundle's all the same
				assert.Equal(t, packed.ID(), header.Get(headerBundle))
				assert.Equal(t, packed.ID(), attr(s, "tracegrad.bundle"))
			} else {
				assert.Empty(t, header.Get(headerBundle))
				assert.Nil(t, attr(s, "tracegrad.bundle"))
			}
			metadatatest.AssertEqualReceiverLlmGatewayNotInjected(t, b.telemetry,
				[]metricdata.DataPoint[int64]{{Value: 1, Attributes: attribute.NewSet(attribute.String("reason", reason))}}, metricdatatest.IgnoreTimestamp())
		})
	}
}

// What is verified is what is applied: a bundle that was changed after the
// configuration was checked keeps the gateway from starting.
func TestBundleIsVerifiedAtStart(t *testing.T) {
	dir := tampered(t)
	cfg := createDefaultConfig().(*Config)
	cfg.Upstream.Endpoint = "http://127.0.0.1:1"
	withBundle(dir)(cfg)
	g := newTestGateway(t, cfg, nopSettings(), consumertest.NewNop())
	require.ErrorContains(t, g.Start(t.Context(), nil), "README.md: its SHA-256 is")
	require.NoError(t, g.Shutdown(t.Context()))
}
