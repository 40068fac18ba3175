package parquetexporter

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/tracegrad/tracegrad/exporter/parquetexporter/internal/metadata"
	"github.com/tracegrad/tracegrad/internal/dataset"
)

// parquetExporter is the end of one pipeline. The exporters of all signals of
// one component share a sink.
type parquetExporter struct {
	cfg       *Config
	sink      *sink
	log       *zap.Logger
	telemetry *metadata.TelemetryBuilder
	now       func() time.Time
	health    health
}

var errNotStarted = errors.New("the parquet exporter is not started")

func newExporter(set exporter.Settings, cfg *Config) (*parquetExporter, error) {
	tb, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	return &parquetExporter{cfg: cfg, sink: sinkOf(cfg, set.ID), log: set.Logger, telemetry: tb, now: time.Now}, nil
}

func (e *parquetExporter) start(ctx context.Context, host component.Host) error {
	e.health.host = host
	if err := e.sink.start(ctx); err != nil {
		return err
	}
	if w, _ := e.sink.open(); w.Warning() != nil { // a bucket may be back when there is something to write
		e.failing(w.Warning(), "Cannot reach the dataset; what comes waits in the queue until it can be written")
	}
	return nil
}

// shutdown runs after the queue has been emptied.
func (e *parquetExporter) shutdown(context.Context) error {
	e.telemetry.Shutdown()
	return e.sink.release()
}

// pushTraces commits what is in td as one file set. An error is one of the
// disk or the bucket: all of td is to be sent again.
func (e *parquetExporter) pushTraces(ctx context.Context, td ptrace.Traces) error {
	w, q := e.sink.open()
	if w == nil {
		return errNotStarted
	}
	in := collect(td, w.Name(), e.now())
	c, err := w.Write(ctx, in.trajectories, nil)
	e.wrote(ctx, "traces", err)
	if err != nil {
		return err
	}
	e.count(ctx, c)
	e.setAside(ctx, q, in.bad)
	e.skip(ctx, "traces", in.skipped)
	if in.duplicates > 0 {
		e.telemetry.ExporterParquetDuplicates.Add(ctx, int64(in.duplicates))
	}
	return nil
}

// pushLogs commits the facts in ld, like pushTraces.
func (e *parquetExporter) pushLogs(ctx context.Context, ld plog.Logs) error {
	w, q := e.sink.open()
	if w == nil {
		return errNotStarted
	}
	in := readFacts(ld, e.now())
	c, err := w.WriteFacts(ctx, in.facts)
	e.wrote(ctx, "logs", err)
	if err != nil {
		return err
	}
	e.count(ctx, c)
	e.setAside(ctx, q, in.bad)
	e.skip(ctx, "logs", in.skipped)
	return nil
}

func (e *parquetExporter) count(ctx context.Context, c dataset.Commit) {
	e.telemetry.ExporterParquetTrajectories.Add(ctx, int64(c.Trajectories))
	e.telemetry.ExporterParquetFacts.Add(ctx, int64(c.Facts))
	if c.Forgotten > 0 {
		e.telemetry.ExporterParquetForgotten.Add(ctx, int64(c.Forgotten))
	}
	for _, f := range c.Files {
		table := metric.WithAttributeSet(attribute.NewSet(attribute.String("table", f.Table)))
		e.telemetry.ExporterParquetFiles.Add(ctx, 1, table)
		e.telemetry.ExporterParquetRows.Add(ctx, f.Rows, table)
		e.telemetry.ExporterParquetBytes.Add(ctx, f.Bytes, table)
	}
}

// setAside never fails: whatever happens to the quarantine, the queue goes on.
func (e *parquetExporter) setAside(ctx context.Context, q *quarantine, bad []badItem) {
	if len(bad) == 0 {
		return
	}
	for _, b := range bad {
		e.telemetry.ExporterParquetQuarantined.Add(ctx, 1,
			metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", b.Reason))))
	}
	path, dropped, err := q.keep(ctx, bad, e.now())
	fields := []zap.Field{
		zap.Int("items", len(bad)), zap.Int("not_kept", dropped), zap.String("file", path),
		zap.String("reason", bad[0].Reason), zap.String("first_error", bad[0].Error), zap.Error(err),
	}
	e.log.Warn("set data aside that cannot be read", fields...)
}

func (e *parquetExporter) skip(ctx context.Context, signal string, n int) {
	if n > 0 {
		e.telemetry.ExporterParquetSkipped.Add(ctx, int64(n),
			metric.WithAttributeSet(attribute.NewSet(attribute.String("signal", signal))))
	}
}
