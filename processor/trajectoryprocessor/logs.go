package trajectoryprocessor

import (
	"context"
	"errors"
	"slices"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
)

// logsProcessor takes what log records say of model calls and tool runs into
// the trajectories of all traces pipelines, and passes the records on as they
// are.
type logsProcessor struct {
	hub   *hub
	leave func()
	next  consumer.Logs
}

func (*logsProcessor) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (*logsProcessor) Start(context.Context, component.Host) error { return nil }

// ConsumeLogs may be called again with the same records after an error: those
// that were taken are known by what they say.
func (p *logsProcessor) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	if some := recorded(ld); some {
		var errs error
		for _, a := range p.hub.all() {
			errs = errors.Join(errs, a.takeRecords(ctx, ld))
		}
		if errs != nil {
			return errs
		}
	}
	return p.next.ConsumeLogs(ctx, ld)
}

func (p *logsProcessor) Shutdown(context.Context) error {
	p.leave()
	return nil
}

// all is the assemblers of all traces pipelines.
func (h *hub) all() []*assembler {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.assemblers)
}
