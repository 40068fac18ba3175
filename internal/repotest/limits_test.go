package repotest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"

	"github.com/tracegrad/tracegrad/internal/localcollector"
)

// collectorConfig is what matters here of a configuration.
type collectorConfig struct {
	Receivers  map[string]map[string]any `yaml:"receivers"`
	Processors map[string]map[string]any `yaml:"processors"`
	Service    struct {
		Pipelines map[string]struct {
			Receivers  []string `yaml:"receivers"`
			Processors []string `yaml:"processors"`
		} `yaml:"pipelines"`
	} `yaml:"service"`
}

// TestShippedConfigsLimitMemory: every pipeline of every shipped configuration
// begins with a memory_limiter that is set to something, and every OTLP receiver
// says how large a request may be, decompressed.
func TestShippedConfigsLimitMemory(t *testing.T) {
	for _, config := range shipped(t) {
		var c collectorConfig
		require.NoError(t, yaml.Unmarshal([]byte(read(t, config)), &c), config)
		require.NotEmpty(t, c.Service.Pipelines, config)
		for name, p := range c.Service.Pipelines {
			if assert.NotEmpty(t, p.Processors, "%s: %s", config, name) {
				first, _, _ := strings.Cut(p.Processors[0], "/")
				assert.Equal(t, "memory_limiter", first, "%s: %s", config, name)
				limiter := c.Processors[p.Processors[0]]
				assert.NotEmpty(t, limiter["check_interval"], config)
				assert.True(t, limiter["limit_mib"] != nil || limiter["limit_percentage"] != nil, config)
			}
		}
		for name, r := range c.Receivers {
			if strings.HasPrefix(name, "otlp") {
				protocols, _ := r["protocols"].(map[string]any)
				for protocol, key := range map[string]string{"grpc": "max_recv_msg_size_mib", "http": "max_request_body_size"} {
					if p, ok := protocols[protocol]; ok {
						settings, _ := p.(map[string]any)
						assert.NotEmpty(t, settings[key], "%s: receivers::%s::protocols::%s::%s", config, name, protocol, key)
					}
				}
			}
		}
	}
}

// TestDocumentedPipelinesLimitMemory: so does every pipeline with our processor
// that the docs show.
func TestDocumentedPipelinesLimitMemory(t *testing.T) {
	pipeline := regexp.MustCompile(`(?m)^\s*processors: \[(.*trajectory.*)\]`)
	seen := 0
	for _, doc := range docs(t) {
		for _, m := range pipeline.FindAllStringSubmatch(read(t, doc), -1) {
			seen++
			assert.Regexp(t, `^memory_limiter, `, m[1], doc)
		}
	}
	assert.Positive(t, seen)
}

// quickstart runs the shipped configuration.
func quickstart(t *testing.T, args ...string) *localcollector.Collector {
	t.Helper()
	dir := t.TempDir()
	config, err := filepath.Abs(filepath.Join(root, "examples/quickstart/collector.yaml"))
	require.NoError(t, err)
	rules, err := filepath.Abs(filepath.Join(root, "examples/quickstart/rewards.yaml"))
	require.NoError(t, err)
	c, err := localcollector.Start(t.Context(), localcollector.Options{
		Binary: collector(t), Config: config, Args: args, Log: filepath.Join(dir, "log"),
		Env: map[string]string{"TRACEGRAD_DATA": filepath.Join(dir, "dataset"), "TRACEGRAD_REWARDS": rules, "TRACEGRAD_FLUSH": "200ms"},
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Stop() })
	return c
}

func post(t *testing.T, url, encoding string, body []byte) (code int, retry string) {
	t.Helper()
	kind := "application/x-protobuf"
	if strings.HasSuffix(url, "/feedback") {
		kind = "application/json"
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", kind)
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode, res.Header.Get("Retry-After")
}

// bomb is so many bytes of a request that packs well: a span with one long name.
func bomb(t *testing.T, size int) []byte {
	t.Helper()
	td := ptrace.NewTraces()
	s := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetTraceID(pcommon.TraceID{1})
	s.SetSpanID(pcommon.SpanID{1})
	s.Attributes().PutStr("gen_ai.operation.name", "chat")
	s.Attributes().PutStr("gen_ai.input.messages", strings.Repeat("x", size))
	body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	require.NoError(t, err)
	return body
}

// TestRequestsAreBoundedDecompressed: a small request that becomes a large one is
// refused for good, whatever packed it; the Collector goes on.
func TestRequestsAreBoundedDecompressed(t *testing.T) {
	c := quickstart(t)
	const limit = 64 << 20
	large, small := bomb(t, limit+1), bomb(t, 1<<20)
	for encoding, pack := range map[string]func([]byte) []byte{"gzip": gzipped, "zstd": zstded} {
		require.Less(t, len(pack(large)), 1<<20)
		code, _ := post(t, c.URL(localcollector.OTLPHTTP)+"/v1/traces", encoding, pack(large))
		assert.Contains(t, []int{400, 413}, code, encoding)
		code, _ = post(t, c.URL(localcollector.OTLPHTTP)+"/v1/traces", encoding, pack(small))
		assert.Equal(t, 200, code, encoding)
		code, _ = post(t, c.URL(localcollector.Feedback)+"/v1/feedback", encoding, pack(bytes.Repeat([]byte(" "), 1<<20+1)))
		assert.Contains(t, []int{400, 413}, code, encoding)
	}
	conn, err := grpc.NewClient(c.Address(localcollector.OTLPGRPC), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.UseCompressor("gzip")))
	require.NoError(t, err)
	defer conn.Close()
	_, err = ptraceotlp.NewGRPCClient(conn).Export(t.Context(), fromProto(t, large))
	assert.Equal(t, codes.ResourceExhausted, status.Code(err), "%v", err)
	_, err = ptraceotlp.NewGRPCClient(conn).Export(t.Context(), fromProto(t, small))
	require.NoError(t, err)
}

func fromProto(t *testing.T, body []byte) ptraceotlp.ExportRequest {
	t.Helper()
	req := ptraceotlp.NewExportRequest()
	require.NoError(t, req.UnmarshalProto(body))
	return req
}

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func zstded(b []byte) []byte {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err) // of no options: cannot be
	}
	return w.EncodeAll(b, nil)
}

// TestMemoryLimiterAsksSendersToRetry: above the limit of a shipped configuration
// a request is refused so that the sender comes again, and counted.
func TestMemoryLimiterAsksSendersToRetry(t *testing.T) {
	c := quickstart(t, "--set=processors.memory_limiter.limit_mib=60", "--set=processors.memory_limiter.spike_limit_mib=30",
		"--set=processors.memory_limiter.check_interval=100ms", "--set=processors.trajectory.idle=1h", "--set=processors.trajectory.max_age=1h")
	deadline, code, sent := time.Now().Add(time.Minute), 0, 0
	for sent = 0; code != http.StatusServiceUnavailable && time.Now().Before(deadline); sent++ {
		td := ptrace.NewTraces()
		s := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		s.SetTraceID(pcommon.TraceID{1, byte(sent), byte(sent >> 8)})
		s.SetSpanID(pcommon.SpanID{1})
		s.Attributes().PutStr("gen_ai.operation.name", "chat")
		said, _ := json.Marshal([]any{map[string]any{"role": "user", "parts": []any{map[string]any{"type": "text", "content": fmt.Sprint(sent) + strings.Repeat("x", 1<<20)}}}})
		s.Attributes().PutStr("gen_ai.input.messages", string(said))
		body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
		require.NoError(t, err)
		code, _ = post(t, c.URL(localcollector.OTLPHTTP)+"/v1/traces", "", body)
		require.Contains(t, []int{200, 503}, code)
	}
	require.Equal(t, http.StatusServiceUnavailable, code, "503 is one of the answers after which OTLP senders retry")
	counts, err := c.Metrics(t.Context())
	require.NoError(t, err)
	assert.Positive(t, counts["receiver_refused_spans"])
	assert.InDelta(t, sent-1, counts["receiver_accepted_spans"], 0, "what was taken is what was answered with 200")
}

// TestFilesAreOpenedOneAtATime: a batch of many days makes many files; few of them
// are open at any time, and none afterwards.
func TestFilesAreOpenedOneAtATime(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("needs /proc")
	}
	c := quickstart(t)
	before := openFiles(c.PID())
	watching, stop := context.WithCancel(t.Context())
	most := make(chan int, 1)
	go func() {
		n := 0
		for watching.Err() == nil {
			n = max(n, openFiles(c.PID()))
		}
		most <- n
	}()
	const days = 400
	var items []map[string]any
	for d := range days {
		at := time.Now().UTC().AddDate(0, 0, -d).Format(time.RFC3339)
		items = append(items, map[string]any{"trace_id": fmt.Sprintf("%032x", d+1), "name": "solved", "value": true, "observed_at": at})
	}
	body, err := json.Marshal(items)
	require.NoError(t, err)
	code, _ := post(t, c.URL(localcollector.Feedback)+"/v1/feedback", "", body)
	require.Less(t, code, 300)
	require.NoError(t, c.SettleFacts(t.Context(), days))
	stop()
	http.DefaultClient.CloseIdleConnections()
	assert.LessOrEqual(t, <-most, before+20)
	assert.Eventually(t, func() bool { return openFiles(c.PID()) <= before+4 }, 10*time.Second, 50*time.Millisecond)
}

func openFiles(pid int) int {
	list, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(list)
}

// TestLimitsAreNamedAsTheyAre: docs/limits.md names keys and metrics that are there.
func TestLimitsAreNamedAsTheyAre(t *testing.T) {
	var metrics strings.Builder
	var keys strings.Builder
	for _, f := range tracked(t) {
		if strings.HasSuffix(f, "/metadata.yaml") {
			metrics.WriteString(read(t, f))
		}
		if strings.HasSuffix(f, "/config.go") || strings.HasPrefix(f, "examples/quickstart/") && strings.HasSuffix(f, ".yaml") || strings.HasPrefix(f, "exporter/") && strings.HasSuffix(f, "README.md") {
			keys.WriteString(read(t, f))
		}
	}
	text := read(t, "docs/limits.md")
	for _, m := range regexp.MustCompile("`((?:processor|exporter|receiver)_[a-z_]+)`").FindAllStringSubmatch(text, -1) {
		if !strings.HasPrefix(m[1], "receiver_refused") { // the Collector's own
			assert.Contains(t, metrics.String(), m[1]+":\n")
		}
	}
	for _, m := range regexp.MustCompile("`((?:max|late|limit)_[a-z_]+)`").FindAllStringSubmatch(text, -1) {
		assert.Contains(t, keys.String(), m[1])
	}
}
