package trajectoryprocessor

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/processor"

	"github.com/tracegrad/tracegrad/processor/trajectoryprocessor/internal/metadata"
)

// The defaults of the configuration.
const (
	defaultRootGrace        = 5 * time.Second
	defaultIdle             = time.Minute
	defaultMaxAge           = time.Hour
	defaultLateWindow       = 10 * time.Minute
	defaultFlushInterval    = 10 * time.Second
	defaultMaxTrajectoryMiB = 16
	defaultMaxMemoryMiB     = 512
	defaultMaxOpen          = 100_000
)

// NewFactory returns the factory of the trajectory processor.
func NewFactory() processor.Factory {
	insts := &instances{hubs: map[*Config]*hub{}}
	return processor.NewFactory(
		metadata.Type,
		createDefaultConfig,
		processor.WithTraces(insts.createTraces, metadata.TracesStability),
		processor.WithLogs(insts.createLogs, metadata.LogsStability),
	)
}

func createDefaultConfig() component.Config {
	return &Config{
		Key:              keyAuto,
		RootGrace:        defaultRootGrace,
		Idle:             defaultIdle,
		MaxAge:           defaultMaxAge,
		LateWindow:       defaultLateWindow,
		MaxTrajectoryMiB: defaultMaxTrajectoryMiB,
		MaxMemoryMiB:     defaultMaxMemoryMiB,
		MaxOpen:          defaultMaxOpen,
		FlushInterval:    defaultFlushInterval,
		Emit:             emitTrajectories,
	}
}

func (i *instances) createTraces(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Traces) (processor.Traces, error) {
	h, leave, err := i.join(set, cfg.(*Config))
	if err != nil {
		return nil, err
	}
	return &tracesProcessor{id: set.ID, assembler: h.assemble(next), leave: leave, next: next}, nil
}

func (i *instances) createLogs(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Logs) (processor.Logs, error) {
	h, leave, err := i.join(set, cfg.(*Config))
	if err != nil {
		return nil, err
	}
	return &logsProcessor{hub: h, leave: leave, next: next}, nil
}
