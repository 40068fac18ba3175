//go:build cgo

package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/tracegrad/tracegrad/internal/backfill"
	"github.com/tracegrad/tracegrad/trainer"
	"github.com/tracegrad/tracegrad/trainer/update"
)

// backend is an OTLP server: HTTP at ServeHTTP, gRPC as the two services.
type backend struct {
	collectortrace.UnimplementedTraceServiceServer
	mu      sync.Mutex
	service string
	headers string
	spans   map[string]*tracepb.Span
	metrics map[string]*metricspb.Metric
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	b.headers = r.Header.Get("x-key")
	switch r.URL.Path {
	case "/v1/traces":
		var in collectortrace.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &in)
		}
		_, _ = b.Export(r.Context(), &in)
	case "/v1/metrics":
		var in collectormetrics.ExportMetricsServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &in)
		}
		b.take(&in)
	}
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
	}
}

func (b *backend) Export(_ context.Context, in *collectortrace.ExportTraceServiceRequest) (*collectortrace.ExportTraceServiceResponse, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range in.GetResourceSpans() {
		for _, a := range r.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				b.service = a.GetValue().GetStringValue()
			}
		}
		for _, s := range r.GetScopeSpans() {
			for _, span := range s.GetSpans() {
				b.spans[span.GetName()] = span
			}
		}
	}
	return &collectortrace.ExportTraceServiceResponse{}, nil
}

func (b *backend) take(in *collectormetrics.ExportMetricsServiceRequest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range in.GetResourceMetrics() {
		for _, s := range r.GetScopeMetrics() {
			for _, m := range s.GetMetrics() {
				b.metrics[m.GetName()] = m
			}
		}
	}
}

// metricsService is the other half of backend: both methods are called Export.
type metricsService struct {
	collectormetrics.UnimplementedMetricsServiceServer
	*backend
}

func (m metricsService) Export(_ context.Context, in *collectormetrics.ExportMetricsServiceRequest) (*collectormetrics.ExportMetricsServiceResponse, error) {
	m.take(in)
	return &collectormetrics.ExportMetricsServiceResponse{}, nil
}

func newBackend() *backend {
	return &backend{spans: map[string]*tracepb.Span{}, metrics: map[string]*metricspb.Metric{}}
}

// night runs tracegrad train on captures of the quickstart, which end before
// anything is learned: there are too few.
func night(t *testing.T) (code int, errOut string) {
	t.Helper()
	dir := t.TempDir()
	_, err := backfill.Run(t.Context(), backfill.Options{Files: []string{"../../../testdata/captures/openai__openinference-chat.jsonl"}, Dataset: filepath.Join(dir, "dataset")})
	require.NoError(t, err)
	rules, err := filepath.Abs("../../../examples/quickstart/rewards.yaml")
	require.NoError(t, err)
	config := filepath.Join(dir, "train.yaml")
	require.NoError(t, os.WriteFile(config, []byte("name: tonight\ndataset: dataset\nrewards: {file: "+rules+"}\n"), 0o600))
	var out, bad bytes.Buffer
	code = run(t.Context(), []string{"tracegrad", "train", "--config", config}, nil, &out, &bad)
	return code, bad.String()
}

func TestNightsAreTold(t *testing.T) {
	for _, protocol := range []string{overHTTP, overGRPC} {
		t.Run(protocol, func(t *testing.T) {
			b := newBackend()
			web := httptest.NewServer(b)
			defer web.Close()
			endpoint := web.URL
			if protocol == overGRPC {
				listener, err := net.Listen("tcp", "127.0.0.1:0")
				require.NoError(t, err)
				server := grpc.NewServer()
				collectortrace.RegisterTraceServiceServer(server, b)
				collectormetrics.RegisterMetricsServiceServer(server, metricsService{backend: b})
				go func() { _ = server.Serve(listener) }()
				defer server.Stop()
				endpoint = "http://" + listener.Addr().String()
			}
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
			t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
			t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret")
			t.Setenv("OTEL_SERVICE_NAME", "nights")
			code, errOut := night(t)
			require.Equal(t, exitFailed, code, errOut)
			require.NotContains(t, errOut, "telemetry")
			assert.Equal(t, "nights", b.service)
			if protocol == overHTTP {
				assert.Equal(t, "secret", b.headers)
			}
			whole := b.spans["tracegrad train"]
			require.NotNil(t, whole)
			assert.Equal(t, tracepb.Status_STATUS_CODE_ERROR, whole.GetStatus().GetCode())
			assert.Contains(t, whole.GetStatus().GetMessage(), "nothing to train on")
			selected := b.spans["train select"]
			require.NotNil(t, selected)
			assert.Equal(t, whole.GetSpanId(), selected.GetParentSpanId())
			assert.NotZero(t, selected.GetEndTimeUnixNano())
			assert.Equal(t, int64(1), b.metrics["tracegrad.train.runs"].GetSum().GetDataPoints()[0].GetAsInt())
		})
	}
}

func TestStepsAreTold(t *testing.T) {
	b := newBackend()
	web := httptest.NewServer(b)
	defer web.Close()
	t.Setenv("OTEL_METRICS_EXPORTER", "otlp")
	t.Setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", web.URL+"/v1/metrics")
	sent := newTelemetry(t.Context(), t.Output())
	told := newTrainTelemetry(t.Context(), sent, trainer.Default())
	step := func(state trainer.State, s update.Step) {
		told.event(trainer.Event{ID: "r", Stage: "update", State: state, Step: &s})
	}
	step(trainer.Reused, update.Step{Step: 1, Loss: 9, Tokens: 1000})
	half, kl := 0.5, 0.125
	step(trainer.Working, update.Step{Step: 2, Loss: 0.5, Moved: 0.01, ClipFraction: 0.25, Tokens: 100})
	step(trainer.Working, update.Step{Step: 3, Loss: 0.25, Moved: 0.02, ESS: &half, Tokens: 50, KL: &kl})
	step(trainer.Working, update.Step{Step: 4, Loss: 0.25, Moved: 0.2, ESS: &half, Tokens: 70, Stop: "max_kl"})
	told.close(&trainer.Result{Counts: trainer.Counts{Trained: 7, Holdout: 2, LeftOut: []trainer.LeftOut{{Reason: "used", Count: 3}}}}, nil)
	sent.close()
	sum := func(name string) (n int64) {
		for _, p := range b.metrics["tracegrad.train."+name].GetSum().GetDataPoints() {
			n += p.GetAsInt()
		}
		return n
	}
	last := func(name string) float64 {
		return b.metrics["tracegrad.train."+name].GetGauge().GetDataPoints()[0].GetAsDouble()
	}
	assert.Equal(t, []int64{2, 150, 12}, []int64{sum("steps"), sum("tokens"), sum("trajectories")}, "what was taken, once")
	assert.Equal(t, []float64{0.25, 0.2, 0.5, 0, 0.125}, []float64{last("loss"), last("kl"), last("ess"), last("clip_fraction"), last("kl_base")})
	assert.Nil(t, b.metrics["tracegrad.train.value_loss"], "what was not computed is not told")
	assert.Empty(t, b.spans, "only metrics were asked for")
}

func TestTelemetryCostsNothingElse(t *testing.T) {
	code, errOut := night(t)
	assert.Equal(t, exitFailed, code)
	assert.NotContains(t, errOut, "telemetry")

	t.Setenv("OTEL_TRACES_EXPORTER", "zipkin")
	t.Setenv("OTEL_METRICS_EXPORTER", "otlp")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon")
	again, errOut := night(t)
	assert.Equal(t, code, again)
	assert.Contains(t, errOut, `OTEL_TRACES_EXPORTER: "zipkin" is not known here; use otlp or none`)
	assert.Contains(t, errOut, `"carrier-pigeon" is not known here`)

	t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
	t.Setenv("OTEL_METRICS_EXPORTER", "none")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", overHTTP)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "100")
	again, errOut = night(t)
	assert.Equal(t, code, again)
	assert.Equal(t, 1, strings.Count(errOut, "telemetry:"), errOut)

	t.Setenv("OTEL_SDK_DISABLED", "true")
	_, errOut = night(t)
	assert.NotContains(t, errOut, "telemetry")
}
