package trajectoryprocessor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

var (
	errStopped = errors.New("trajectory processor has stopped")
	errReading = errors.New("trajectory processor is still going through its storage: send again")
)

// tracesProcessor is the thin shell of an assembler: it starts and stops its
// clock.
type tracesProcessor struct {
	id        component.ID
	assembler *assembler
	leave     func()
	next      consumer.Traces

	mu      sync.Mutex
	stop    chan struct{} // nil = not running
	cancel  context.CancelFunc
	done    chan struct{}
	stopped bool
}

// Capabilities says that requests are only read: what goes on while spans of
// the same request stay here is a copy.
func (*tracesProcessor) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

// Start takes up what the storage holds, and starts the clock.
func (p *tracesProcessor) Start(ctx context.Context, host component.Host) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped || p.stop != nil {
		return nil
	}
	p.assembler.report = func(e *componentstatus.Event) { componentstatus.ReportStatus(host, e) }
	if p.assembler.hub.cfg.Storage != nil {
		if n := len(p.assembler.hub.all()); n > 1 {
			return fmt.Errorf("storage: %d traces pipelines share this processor, and after a restart it could not tell whose a span is: give each pipeline its own, as in trajectory/two", n)
		}
		if err := p.assembler.open(ctx, host, p.id); err != nil {
			return err
		}
	}
	sending, cancel := context.WithCancel(context.Background())
	p.stop, p.cancel, p.done = make(chan struct{}), cancel, make(chan struct{})
	go func() {
		defer close(p.done)
		p.assembler.run(sending, p.stop)
	}()
	return nil
}

// ConsumeTraces takes the spans of agents and passes all others on at once. After
// an error that is not permanent the request may be sent again as it is: spans
// that were taken are known by their ids.
func (p *tracesProcessor) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	rest, some, err := p.assembler.take(ctx, td)
	if err != nil || !some {
		return err
	}
	return p.next.ConsumeTraces(ctx, rest)
}

// Shutdown hands on everything that is open, as far as ctx allows. With storage
// what is open stays there.
func (p *tracesProcessor) Shutdown(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return nil
	}
	p.stopped = true
	defer p.leave()
	patient := p.halt(ctx)
	if p.assembler.durable != nil {
		return p.assembler.rest(ctx, patient)
	}
	if p.stop == nil && p.assembler.hub.cfg.Storage != nil {
		return nil // it did not start: what there is stays in the storage
	}
	p.assembler.flush(ctx)
	return nil
}

// halt stops the clock. What is on its way to the next component may arrive: to
// be sent again it could arrive twice. It is false if it did not in time.
func (p *tracesProcessor) halt(ctx context.Context) bool {
	if p.stop == nil {
		return true
	}
	defer p.cancel()
	close(p.stop)
	select {
	case <-p.done:
		return true
	case <-ctx.Done():
	case <-time.After(flushPatience):
	}
	p.cancel()
	<-p.done
	return false
}
