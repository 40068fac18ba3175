package gatewayreceiver

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer/consumertest"

	"github.com/tracegrad/tracegrad/internal/bundle"
)

// BenchmarkStreaming has 64 clients stream answers of 16 events through
// nothing, through a bare [httputil.ReverseProxy], and through the gateway: as it
// is, with guidance, and to an adapter. Clients, proxy and upstream share the
// machine: compare the rows, not the numbers. "full" asks as fast as it can,
// "paced" at 500 requests a second.
func BenchmarkStreaming(b *testing.B) {
	r := recorded(b, "chat_stream_plain")
	adapter := packAdapter(b, b.TempDir(), "one")
	events := bytes.SplitAfter(r.response, []byte("\n\n"))
	ofAdapter := bytes.SplitAfter(bytes.ReplaceAll(r.response, []byte(`"base"`), []byte(`"`+adapter.AdapterName()+`"`)), []byte("\n\n"))
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		answer := events
		if bytes.Contains(body, []byte(adapter.AdapterName())) {
			answer = ofAdapter
		}
		for _, e := range answer {
			_, _ = w.Write(e)
			_ = http.NewResponseController(w).Flush()
		}
	}))
	defer upstream.Close()
	body := strings.Replace(string(r.request), "What is the weather", strings.Repeat("What is the weather ", 100), 1)

	bare := httptest.NewServer(bareProxy(b, upstream.URL))
	defer bare.Close()
	plain := benchGateway(b, upstream.URL, func(*Config) {})
	packed := benchGateway(b, upstream.URL, withBundle(writeBundle(b, bundle.StatusReleased).Dir))

	routed := benchGateway(b, upstream.URL, func(c *Config) {
		c.Bundle = configoptional.Some(BundleConfig{Directory: adapter.Dir, Models: []string{"base"}})
	})

	rows := []struct{ name, url string }{
		{"direct", upstream.URL}, {"reverseproxy", bare.URL}, {"gateway", plain}, {"gateway+bundle", packed}, {"gateway+adapter", routed},
	}
	for _, row := range rows {
		b.Run("full/"+row.name, func(b *testing.B) { drive(b, row.url, body, 0) })
	}
	for _, row := range rows {
		b.Run("paced/"+row.name, func(b *testing.B) { drive(b, row.url, body, 2*time.Millisecond) })
	}
}

const clients = 64

func bareProxy(b *testing.B, upstream string) http.Handler {
	b.Helper()
	u, err := url.Parse(upstream)
	require.NoError(b, err)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = defaultMaxIdleConns
	b.Cleanup(transport.CloseIdleConnections)
	return &httputil.ReverseProxy{Transport: transport, BufferPool: &buffers{}, Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(u) }}
}

func benchGateway(b *testing.B, upstream string, change func(*Config)) (url string) {
	b.Helper()
	cfg := createDefaultConfig().(*Config)
	cfg.ServerConfig.NetAddr.Endpoint = "127.0.0.1:0"
	cfg.Upstream.Endpoint = upstream
	change(cfg)
	g, err := newGateway(cfg, nopSettings(), consumertest.NewNop())
	require.NoError(b, err)
	require.NoError(b, g.Start(context.Background(), componenttest.NewNopHost()))
	b.Cleanup(func() { require.NoError(b, g.Shutdown(context.Background())) })
	return "http://" + g.listener.Addr().String()
}

// drive sends b.N requests from 64 clients and reports how long they took. With
// a pace, requests are due at fixed times and time spent waiting for a free
// client counts.
func drive(b *testing.B, url, body string, pace time.Duration) {
	b.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = clients
	client := &http.Client{Transport: transport}
	defer transport.CloseIdleConnections()

	due := make(chan time.Time, b.N)
	took := make([][]time.Duration, clients)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for at := range due {
				if wait := time.Until(at); wait > 0 {
					time.Sleep(wait)
				}
				start := at
				if pace == 0 {
					start = time.Now()
				}
				if err := ask(client, url, body); err != nil {
					b.Error(err)
					return
				}
				took[i] = append(took[i], time.Since(start))
			}
		})
	}
	b.ReportAllocs()
	b.ResetTimer()
	start := time.Now()
	for i := range b.N {
		due <- start.Add(time.Duration(i) * pace)
	}
	close(due)
	wg.Wait()
	b.StopTimer()
	all := slices.Concat(took...)
	slices.Sort(all)
	ms := func(q float64) float64 { return float64(all[int(q*float64(len(all)-1))]) / 1e6 }
	b.ReportMetric(ms(0.5), "p50-ms")
	b.ReportMetric(ms(0.99), "p99-ms")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
	b.ReportMetric(0, "ns/op")
}

func ask(client *http.Client, url, body string) error {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url+chatPath, strings.NewReader(body))
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return err
}
