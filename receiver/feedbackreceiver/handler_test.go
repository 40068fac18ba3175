package feedbackreceiver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/tracegrad/tracegrad/receiver/feedbackreceiver/internal/metadatatest"
)

var update = flag.Bool("update", false, "rewrite the expected parts of testdata")

var testNow = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func newTestReceiver(t *testing.T, tt *componenttest.Telemetry, next consumer.Logs) *feedbackReceiver {
	r, err := newReceiver(metadatatest.NewSettings(tt), createDefaultConfig().(*Config), next, func() time.Time { return testNow })
	require.NoError(t, err)
	return r
}

func post(h http.Handler, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

// TestRequests runs testdata/requests: a body in, the answer and the log
// records out.
func TestRequests(t *testing.T) {
	paths, err := filepath.Glob("testdata/requests/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, p := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(p), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(p)
			require.NoError(t, err)
			tt := componenttest.NewTelemetry()
			t.Cleanup(func() { assert.NoError(t, tt.Shutdown(context.Background())) })
			sink := new(consumertest.LogsSink)
			w := post(newTestReceiver(t, tt, sink).handler, string(ar.Files[0].Data))
			assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
			got := txtar.Archive{Comment: ar.Comment, Files: []txtar.File{
				ar.Files[0],
				{Name: "answer", Data: fmt.Appendf(nil, "%d %s", w.Code, w.Body)},
				{Name: "records", Data: dump(t, sink.AllLogs())},
			}}
			if *update {
				require.NoError(t, os.WriteFile(p, txtar.Format(&got), 0o644))
				return
			}
			assert.Equal(t, string(txtar.Format(ar)), string(txtar.Format(&got)))
		})
	}
}

func dump(t *testing.T, all []plog.Logs) []byte {
	var out bytes.Buffer
	for _, l := range all {
		b, err := new(plog.JSONMarshaler).MarshalLogs(l)
		require.NoError(t, err)
		require.NoError(t, json.Indent(&out, b, "", " "))
		out.WriteByte('\n')
	}
	return out.Bytes()
}

func TestHead(t *testing.T) {
	for name, c := range map[string]struct {
		method, media, body string
		status              int
		reason, message     string
	}{
		"method":          {http.MethodGet, "application/json", "", 405, reasonMethod, "use POST /v1/feedback"},
		"no content type": {http.MethodPost, "", "{}", 415, reasonContentType, "set the header Content-Type: application/json"},
		"form":            {http.MethodPost, "application/x-www-form-urlencoded", "{}", 415, reasonContentType, "set the header Content-Type: application/json"},
		"not json":        {http.MethodPost, "application/json", "{", 400, reasonNotJSON, "the body is not JSON: unexpected end of JSON input, at byte 1"},
		"empty":           {http.MethodPost, "application/json", "", 400, reasonNotJSON, "the body is not JSON: unexpected end of JSON input, at byte 0"},
		"two values":      {http.MethodPost, "application/json", "{} {}", 400, reasonNotJSON, "the body is not JSON: invalid character '{' after top-level value, at byte 4"},
		"no items":        {http.MethodPost, "application/json", " [ ]", 400, reasonNotJSON, "the array is empty"},
		"not utf-8":       {http.MethodPost, "application/json", "\xff", 400, reasonNotJSON, "the body is not UTF-8"},
		"too many items":  {http.MethodPost, "application/json", "[" + strings.Repeat("1,", maxItems) + "1]", 400, reasonNotJSON, "the array has 1001 items, at most 1000 are allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			tt := componenttest.NewTelemetry()
			t.Cleanup(func() { assert.NoError(t, tt.Shutdown(context.Background())) })
			req := httptest.NewRequest(c.method, path, strings.NewReader(c.body))
			req.Header.Set("Content-Type", c.media)
			w := httptest.NewRecorder()
			sink := new(consumertest.LogsSink)
			newTestReceiver(t, tt, sink).handler.ServeHTTP(w, req)
			assert.Equal(t, c.status, w.Code)
			assert.JSONEq(t, fmt.Sprintf(`{"accepted":0,"error":%q}`, c.message), w.Body.String())
			assert.Zero(t, sink.LogRecordCount())
			assertRefused(t, tt, c.reason, 1)
		})
	}
}

func assertRefused(t *testing.T, tt *componenttest.Telemetry, reason string, n int64) {
	metadatatest.AssertEqualReceiverFeedbackRefused(t, tt, []metricdata.DataPoint[int64]{
		{Attributes: attribute.NewSet(attribute.String("reason", reason)), Value: n},
	}, metricdatatest.IgnoreTimestamp())
}

const twoItems = `[{"name":"a","value":1,"response_id":"r"},{"name":"b","value":2,"response_id":"r"}]`

// TestPipelineErrors holds that 200 is answered only for what the pipeline
// took, and that the status says whether to send it again.
func TestPipelineErrors(t *testing.T) {
	for name, c := range map[string]struct {
		err     error
		status  int
		reason  string
		message string
	}{
		"retryable": {errors.New("queue is full of secrets"), 503, reasonPipelineRetryable, "the pipeline cannot take feedback now: send it again later"},
		"permanent": {consumererror.NewPermanent(errors.New("no such table")), 400, reasonPipelinePermanent, "the pipeline refuses this feedback: Permanent error: no such table"},
	} {
		t.Run(name, func(t *testing.T) {
			tt := componenttest.NewTelemetry()
			t.Cleanup(func() { assert.NoError(t, tt.Shutdown(context.Background())) })
			w := post(newTestReceiver(t, tt, consumertest.NewErr(c.err)).handler, twoItems)
			assert.Equal(t, c.status, w.Code)
			assert.JSONEq(t, fmt.Sprintf(`{"accepted":0,"error":%q}`, c.message), w.Body.String())
			assert.Equal(t, c.status == 503, w.Header().Get("Retry-After") != "")
			assertRefused(t, tt, c.reason, 2)
			m, err := tt.GetMetric("otelcol_receiver_refused_log_records")
			require.NoError(t, err)
			assert.Equal(t, int64(2), m.Data.(metricdata.Sum[int64]).DataPoints[0].Value)
		})
	}
}

func TestAcceptedIsCounted(t *testing.T) {
	tt := componenttest.NewTelemetry()
	t.Cleanup(func() { assert.NoError(t, tt.Shutdown(context.Background())) })
	w := post(newTestReceiver(t, tt, consumertest.NewNop()).handler, twoItems)
	assert.Equal(t, 200, w.Code)
	m, err := tt.GetMetric("otelcol_receiver_accepted_log_records")
	require.NoError(t, err)
	assert.Equal(t, int64(2), m.Data.(metricdata.Sum[int64]).DataPoints[0].Value)
	_, err = tt.GetMetric("otelcol_receiver_feedback_refused")
	assert.Error(t, err, "nothing was refused")
}

// TestTooManyRequests holds that requests at work are bounded.
func TestTooManyRequests(t *testing.T) {
	tt := componenttest.NewTelemetry()
	t.Cleanup(func() { assert.NoError(t, tt.Shutdown(context.Background())) })
	h := newTestReceiver(t, tt, consumertest.NewNop()).handler
	for range maxInFlight {
		h.slots <- struct{}{}
	}
	w := post(h, twoItems)
	assert.Equal(t, http.StatusTooManyRequests, w.Code)
	assert.Equal(t, "1", w.Header().Get("Retry-After"))
	assertRefused(t, tt, reasonTooManyRequests, 1)
	<-h.slots
	assert.Equal(t, 200, post(h, twoItems).Code)
	assert.Len(t, h.slots, maxInFlight-1, "the slot was given back")
}
