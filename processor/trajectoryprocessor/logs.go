package trajectoryprocessor

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
)

// logsProcessor passes log records on unchanged.
type logsProcessor struct {
	leave func()
	next  consumer.Logs
}

func (*logsProcessor) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (*logsProcessor) Start(context.Context, component.Host) error { return nil }

func (p *logsProcessor) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	return p.next.ConsumeLogs(ctx, ld)
}

func (p *logsProcessor) Shutdown(context.Context) error {
	p.leave()
	return nil
}
