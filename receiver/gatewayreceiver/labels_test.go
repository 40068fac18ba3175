package gatewayreceiver

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/receiver/gatewayreceiver/internal/metadatatest"
	"github.com/tracegrad/tracegrad/receiver/gatewayreceiver/internal/openai"
)

func setLabel(tb testing.TB, root, label string, b *bundle.Bundle) {
	tb.Helper()
	require.NoError(tb, bundle.SetLabel(root, label, b.ID()))
}

func (b *bench) assertLabelErrors(want int64) {
	b.t.Helper()
	metadatatest.AssertEqualReceiverLlmGatewayLabelErrors(b.t.(*testing.T), b.telemetry,
		[]metricdata.DataPoint[int64]{{Value: want, Attributes: attribute.NewSet(attribute.String("label", "production"))}}, metricdatatest.IgnoreTimestamp())
}

// TestBadLabelsKeepTheLastGoodBundle: whatever a label comes to hold, the last
// bundle that was whole serves, and each change is counted and logged once.
func TestBadLabelsKeepTheLastGoodBundle(t *testing.T) {
	missing := strings.Repeat("0", 64)
	for name, c := range map[string]struct {
		spoil func(t *testing.T, root string)
		want  string
	}{
		"missing bundle": {func(t *testing.T, root string) { writeLabel(t, root, missing) }, "put bundle " + missing + " there"},
		"no id":          {func(t *testing.T, root string) { writeLabel(t, root, "one") }, "must hold one bundle id of 64 hex digits"},
		"empty":          {func(t *testing.T, root string) { writeLabel(t, root, "") }, "must hold one bundle id of 64 hex digits"},
		"large":          {func(t *testing.T, root string) { writeLabel(t, root, strings.Repeat("a", 1<<20)) }, "must hold one bundle id of 64 hex digits"},
		"a folder": {func(t *testing.T, root string) {
			require.NoError(t, os.Remove(labelFile(root)))
			require.NoError(t, os.Mkdir(labelFile(root), 0o755))
		}, "is a directory"},
		"damaged weights": {func(t *testing.T, root string) {
			b := packAdapter(t, root, "two")
			require.NoError(t, os.WriteFile(filepath.Join(b.Dir, bundle.AdapterWeightsFile), []byte("owt"), 0o600))
			writeLabel(t, root, b.ID())
		}, "its SHA-256 is"},
		"damaged manifest": {func(t *testing.T, root string) {
			b := packAdapter(t, root, "two")
			require.NoError(t, os.WriteFile(filepath.Join(b.Dir, bundle.ManifestName), []byte("{}"), 0o600))
			writeLabel(t, root, b.ID())
		}, "bundle.json: version: is 0"},
		"another bundle's folder": {func(t *testing.T, root string) {
			require.NoError(t, os.Rename(packAdapter(t, root, "two").Dir, filepath.Join(root, missing)))
			writeLabel(t, root, missing)
		}, "a bundle's directory is named by its id"},
		"candidate": {func(t *testing.T, root string) {
			setLabel(t, root, "production", packAdapter(t, root, "two", func(m *bundle.Manifest) { m.Status, m.Gate = bundle.StatusCandidate, bundle.Gate{Reason: "too few"} }))
		}, "its gate has not passed (too few): set bundle::allow_candidate: true"},
		"the folder is gone": {func(t *testing.T, root string) { require.NoError(t, os.Rename(root, root+"-away")) }, "no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "bundles")
			one := packAdapter(t, root, "one")
			setLabel(t, root, "production", one)
			up := &loraServer{t: t, loaded: []string{one.AdapterName()}}
			g := start(t, up.ServeHTTP, consumertest.NewNop(), following(root))
			f := g.gateway.followers[0]
			c.spoil(t, root)
			now := time.Unix(0, 0)
			for range 5 {
				f.look(&f.production, now)
				now = now.Add(time.Hour)
			}
			res, _ := g.post(loraRequest(t, "adapter"))
			assert.Equal(t, one.ID(), res.Header.Get(headerBundle), "the last good one serves")
			g.assertLabelErrors(1)
			logs := g.logs.FilterMessageSnippet("names no bundle that can be served").All()
			require.Len(t, logs, 1)
			assert.Contains(t, fmt.Sprint(logs[0].ContextMap()["error"]), c.want)
		})
	}
}

func labelFile(root string) string { return filepath.Join(root, "labels", "production") }

func writeLabel(t *testing.T, root, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(labelFile(root), []byte(content), 0o600))
}

// TestLabelsAreFollowed: no folder yet, unset, set, moved, unset; and a bundle
// that arrives after its label is taken then.
func TestLabelsAreFollowed(t *testing.T) {
	later := t.TempDir()
	root := filepath.Join(t.TempDir(), "bundles")
	one, two := packAdapter(t, later, "one"), packAdapter(t, later, "two")
	up := &loraServer{t: t, loaded: []string{one.AdapterName(), two.AdapterName()}}
	g := start(t, up.ServeHTTP, consumertest.NewNop(), following(root, func(c *BundleConfig) { c.RefreshInterval = time.Minute }))
	f := g.gateway.followers[0]
	now := time.Unix(0, 0)
	serving := func(want string) {
		t.Helper()
		now = now.Add(time.Second)
		f.look(&f.production, now)
		res, _ := g.post(loraRequest(t, "adapter"))
		assert.Equal(t, want, res.Header.Get(headerBundle))
	}
	serving("")
	require.NoError(t, os.Rename(later, root))
	one.Dir, two.Dir = filepath.Join(root, one.ID()), filepath.Join(root, two.ID())
	serving("")
	setLabel(t, root, "production", one)
	serving(one.ID())
	setLabel(t, root, "production", two)
	serving(two.ID())

	away := filepath.Join(t.TempDir(), "away")
	require.NoError(t, os.Rename(one.Dir, away))
	writeLabel(t, root, one.ID())
	serving(two.ID())
	require.NoError(t, os.Rename(away, one.Dir))
	serving(two.ID()) // it is not looked for at once again
	now = now.Add(time.Minute)
	serving(one.ID())
	g.assertLabelErrors(1)

	require.NoError(t, bundle.UnsetLabel(root, "production"))
	serving("")
}

// TestPauseGrows: what cannot be opened is tried ever more seldom, and not more
// seldom than once a minute.
func TestPauseGrows(t *testing.T) {
	root := t.TempDir()
	g := start(t, answering, consumertest.NewNop(), following(root, func(c *BundleConfig) { c.RefreshInterval = time.Second }))
	require.NoError(t, os.Mkdir(filepath.Join(root, "labels"), 0o755))
	writeLabel(t, root, strings.Repeat("0", 64))
	f := g.gateway.followers[0]
	now := time.Unix(1000, 0)
	var tries []int
	last := f.production.retry
	for i := range 300 {
		f.look(&f.production, now.Add(time.Duration(i)*time.Second))
		if f.production.retry != last {
			tries, last = append(tries, i), f.production.retry
		}
	}
	assert.Equal(t, []int{0, 1, 3, 7, 15, 31, 63, 123, 183, 243}, tries)
}

// TestDamagedBundleAtStart: there is no last good one, so production must hold;
// without the canary, production serves.
func TestDamagedBundleAtStart(t *testing.T) {
	root := t.TempDir()
	one := packAdapter(t, root, "one")
	setLabel(t, root, "production", one)
	writeCanary := func(content string) {
		require.NoError(t, os.WriteFile(filepath.Join(root, "labels", "canary"), []byte(content), 0o600))
	}
	writeCanary("?")
	up := &loraServer{t: t, loaded: []string{one.AdapterName()}}
	g := start(t, up.ServeHTTP, consumertest.NewNop(), following(root, func(c *BundleConfig) { c.CanaryPercent = 100 }))
	res, _ := g.post(loraRequest(t, "adapter"))
	assert.Equal(t, one.ID(), res.Header.Get(headerBundle))
	assert.Equal(t, 1, g.logs.FilterMessageSnippet("names no bundle that can be served").Len())

	writeLabel(t, root, "?")
	cfg := createDefaultConfig().(*Config)
	cfg.Upstream.Endpoint = "http://127.0.0.1:1"
	following(root)(cfg)
	require.ErrorContains(t, cfg.Validate(), `bundle::label: resolve label "production"`)
}

// TestRunningStreamKeepsItsBundle: a label that moves while an answer is streamed
// changes nothing of it, and the next call has the new one.
func TestRunningStreamKeepsItsBundle(t *testing.T) {
	root := t.TempDir()
	one, two := packAdapter(t, root, "one"), packAdapter(t, root, "two")
	setLabel(t, root, "production", one)
	up := newStepped()
	other := &loraServer{t: t, loaded: []string{two.AdapterName()}}
	sink := new(consumertest.TracesSink)
	g := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Which") == "stepped" {
			up.serve(w, r)
			return
		}
		other.ServeHTTP(w, r)
	}, sink, following(root))

	chunk := func(text string) string {
		return fmt.Sprintf("data: {\"id\":\"x\",\"model\":%q,\"choices\":[{\"index\":0,\"delta\":{\"content\":%q}}]}\n\n", one.AdapterName(), text)
	}
	go func() { up.send <- chunk("a") }()
	res, err := http.DefaultClient.Do(g.request(context.Background(), loraRequest(t, "adapter_stream"), "X-Which", "stepped"))
	require.NoError(t, err)
	lines := bufio.NewReader(res.Body)
	first, err := lines.ReadString('\n')
	require.NoError(t, err)

	setLabel(t, root, "production", two)
	f := g.gateway.followers[0]
	f.look(&f.production, time.Now())
	next, _ := g.post(loraRequest(t, "adapter"))
	assert.Equal(t, two.ID(), next.Header.Get(headerBundle))

	up.send <- chunk("b")
	up.send <- "data: [DONE]\n\n"
	close(up.send)
	rest, err := io.ReadAll(lines)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	whole := first + string(rest)
	assert.Equal(t, 2, strings.Count(whole, `"model":"base"`))
	assert.NotContains(t, whole, one.AdapterName())
	assert.Equal(t, one.ID(), res.Header.Get(headerBundle))
	served := map[any]any{}
	for _, s := range g.spans(sink) {
		served[attr(s, "gen_ai.response.id")] = attr(s, "tracegrad.adapter")
		assert.Nil(t, attr(s, "error.type"))
	}
	assert.Len(t, served, 2)
	assert.Equal(t, one.AdapterName(), served["x"])
}

// TestReloadUnderLoad: labels move all the time while many agents stream. Every
// answer comes whole, and its span names the adapter that the server was asked
// for.
func TestReloadUnderLoad(t *testing.T) {
	root := t.TempDir()
	one, two := packAdapter(t, root, "one"), packAdapter(t, root, "two")
	setLabel(t, root, "production", one)
	setLabel(t, root, "canary", two)
	up := &loraServer{t: t, loaded: []string{one.AdapterName(), two.AdapterName()}}
	sink := new(consumertest.TracesSink)
	g := start(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		model, _ := openai.Model(body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		w.Header().Set("X-Served", model)
		up.ServeHTTP(w, r)
	}, sink, following(root, func(c *BundleConfig) { c.RefreshInterval, c.CanaryPercent = time.Millisecond, 50 }))

	stop, moved := make(chan struct{}), make(chan int)
	go func() { // no assertion may end this goroutine
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				moved <- n
				return
			default:
			}
			p, c := one, two
			if n%2 == 0 {
				p, c = two, one
			}
			assert.NoError(t, bundle.SetLabel(root, "production", p.ID()))
			assert.NoError(t, bundle.SetLabel(root, "canary", c.ID()))
		}
	}()
	const agents, calls = 8, 25
	request, want := loraRequest(t, "adapter_stream"), loraAnswer(t, "adapter_stream", "base")
	var all sync.WaitGroup
	var mu sync.Mutex
	byHeader := map[string]int{}
	for agent := range agents {
		all.Go(func() {
			for range calls {
				res, got := g.post(request, "X-Conversation-Id", fmt.Sprint(agent))
				assert.Equal(t, want, string(got))
				b := map[string]*bundle.Bundle{one.ID(): one, two.ID(): two}[res.Header.Get(headerBundle)]
				if assert.NotNil(t, b) {
					assert.Equal(t, b.AdapterName(), res.Header.Get("X-Served"))
					mu.Lock()
					byHeader[b.AdapterName()]++
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	close(stop)
	assert.Positive(t, <-moved)
	bySpan := map[string]int{}
	for _, s := range g.spans(sink) {
		assert.Equal(t, attr(s, "gen_ai.response.model"), attr(s, "tracegrad.adapter"))
		assert.Nil(t, attr(s, "error.type"))
		bySpan[attr(s, "tracegrad.adapter").(string)]++
	}
	assert.Equal(t, byHeader, bySpan)
	assert.Equal(t, agents*calls, bySpan[one.AdapterName()]+bySpan[two.AdapterName()])
}
