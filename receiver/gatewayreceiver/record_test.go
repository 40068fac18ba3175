package gatewayreceiver

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/tracegrad/tracegrad/receiver/gatewayreceiver/internal/metadata"
	"github.com/tracegrad/tracegrad/receiver/gatewayreceiver/internal/metadatatest"
)

func nopSettings() receiver.Settings { return receivertest.NewNopSettings(metadata.Type) }

func assertDropped(t *testing.T, tel *componenttest.Telemetry, n int64, reason string) {
	t.Helper()
	metadatatest.AssertEqualReceiverLlmGatewaySpansDropped(t, tel,
		[]metricdata.DataPoint[int64]{{Value: n, Attributes: attribute.NewSet(attribute.String("reason", reason))}}, metricdatatest.IgnoreTimestamp())
}

func consumerOf(t *testing.T, f consumer.ConsumeTracesFunc) consumer.Traces {
	t.Helper()
	c, err := consumer.NewTraces(f)
	require.NoError(t, err)
	return c
}

// A pipeline that hangs neither delays nor fails a call; what does not fit in
// the queue is dropped and counted.
func TestSlowPipeline(t *testing.T) {
	release := make(chan struct{})
	var taken atomic.Int64
	b := start(t, answering, consumerOf(t, func(_ context.Context, td ptrace.Traces) error {
		<-release
		taken.Add(int64(td.SpanCount()))
		return nil
	}), func(c *Config) { c.MaxQueueBytes = 50_000 })
	const calls = 40
	for range calls {
		res, _ := b.post(hello)
		require.Equal(t, http.StatusOK, res.StatusCode)
	}
	close(release)
	b.stop()
	got, err := b.telemetry.GetMetric("otelcol_receiver_llm_gateway_spans_dropped")
	require.NoError(t, err)
	points := got.Data.(metricdata.Sum[int64]).DataPoints
	require.Len(t, points, 1)
	reason, _ := points[0].Attributes.Value("reason")
	assert.Equal(t, "queue_full", reason.AsString())
	assert.Positive(t, taken.Load())
	assert.Equal(t, int64(calls), taken.Load()+points[0].Value)
	assert.Zero(t, b.gateway.recorder.held.Load())
}

func TestRefusingPipeline(t *testing.T) {
	b := start(t, answering, consumertest.NewErr(consumererror.NewPermanent(errors.New("no"))), nil)
	res, body := b.post(hello)
	assert.Equal(t, http.StatusOK, res.StatusCode)
	assert.Contains(t, string(body), `"ok"`)
	b.stop()
	assertDropped(t, b.telemetry, 1, "refused")
}

// recorderOf makes a recorder with one finished call in its queue.
func recorderOf(t *testing.T, next consumer.Traces) (*recorder, *componenttest.Telemetry) {
	t.Helper()
	tel := componenttest.NewTelemetry()
	set := nopSettings()
	set.TelemetrySettings = tel.NewTelemetrySettings()
	cfg := createDefaultConfig().(*Config)
	cfg.Upstream.Endpoint = "http://127.0.0.1:1"
	g := newTestGateway(t, cfg, set, next)
	c := &call{request: []byte(hello), start: g.now(), end: g.now(), outcome: outcomeUnreachable}
	g.recorder.add(c)
	return g.recorder, tel
}

func TestBusyPipelineIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		sink := new(consumertest.TracesSink)
		r, _ := recorderOf(t, consumerOf(t, func(ctx context.Context, td ptrace.Traces) error {
			if tries++; tries < 3 {
				for _, rs := range td.ResourceSpans().All() {
					rs.ScopeSpans().RemoveIf(func(ptrace.ScopeSpans) bool { return true }) // a pipeline may change what it is given
				}
				return errors.New("busy")
			}
			return sink.ConsumeTraces(ctx, td)
		}))
		r.start()
		require.NoError(t, r.stop(t.Context()))
		assert.Equal(t, 3, tries)
		assert.Equal(t, 1, sink.SpanCount())
	})
}

func TestBusyPipelineIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		r, tel := recorderOf(t, consumerOf(t, func(context.Context, ptrace.Traces) error {
			tries++
			return errors.New("busy")
		}))
		r.start()
		require.NoError(t, r.stop(t.Context()))
		assert.Equal(t, maxAttempts, tries)
		assertDropped(t, tel, 1, "unavailable")
	})
}

func TestStopEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, tel := recorderOf(t, consumerOf(t, func(ctx context.Context, _ ptrace.Traces) error {
			<-ctx.Done()
			return ctx.Err()
		}))
		r.start()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, r.stop(ctx), context.Canceled)
		assertDropped(t, tel, 1, "shutdown")
		r.add(&call{}) // too late: counted, not queued
		assertDropped(t, tel, 2, "shutdown")
		require.NoError(t, r.stop(t.Context()))
	})
}

// Shutdown waits for streams and flushes their spans.
func TestShutdownWaitsForStreams(t *testing.T) {
	up := newStepped()
	sink := new(consumertest.TracesSink)
	b := start(t, up.serve, sink, nil)
	go func() { up.send <- chunk("a") }()
	res, err := http.DefaultClient.Do(b.request(context.Background(), helloStream))
	require.NoError(t, err)
	down := make(chan error)
	go func() { down <- b.gateway.Shutdown(context.Background()) }()
	for { // until the gateway accepts no more
		r, err := http.Get(b.url + "/")
		if err != nil {
			break
		}
		_ = r.Body.Close()
	}
	select {
	case err := <-down:
		t.Fatal("did not wait", err)
	default:
	}
	up.send <- chunk("b") + "data: [DONE]\n\n"
	close(up.send)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	assert.Equal(t, chunk("a")+chunk("b")+"data: [DONE]\n\n", string(body))
	require.NoError(t, <-down)
	require.Equal(t, 1, sink.SpanCount())
	assert.Contains(t, attr(b.span(sink), "gen_ai.output.messages"), `"ab"`)
}

// When its time is up, Shutdown cuts the streams and still flushes.
func TestShutdownCutsStreams(t *testing.T) {
	up := newStepped()
	sink := new(consumertest.TracesSink)
	b := start(t, up.serve, sink, nil)
	go func() { up.send <- chunk("a") }()
	res, err := http.DefaultClient.Do(b.request(context.Background(), helloStream))
	require.NoError(t, err)
	_, err = res.Body.Read(make([]byte, 10))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b.stopped = true
	require.ErrorContains(t, b.gateway.Shutdown(ctx), "wait for calls: context canceled: they were cut")
	<-up.gone
	_, err = io.ReadAll(res.Body)
	require.Error(t, err)
	_ = res.Body.Close()
	require.NoError(t, b.gateway.Shutdown(context.Background()))
	s := b.span(sink)
	assert.Equal(t, "canceled", attr(s, "error.type"))
	assert.Contains(t, attr(s, "gen_ai.output.messages"), `"a"`)
}
