package parquetexporter

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
)

// quiet is how long an error that lasts is not logged again.
const quiet = time.Minute

// health is whether the last batch of one exporter could be written.
type health struct {
	mu      sync.Mutex
	host    component.Host // nil = nobody to tell
	failing bool
	logged  time.Time
}

// wrote notes how a batch went. While the disk is full, say, the data waits and
// is tried again: whoever watches the Collector must see it.
func (e *parquetExporter) wrote(ctx context.Context, signal string, err error) {
	h := &e.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		if h.failing {
			h.failing = false
			e.log.Info("The dataset can be written again", zap.String("signal", signal))
			h.report(componentstatus.NewEvent(componentstatus.StatusOK))
		}
		return
	}
	e.telemetry.ExporterParquetFailures.Add(ctx, 1, metric.WithAttributeSet(attribute.NewSet(attribute.String("signal", signal))))
	e.fail(err, "Cannot write to the dataset; the data waits in the queue and is tried again", zap.String("signal", signal))
}

// failing notes that the dataset cannot be written to, before anybody tried.
func (e *parquetExporter) failing(err error, message string) {
	e.health.mu.Lock()
	defer e.health.mu.Unlock()
	e.fail(err, message)
}

// fail logs and reports; the health's lock is held.
func (e *parquetExporter) fail(err error, message string, fields ...zap.Field) {
	h := &e.health
	if now := e.now(); !h.failing || now.Sub(h.logged) >= quiet {
		h.logged = now
		e.log.Warn(message, append(fields, zap.Error(err))...)
	}
	if !h.failing {
		h.failing = true
		h.report(componentstatus.NewRecoverableErrorEvent(err))
	}
}

func (h *health) report(event *componentstatus.Event) {
	if h.host != nil {
		componentstatus.ReportStatus(h.host, event)
	}
}
