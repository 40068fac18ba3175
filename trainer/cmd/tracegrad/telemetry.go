package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
)

// telemetry sends what a command does over OTLP, if OpenTelemetry's standard
// variables ask for it: OTEL_EXPORTER_OTLP_ENDPOINT and its relatives, or
// OTEL_TRACES_EXPORTER and OTEL_METRICS_EXPORTER. The exporters and the SDK read
// the others themselves (headers, timeouts, samplers, resource attributes).
//
// Trouble with it is said once and costs nothing but the telemetry.
type telemetry struct {
	traces  *trace.TracerProvider // no exporter = nothing is sent
	metrics *metric.MeterProvider
}

// telemetryEnds is how long the last of it may take on the way out.
const telemetryEnds = 5 * time.Second

func newTelemetry(ctx context.Context, errOut io.Writer) *telemetry {
	warn := func(err error) { fmt.Fprintf(errOut, "telemetry: %v\n", err) }
	var once sync.Once
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { once.Do(func() { warn(err) }) }))
	about, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", "tracegrad"), attribute.String("service.version", version())), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		warn(err)
	}
	traces, metrics := []trace.TracerProviderOption{trace.WithResource(about)}, []metric.Option{metric.WithResource(about)}
	if exporter, err := spanExporter(ctx); err != nil {
		warn(err)
	} else if exporter != nil {
		traces = append(traces, trace.WithBatcher(exporter))
	}
	if exporter, err := metricExporter(ctx); err != nil {
		warn(err)
	} else if exporter != nil {
		metrics = append(metrics, metric.WithReader(metric.NewPeriodicReader(exporter)))
	}
	return &telemetry{traces: trace.NewTracerProvider(traces...), metrics: metric.NewMeterProvider(metrics...)}
}

// close sends what is left.
func (t *telemetry) close() {
	ctx, cancel := context.WithTimeout(context.Background(), telemetryEnds)
	defer cancel()
	if err := errors.Join(t.traces.Shutdown(ctx), t.metrics.Shutdown(ctx)); err != nil {
		otel.Handle(err)
	}
}

const (
	overHTTP = "http/protobuf"
	overGRPC = "grpc"
)

// protocolOf is how a signal (TRACES, METRICS) is sent; "" = not at all.
func protocolOf(signal string) (string, error) {
	exporter := os.Getenv("OTEL_" + signal + "_EXPORTER")
	endpoint := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))
	switch {
	case os.Getenv("OTEL_SDK_DISABLED") == "true", exporter == "none", exporter == "" && endpoint == "":
		return "", nil
	case exporter != "" && exporter != "otlp":
		return "", fmt.Errorf("OTEL_%s_EXPORTER: %q is not known here; use otlp or none", signal, exporter)
	}
	protocol := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), overHTTP)
	if protocol != overHTTP && protocol != overGRPC {
		return "", fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL: %q is not known here; use %s or %s", protocol, overHTTP, overGRPC)
	}
	return protocol, nil
}

func spanExporter(ctx context.Context) (*otlptrace.Exporter, error) {
	switch protocol, err := protocolOf("TRACES"); {
	case protocol == overGRPC:
		return otlptracegrpc.New(ctx)
	case protocol == overHTTP:
		return otlptracehttp.New(ctx)
	default:
		return nil, err
	}
}

func metricExporter(ctx context.Context) (metric.Exporter, error) {
	switch protocol, err := protocolOf("METRICS"); {
	case protocol == overGRPC:
		return otlpmetricgrpc.New(ctx)
	case protocol == overHTTP:
		return otlpmetrichttp.New(ctx)
	default:
		return nil, err
	}
}
