package feedbackreceiver

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/bearertokenauthextension"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/tracegrad/tracegrad/receiver/feedbackreceiver/internal/metadata"
)

// start runs a receiver on a free port and returns its URL.
func start(t *testing.T, host component.Host, next consumer.Logs, change func(*Config)) (string, component.Component) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())

	f := NewFactory()
	cfg := f.CreateDefaultConfig().(*Config)
	cfg.Server.NetAddr.Endpoint = addr
	change(cfg)
	r, err := f.CreateLogs(context.Background(), receivertest.NewNopSettings(metadata.Type), cfg, next)
	require.NoError(t, err)
	require.NoError(t, r.Start(context.Background(), host))
	t.Cleanup(func() { assert.NoError(t, r.Shutdown(context.Background())) })
	return "http://" + addr, r
}

func send(t *testing.T, url string, body io.Reader, headers ...string) (int, string) {
	req, err := http.NewRequest(http.MethodPost, url, body)
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "application/json", resp.Header.Get("Content-Type"))
	return resp.StatusCode, string(b)
}

func TestServer(t *testing.T) {
	sink := new(consumertest.LogsSink)
	url, _ := start(t, componenttest.NewNopHost(), sink, func(c *Config) { c.Server.MaxRequestBodySize = 512 })

	status, body := send(t, url+path, strings.NewReader(twoItems))
	assert.Equal(t, 200, status)
	assert.Equal(t, "{\"accepted\":2}\n", body)
	assert.Equal(t, 2, sink.LogRecordCount())

	status, body = send(t, url+"/feedback", strings.NewReader(twoItems))
	assert.Equal(t, 404, status)
	assert.Equal(t, "{\"accepted\":0,\"error\":\"there is nothing here: use POST /v1/feedback\"}\n", body)

	status, body = send(t, url+path, strings.NewReader(strings.Repeat(" ", 513)))
	assert.Equal(t, 413, status)
	assert.Contains(t, body, "more than 512 bytes")

	var small, bomb bytes.Buffer
	zip(t, &small, twoItems)
	status, _ = send(t, url+path, &small, "Content-Encoding", "gzip")
	assert.Equal(t, 200, status)
	zip(t, &bomb, strings.Repeat(" ", 100_000))
	require.Less(t, bomb.Len(), 512)
	status, _ = send(t, url+path, &bomb, "Content-Encoding", "gzip")
	assert.Equal(t, 413, status, "the limit is on what is unpacked")

	status, body = send(t, url+path, strings.NewReader(twoItems), "Content-Encoding", "rot13")
	assert.Equal(t, 400, status)
	assert.Contains(t, body, "unsupported Content-Encoding")
	assert.Equal(t, 4, sink.LogRecordCount())
}

func zip(t *testing.T, to io.Writer, text string) {
	w := gzip.NewWriter(to)
	_, err := w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
}

// hostWith is a host with one extension.
type hostWith struct {
	id  component.ID
	ext component.Component
}

func (h hostWith) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{h.id: h.ext}
}

func TestAuth(t *testing.T) {
	f := bearertokenauthextension.NewFactory()
	cfg := f.CreateDefaultConfig().(*bearertokenauthextension.Config)
	cfg.BearerToken = "s3cret"
	ext, err := f.Create(context.Background(), extensiontest.NewNopSettings(f.Type()), cfg)
	require.NoError(t, err)
	require.NoError(t, ext.Start(context.Background(), componenttest.NewNopHost()))
	t.Cleanup(func() { assert.NoError(t, ext.Shutdown(context.Background())) })

	id := component.NewID(f.Type())
	sink := new(consumertest.LogsSink)
	url, _ := start(t, hostWith{id, ext}, sink, func(c *Config) {
		c.Server.Auth = configoptional.Some(confighttp.AuthConfig{Config: configauth.Config{AuthenticatorID: id}})
	})
	for _, token := range []string{"", "Bearer wrong"} {
		status, body := send(t, url+path, strings.NewReader(twoItems), "Authorization", token)
		assert.Equal(t, 401, status)
		assert.Equal(t, "{\"accepted\":0,\"error\":\"not authenticated\"}\n", body)
	}
	assert.Zero(t, sink.LogRecordCount())
	status, _ := send(t, url+path, strings.NewReader(twoItems), "Authorization", "Bearer s3cret")
	assert.Equal(t, 200, status)
	assert.Equal(t, 2, sink.LogRecordCount())
}

// TestShutdownWaits holds that a request at work is answered before Shutdown
// returns, and that Shutdown may come twice.
func TestShutdownWaits(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	next, err := consumer.NewLogs(func(context.Context, plog.Logs) error {
		close(arrived)
		<-release
		return nil
	})
	require.NoError(t, err)
	url, r := start(t, componenttest.NewNopHost(), next, func(*Config) {})
	answered := make(chan int)
	go func() {
		resp, err := http.Post(url+path, "application/json", strings.NewReader(twoItems)) //nolint:noctx // ends with the server
		if err != nil {
			answered <- 0
			return
		}
		_ = resp.Body.Close()
		answered <- resp.StatusCode
	}()
	<-arrived
	stopped := make(chan error)
	go func() { stopped <- r.Shutdown(context.Background()) }()
	select {
	case err := <-stopped:
		t.Fatal("Shutdown returned while a request was at work", err)
	default:
	}
	close(release)
	assert.Equal(t, 200, <-answered)
	assert.NoError(t, <-stopped)
	assert.NoError(t, r.Shutdown(context.Background()))
}

func TestStartErrors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	f := NewFactory()
	cfg := f.CreateDefaultConfig().(*Config)
	cfg.Server.NetAddr.Endpoint = l.Addr().String()
	r, err := f.CreateLogs(context.Background(), receivertest.NewNopSettings(metadata.Type), cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.ErrorContains(t, r.Start(context.Background(), componenttest.NewNopHost()), "listen for feedback")
	require.NoError(t, r.Shutdown(context.Background()))

	cfg.Server.Auth = configoptional.Some(confighttp.AuthConfig{Config: configauth.Config{AuthenticatorID: component.MustNewID("nobody")}})
	require.ErrorContains(t, r.Start(context.Background(), componenttest.NewNopHost()), "set up the feedback server")
}

// TestReadme posts the bodies that the README shows.
func TestReadme(t *testing.T) {
	src, err := os.ReadFile("README.md")
	require.NoError(t, err)
	bodies := regexp.MustCompile(`(?s)--json '(.*?)'`).FindAllSubmatch(src, -1)
	require.Len(t, bodies, 2)
	for _, b := range bodies {
		_, problems, err := parse(b[1], testNow.AddDate(0, 0, 1))
		assert.NoError(t, err)
		assert.Empty(t, problems)
	}
}
