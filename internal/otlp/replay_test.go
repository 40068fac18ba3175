package otlp

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

func seconds(n int) pcommon.Timestamp { return pcommon.Timestamp(n) * 1e9 }

func of(reqs ...Request) Source {
	return func(yield func(Request, error) bool) {
		for _, r := range reqs {
			if !yield(r.clone(), nil) {
				return
			}
		}
	}
}

// endpoint is an OTLP/HTTP server that decodes what it is sent. answer, if
// set, may answer a request itself; it then returns true.
type endpoint struct {
	*httptest.Server
	answer func(n int, w http.ResponseWriter, r *http.Request) bool

	mu     sync.Mutex
	calls  int
	header http.Header
	got    []Request // accepted
}

func serve(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request) bool) *endpoint {
	t.Helper()
	e := &endpoint{answer: answer}
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls++
	e.header = r.Header
	if e.answer != nil && e.answer(e.calls, w, r) {
		return
	}
	req, err := decode(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e.got = append(e.got, req)
}

func decode(r *http.Request) (Request, error) {
	zr, err := gzip.NewReader(r.Body)
	if err != nil {
		return Request{}, err
	}
	body, err := io.ReadAll(zr)
	if err != nil {
		return Request{}, err
	}
	switch r.URL.Path {
	case "/v1/traces":
		m := ptraceotlp.NewExportRequest()
		err = m.UnmarshalProto(body)
		return Request{Signal: Traces, Traces: m.Traces()}, err
	case "/v1/logs":
		m := plogotlp.NewExportRequest()
		err = m.UnmarshalProto(body)
		return Request{Signal: Logs, Logs: m.Logs()}, err
	}
	return Request{}, errors.New("no such path: " + r.URL.Path)
}

// clock is a time that passes only while somebody sleeps.
type clock struct {
	now    time.Time
	pauses []time.Duration
}

func (c *clock) options(endpoint string) Options {
	return Options{
		Endpoint: endpoint,
		Now:      func() time.Time { return c.now },
		Sleep: func(ctx context.Context, d time.Duration) error {
			c.pauses = append(c.pauses, d)
			c.now = c.now.Add(d)
			return ctx.Err()
		},
		Jitter: func() float64 { return 0 },
	}
}

func TestReplaySendsACaptureInOrder(t *testing.T) {
	e := serve(t, nil)
	var progress []Progress
	report, err := Replay(t.Context(), Files(capture), Options{
		Endpoint: e.URL, KeepTimes: true,
		Headers:    map[string]string{"Authorization": "Bearer x"},
		OnProgress: func(p Progress) { progress = append(progress, p) },
	})
	require.NoError(t, err)
	assert.True(t, report.Complete())

	sent := func(yield func(Request, error) bool) {
		for _, r := range e.got {
			_ = yield(r, nil)
		}
	}
	want := bodies(t, Files(capture))
	assert.Equal(t, want, bodies(t, sent), "the same requests, byte for byte, in order")
	assert.Equal(t, len(want), report.Requests)
	assert.Equal(t, Scan(Files(capture)).Files[0].Spans, report.Spans)
	assert.Equal(t, int64(len(strings.Join(want, ""))), report.Bytes)
	assert.Less(t, report.SentBytes, report.Bytes)
	assert.Equal(t, "Bearer x", e.header.Get("Authorization"))
	require.Len(t, progress, len(want))
	assert.Equal(t, len(want), progress[len(want)-1].Done)
}

func TestReplayShiftsAllTimesByOneStep(t *testing.T) {
	e := serve(t, nil)
	c := &clock{now: time.Unix(1_000_000, 500)}
	report, err := Replay(t.Context(), of(trace(10, 90), logs(100), trace(0, 95)), c.options(e.URL))
	require.NoError(t, err)
	require.Len(t, e.got, 3)

	first := e.got[0].Traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	assert.Equal(t, seconds(1_000_000-90), first.StartTimestamp())
	assert.Equal(t, seconds(1_000_000-10), first.EndTimestamp())
	records := e.got[1].Logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
	assert.Equal(t, seconds(1_000_000), records.At(99).Timestamp(), "the capture ends now")
	assert.Zero(t, records.At(0).ObservedTimestamp(), "what is absent stays absent")
	last := e.got[2].Traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	assert.Zero(t, last.StartTimestamp())
	assert.InDelta(t, 1_000_000-100, report.ShiftSeconds, 0.001)
}

func TestReplayRetriesWhatIsRetryable(t *testing.T) {
	e := serve(t, func(n int, w http.ResponseWriter, _ *http.Request) bool {
		switch n {
		case 1:
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
		case 2, 3:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return n <= 3
	})
	c := &clock{now: time.Unix(1000, 0)}
	report, err := Replay(t.Context(), of(trace(1, 2)), c.options(e.URL))
	require.NoError(t, err)
	assert.Equal(t, 3, report.Retries)
	assert.Equal(t, 1, report.Requests)
	assert.Equal(t, []time.Duration{7 * time.Second, 100 * time.Millisecond, 200 * time.Millisecond}, c.pauses)
}

func TestReplayGivesUp(t *testing.T) {
	t.Run("busy for too long", func(t *testing.T) {
		e := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) bool {
			http.Error(w, "data refused due to high memory usage", http.StatusServiceUnavailable)
			return true
		})
		opt := (&clock{now: time.Unix(1000, 0)}).options(e.URL)
		opt.Attempts = 4
		report, err := Replay(t.Context(), of(trace(1, 2), trace(1, 2)), opt)
		require.EqualError(t, err, "post "+e.URL+"/v1/traces: 503 Service Unavailable: data refused due to high memory usage (gave up after 4 attempts)")
		assert.Equal(t, 3, report.Retries)
		assert.Equal(t, 4, e.calls, "the second request is not tried")
	})
	t.Run("nobody there", func(t *testing.T) {
		e := serve(t, nil)
		e.Close()
		c := &clock{now: time.Unix(1000, 0)}
		_, err := Replay(t.Context(), of(trace(1, 2)), c.options(e.URL))
		require.ErrorContains(t, err, "connection refused")
		assert.Len(t, c.pauses, unreachableAttempts-1)
	})
	t.Run("not OTLP", func(t *testing.T) {
		e := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) bool { http.NotFound(w, r); return true })
		_, err := Replay(t.Context(), of(trace(1, 2), trace(1, 2)), Options{Endpoint: e.URL})
		require.ErrorContains(t, err, "404 Not Found")
		assert.Equal(t, 1, e.calls)
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("interrupted"))
		e := serve(t, nil)
		_, err := Replay(ctx, of(trace(1, 2)), Options{Endpoint: e.URL})
		require.EqualError(t, err, "interrupted")
		assert.Zero(t, e.calls)
	})
}

func TestReplayGoesOnAfterBadInput(t *testing.T) {
	e := serve(t, func(n int, w http.ResponseWriter, _ *http.Request) bool {
		if n == 1 {
			http.Error(w, "no good", http.StatusBadRequest)
		}
		return n == 1
	})
	good, bad := `{"resourceSpans":[]}`, `{"nothing":1}`
	src := func(yield func(Request, error) bool) {
		Read("f", strings.NewReader(good+"\n"+bad+"\n"+good))(yield)
	}
	var errs []string
	report, err := Replay(t.Context(), src, Options{Endpoint: e.URL, OnError: func(err error) { errs = append(errs, err.Error()) }})
	require.NoError(t, err)
	assert.False(t, report.Complete())
	assert.Equal(t, 1, report.Requests)
	assert.Equal(t, 1, report.Refused)
	assert.Equal(t, 1, report.Invalid)
	require.Len(t, errs, 2)
	all := strings.Join(errs, "\n")
	assert.Contains(t, all, "f:1: post "+e.URL+"/v1/traces: 400 Bad Request: no good")
	assert.Contains(t, all, "f:2: neither resourceSpans nor resourceLogs")
}

func TestReplayCountsPartialSuccess(t *testing.T) {
	e := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) bool {
		res := ptraceotlp.NewExportResponse()
		res.PartialSuccess().SetRejectedSpans(1)
		res.PartialSuccess().SetErrorMessage("one too many")
		body, _ := res.MarshalProto()
		_, _ = w.Write(body)
		return r.URL.Path == "/v1/traces"
	})
	report, err := Replay(t.Context(), of(trace(1, 2), trace(1, 2)), Options{Endpoint: e.URL})
	require.NoError(t, err)
	assert.Equal(t, int64(2), report.RejectedSpans)
	assert.Equal(t, "one too many", report.RejectedReason)
	assert.False(t, report.Complete())
}

func TestReplayKeepsTheRate(t *testing.T) {
	e := serve(t, nil)
	c := &clock{now: time.Unix(1000, 0)}
	opt := c.options(e.URL)
	opt.Rate = 4
	_, err := Replay(t.Context(), of(logs(1), logs(1), logs(1)), opt)
	require.NoError(t, err)
	assert.Equal(t, []time.Duration{250 * time.Millisecond, 250 * time.Millisecond}, c.pauses)
}

func TestReplaySplitsWhatIsTooLarge(t *testing.T) {
	large := logs(3)
	for _, l := range large.Logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
		l.Body().SetStr(strings.Repeat("x", MaxRequestBytes/2))
	}
	e := serve(t, nil)
	report, err := Replay(t.Context(), of(large), Options{Endpoint: e.URL})
	require.NoError(t, err)
	assert.Equal(t, 3, report.LogRecords)
	assert.Len(t, e.got, 3)
}

func TestReplayInParallelSendsEverything(t *testing.T) {
	e := serve(t, nil)
	want := Scan(Files(capture))
	report, err := Replay(t.Context(), Files(capture), Options{Endpoint: e.URL, Concurrency: 4})
	require.NoError(t, err)
	assert.Equal(t, want.Requests, report.Requests)
	assert.Equal(t, want.Files[0].Spans, report.Spans)
}

func TestParseEndpoint(t *testing.T) {
	for in, want := range map[string]string{
		"http://127.0.0.1:4318":             "http://127.0.0.1:4318",
		"127.0.0.1:4318":                    "http://127.0.0.1:4318",
		"https://otel.example/base/":        "https://otel.example/base",
		"http://localhost:4318/v1/traces":   "http://localhost:4318",
		"http://localhost:4318/x/v1/logs/":  "http://localhost:4318/x",
		"grpc://localhost:4317":             `scheme "grpc" is not OTLP/HTTP`,
		"":                                  "want a host",
		"http://":                           "want a host",
		"http://localhost:4318?insecure=no": "want a host and nothing after the path",
		"http://[::1":                       "parse endpoint",
	} {
		got, err := parseEndpoint(in)
		if err != nil {
			assert.ErrorContains(t, err, want, in)
			assert.ErrorContains(t, err, "such as http://127.0.0.1:4318")
			continue
		}
		assert.Equal(t, want, got)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                              0,
		"3":                             3 * time.Second,
		"-1":                            0,
		"99999999999":                   longestDemand,
		"soon":                          0,
		"Fri, 02 Jan 2026 03:04:09 GMT": 4 * time.Second,
		"Fri, 02 Jan 2026 03:04:01 GMT": 0,
	} {
		assert.Equal(t, want, retryAfter(value, now), value)
	}
	b := backoff{jitter: func() float64 { return 0.999 }}
	assert.Less(t, b.pause(1, 0), 100*time.Millisecond)
	assert.Equal(t, longestDemand, b.pause(1, time.Hour))
	assert.LessOrEqual(t, b.pause(1_000_000, 0), longestPause)
}
