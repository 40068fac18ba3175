package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	grpcgzip "google.golang.org/grpc/encoding/gzip"
)

// received starts a receiver. stop ends it and returns what it took.
func received(t *testing.T) (addr string, stop func() []Request) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var got []Request
	done := make(chan error, 1)
	go func() { done <- Receive(ctx, l, func(r Request) { got = append(got, r) }) }()
	return l.Addr().String(), func() []Request {
		cancel()
		require.NoError(t, <-done)
		return got
	}
}

func someTraces() ptrace.Traces {
	td := ptrace.NewTraces()
	s := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetName("a")
	s.SetTraceID([16]byte{1})
	s.SetSpanID([8]byte{2})
	return td
}

func someLogs() plog.Logs {
	ld := plog.NewLogs()
	ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr("hello")
	return ld
}

func TestReceiveWhatReplaySends(t *testing.T) {
	addr, stop := received(t)
	src := func(yield func(Request, error) bool) {
		_ = yield(Request{Signal: Traces, Traces: someTraces()}, nil) && yield(Request{Signal: Logs, Logs: someLogs()}, nil)
	}
	report, err := Replay(t.Context(), src, Options{Endpoint: "http://" + addr, KeepTimes: true})
	require.NoError(t, err)
	assert.True(t, report.Complete())
	got := stop()
	require.Len(t, got, 2)
	assert.Equal(t, someTraces(), got[0].Traces)
	assert.Equal(t, someLogs(), got[1].Logs)
}

func TestReceiveJSON(t *testing.T) {
	addr, stop := received(t)
	body, err := ptraceotlp.NewExportRequestFromTraces(someTraces()).MarshalJSON()
	require.NoError(t, err)
	resp, err := http.Post("http://"+addr+"/v1/traces", "application/json; charset=utf-8", bytes.NewReader(body))
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Equal(t, "application/json", resp.Header.Get("Content-Type"))
	require.NoError(t, resp.Body.Close())
	require.Len(t, stop(), 1)
}

func TestReceiveGRPC(t *testing.T) {
	addr, stop := received(t)
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.UseCompressor(grpcgzip.Name)))
	require.NoError(t, err)
	_, err = ptraceotlp.NewGRPCClient(conn).Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(someTraces()))
	require.NoError(t, err)
	_, err = plogotlp.NewGRPCClient(conn).Export(t.Context(), plogotlp.NewExportRequestFromLogs(someLogs()))
	require.NoError(t, err)
	_, err = pmetricotlp.NewGRPCClient(conn).Export(t.Context(), pmetricotlp.NewExportRequest())
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	got := stop()
	require.Len(t, got, 2)
	assert.Equal(t, someTraces(), got[0].Traces)
	assert.Equal(t, someLogs(), got[1].Logs)
}

// TestReceiveRefuses: whoever sends something else is told what is wanted.
func TestReceiveRefuses(t *testing.T) {
	addr, stop := received(t)
	bomb := &bytes.Buffer{}
	zw := gzip.NewWriter(bomb)
	_, err := io.Copy(zw, io.LimitReader(zeros{}, MaxReceived+1))
	require.NoError(t, err)
	require.NoError(t, zw.Close())
	for name, c := range map[string]struct {
		method, path, kind, packed string
		body                       io.Reader
		code                       int
		says                       string
	}{
		"another path":  {"POST", "/api/traces", "application/json", "", strings.NewReader("{}"), 404, "/v1/traces"},
		"a browser":     {"GET", "/v1/traces", "", "", http.NoBody, 404, "POST OTLP"},
		"another type":  {"POST", "/v1/traces", "text/plain", "", strings.NewReader("{}"), 415, "application/x-protobuf"},
		"packed else":   {"POST", "/v1/traces", "application/json", "br", strings.NewReader("{}"), 415, "want gzip"},
		"not packed":    {"POST", "/v1/traces", "application/json", "gzip", strings.NewReader("{}"), 400, "unpack request"},
		"broken JSON":   {"POST", "/v1/traces", "application/json", "", strings.NewReader(`{"resourceSpans": [`), 400, ""},
		"no protobuf":   {"POST", "/v1/logs", "application/x-protobuf", "", strings.NewReader("hello, world"), 400, ""},
		"a bomb":        {"POST", "/v1/traces", "application/json", "gzip", bomb, 413, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"},
		"too large":     {"POST", "/v1/traces", "application/json", "", io.LimitReader(zeros{}, MaxReceived+1), 413, ""},
		"nothing":       {"POST", "/v1/traces", "application/json", "", strings.NewReader("{}"), 200, ""},
		"empty":         {"POST", "/v1/traces", "application/x-protobuf", "", http.NoBody, 200, ""},
		"metrics":       {"POST", "/v1/metrics", "application/x-protobuf", "", strings.NewReader("whatever"), 200, ""},
		"other metrics": {"POST", "/v1/metrics", "text/plain", "", strings.NewReader("whatever"), 415, ""},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+addr+c.path, c.body)
			require.NoError(t, err)
			req.Header.Set("Content-Type", c.kind)
			if c.packed != "" {
				req.Header.Set("Content-Encoding", c.packed)
			}
			resp, err := http.DefaultClient.Do(req)
			require.NoError(t, err)
			says, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			assert.Equal(t, c.code, resp.StatusCode, "%s", says)
			assert.Contains(t, string(says), c.says)
		})
	}
	assert.Empty(t, stop())
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestReceiveEndsWithItsContext although a client holds a connection open.
func TestReceiveEndsWithItsContext(t *testing.T) {
	addr, stop := received(t)
	conn, err := net.DialTimeout("tcp", addr, time.Minute)
	require.NoError(t, err)
	defer conn.Close()
	assert.Empty(t, stop())
}
