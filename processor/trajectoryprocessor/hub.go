package trajectoryprocessor

import (
	"context"
	"os"
	"slices"
	"sync"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/tracegrad/tracegrad/processor/trajectoryprocessor/internal/metadata"
	"github.com/tracegrad/tracegrad/rewards"
)

// instances knows the running processors by their configuration: the Collector
// makes one instance per pipeline out of one configured component.
type instances struct {
	mu   sync.Mutex
	hubs map[*Config]*hub
}

// hub is what all instances of one configured processor share: rules,
// telemetry, and the assemblers. Every traces pipeline has an assembler, so
// that trajectories leave where their spans came in; the logs instances serve
// all of them.
type hub struct {
	cfg     *Config
	engine  *rewards.Engine // nil = no rewards
	writer  string
	logger  *zap.Logger
	tb      *metadata.TelemetryBuilder
	members int // guarded by instances.mu

	mu         sync.Mutex
	assemblers []*assembler
}

// join returns the hub of a configuration, with one more member, and the
// function that takes the member off again; it may be called twice.
func (i *instances) join(set processor.Settings, cfg *Config) (h *hub, leave func(), err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if h = i.hubs[cfg]; h == nil {
		if h, err = newHub(set, cfg); err != nil {
			return nil, nil, err
		}
		i.hubs[cfg] = h
	}
	h.members++
	return h, sync.OnceFunc(func() { i.leave(h) }), nil
}

// leave takes a member off; with the last one the hub is gone.
func (i *instances) leave(h *hub) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if h.members--; h.members == 0 {
		h.tb.Shutdown()
		delete(i.hubs, h.cfg)
	}
}

func newHub(set processor.Settings, cfg *Config) (*hub, error) {
	engine, err := cfg.Rewards.load()
	if err != nil {
		return nil, err
	}
	tb, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	h := &hub{cfg: cfg, engine: engine, writer: cfg.Writer, logger: set.Logger, tb: tb}
	if h.writer == "" {
		h.writer, _ = os.Hostname() // without a name there is one writer less to tell apart
	}
	return h, h.observe()
}

// observe registers the gauges, over all assemblers.
func (h *hub) observe() error {
	sum := func(of func(*assembler) int64) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			h.mu.Lock()
			list := slices.Clone(h.assemblers)
			h.mu.Unlock()
			total := int64(0)
			for _, a := range list {
				total += of(a)
			}
			o.Observe(total)
			return nil
		}
	}
	for _, register := range []func() error{
		func() error { return h.tb.RegisterProcessorTrajectoryOpenCallback(sum((*assembler).openNow)) },
		func() error { return h.tb.RegisterProcessorTrajectoryHeldCallback(sum((*assembler).held)) },
		func() error { return h.tb.RegisterProcessorTrajectoryPendingCallback(sum((*assembler).pending)) },
		func() error { return h.tb.RegisterProcessorTrajectoryStoredCallback(sum((*assembler).stored)) },
	} {
		if err := register(); err != nil {
			return err
		}
	}
	return nil
}

// assemble adds an assembler whose trajectories go to next.
func (h *hub) assemble(next consumer.Traces) *assembler {
	a := newAssembler(h, next)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.assemblers = append(h.assemblers, a)
	return a
}
