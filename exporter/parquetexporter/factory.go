package parquetexporter

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/tracegrad/tracegrad/exporter/parquetexporter/internal/metadata"
)

const (
	// A batch is what becomes a file set: 10 s, or 32 MiB of spans, which are a
	// few MB on disk and about five times as much in memory while they are written.
	flushTimeout = 10 * time.Second
	batchBytes   = 32 << 20
	queueBytes   = 256 << 20 // in memory, being written included
	// One batch is decoded while another is written.
	consumers = 2

	quarantineBytes = 64 << 20
)

// NewFactory makes parquet exporters.
func NewFactory() exporter.Factory {
	return exporter.NewFactory(
		metadata.Type,
		createDefaultConfig,
		exporter.WithTraces(createTraces, metadata.TracesStability),
		exporter.WithLogs(createLogs, metadata.LogsStability),
	)
}

func createDefaultConfig() component.Config {
	queue := exporterhelper.NewDefaultQueueConfig()
	queue.Sizer = exporterhelper.RequestSizerTypeBytes
	queue.QueueSize = queueBytes
	queue.NumConsumers = consumers
	queue.Batch = configoptional.Some(exporterhelper.BatchConfig{
		FlushTimeout: flushTimeout,
		Sizer:        exporterhelper.RequestSizerTypeBytes,
		MinSize:      batchBytes,
	})
	retry := configretry.NewDefaultBackOffConfig()
	retry.MaxElapsedTime = 0 // a full disk is not a reason to lose data
	return &Config{
		Quarantine:  QuarantineConfig{MaxBytes: quarantineBytes},
		QueueConfig: configoptional.Some(queue),
		RetryConfig: retry,
	}
}

func createTraces(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Traces, error) {
	e, err := newExporter(set, cfg.(*Config))
	if err != nil {
		return nil, err
	}
	t, err := exporterhelper.NewTraces(ctx, set, cfg, e.pushTraces, e.options()...)
	return &tracesExporter{Traces: t}, err
}

func createLogs(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Logs, error) {
	e, err := newExporter(set, cfg.(*Config))
	if err != nil {
		return nil, err
	}
	l, err := exporterhelper.NewLogs(ctx, set, cfg, e.pushLogs, e.options()...)
	return &logsExporter{Logs: l}, err
}

// The helper's exporters panic when they are shut down twice; these do not.
type tracesExporter struct {
	exporter.Traces
	stop sync.Once
}

func (e *tracesExporter) Shutdown(ctx context.Context) (err error) {
	e.stop.Do(func() { err = e.Traces.Shutdown(ctx) })
	return err
}

type logsExporter struct {
	exporter.Logs
	stop sync.Once
}

func (e *logsExporter) Shutdown(ctx context.Context) (err error) {
	e.stop.Do(func() { err = e.Logs.Shutdown(ctx) })
	return err
}

func (e *parquetExporter) options() []exporterhelper.Option {
	return []exporterhelper.Option{
		exporterhelper.WithStart(e.start),
		exporterhelper.WithShutdown(e.shutdown),
		exporterhelper.WithCapabilities(consumer.Capabilities{MutatesData: false}),
		exporterhelper.WithQueue(e.cfg.QueueConfig),
		exporterhelper.WithRetry(e.cfg.RetryConfig),
		exporterhelper.WithTimeout(exporterhelper.TimeoutConfig{Timeout: 0}), // a slow disk is waited for
	}
}
