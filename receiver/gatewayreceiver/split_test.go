package gatewayreceiver

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracegrad/tracegrad/internal/bundle"
)

// The vectors stand in the README: others may compute who is served what.
func TestPosition(t *testing.T) {
	for key, want := range map[string]float64{"c-1": 65.22207, "4bf92f3577b34da6a3ce929d0e0e4736": 22.47741, "What is the weather in Paris today?": 71.28787} {
		assert.InDelta(t, want, position(key), 1e-5)
	}
	// Keys spread evenly: of 20,000, each percentile of a uniform distribution holds
	// its share within 5 standard deviations.
	const n = 20000
	for _, percent := range []float64{0, 1, 10, 50, 100} {
		below := 0
		for i := range n {
			if position(fmt.Sprint("conversation-", i)) < percent {
				below++
			}
		}
		p := percent / 100
		assert.InDelta(t, n*p, below, 5*math.Sqrt(n*p*(1-p)), "%g %%", percent)
	}
}

func TestStickyKey(t *testing.T) {
	body := []byte(`{"messages":[{"role":"system","content":"s"},{"role":"user","content":"first"},{"role":"user","content":"second"}]}`)
	c := &call{conversation: "c-1"}
	c.trace.trace, c.trace.parent = pcommon.TraceID{1}, pcommon.SpanID{2}
	assert.Equal(t, "c-1", stickyKey(c, body))
	c.conversation = ""
	assert.Equal(t, "01000000000000000000000000000000", stickyKey(c, body))
	c.trace.parent = pcommon.SpanID{} // the gateway made the trace up
	assert.Equal(t, "first", stickyKey(c, body))
	assert.Equal(t, `[{"type":"text","text":"x"}]`, stickyKey(c, []byte(`{"messages":[{"role":"user","content":[{"type":"text","text":"x"}]}]}`)))
	for _, none := range []string{``, `{}`, `{"messages":1}`, `{"messages":[1]}`, `{"messages":[{"role":"system","content":"s"}]}`, `{"messages":[`} {
		assert.Empty(t, stickyKey(c, []byte(none)))
	}
}

// TestSplit: each conversation stays on its side, a larger share keeps what a
// smaller one had, and without a canary all is production's.
func TestSplit(t *testing.T) {
	root := t.TempDir()
	one, two := packAdapter(t, root, "one"), packAdapter(t, root, "two")
	setLabel(t, root, "production", one)
	up := &loraServer{t: t, loaded: []string{one.AdapterName(), two.AdapterName()}}
	served := func(percent float64, conversation string) string {
		sink := new(consumertest.TracesSink)
		g := start(t, up.ServeHTTP, sink, following(root, func(c *BundleConfig) { c.CanaryPercent = percent }))
		for range 2 {
			g.post(loraRequest(t, "adapter"), "X-Conversation-Id", conversation)
		}
		spans := g.spans(sink)
		require.Len(t, spans, 2)
		assert.Equal(t, attr(spans[0], "tracegrad.bundle.label"), attr(spans[1], "tracegrad.bundle.label"))
		assert.Equal(t, map[any]any{"production": one.ID(), "canary": two.ID()}[attr(spans[0], "tracegrad.bundle.label")], attr(spans[0], "tracegrad.bundle"))
		return attr(spans[0], "tracegrad.bundle.label").(string)
	}
	assert.Equal(t, "production", served(100, "c"), "canary is not set")
	setLabel(t, root, bundle.LabelCanary, two)
	for _, c := range []string{"a", "b", "c"} {
		at := position(c)
		assert.Equal(t, "production", served(at, c))
		assert.Equal(t, "canary", served(math.Nextafter(at, 100), c))
		assert.Equal(t, "canary", served(100, c))
		assert.Equal(t, "production", served(0, c))
	}
}
