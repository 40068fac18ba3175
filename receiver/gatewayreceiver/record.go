package gatewayreceiver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/tracegrad/tracegrad/receiver/gatewayreceiver/internal/metadata"
)

const (
	maxQueued   = 8192 // calls that wait, whatever their size
	maxBatch    = 64   // spans handed on at once
	workers     = 2
	maxAttempts = 6
	lastGrace   = time.Second            // to flush after the time is up, and for a pipeline that was told to stop
	firstPause  = 100 * time.Millisecond // doubled after each attempt: 3.1 s in all
)

// recorder turns calls into spans beside the calls' way. Its queue is bounded
// by count and bytes; what does not fit is dropped and counted.
type recorder struct {
	cfg       *Config
	spans     spanWriter
	told      func(*call) // of each call that was read
	next      consumer.Traces
	telemetry *metadata.TelemetryBuilder
	report    *receiverhelper.ObsReport
	log       *zap.Logger

	queue  chan *call
	held   atomic.Int64 // bytes in the queue and in the workers' hands
	done   sync.WaitGroup
	mu     sync.RWMutex // guards closed, and the queue's end
	closed bool
	ctx    context.Context // ends when the workers have to stop
	cancel context.CancelFunc
}

func newRecorder(cfg *Config, set receiver.Settings, tb *metadata.TelemetryBuilder, upstream *url.URL, next consumer.Traces) (*recorder, error) {
	report, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID: set.ID, Transport: "http", LongLivedCtx: true, ReceiverCreateSettings: set,
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &recorder{
		cfg: cfg, spans: newSpanWriter(cfg, upstream, set.BuildInfo.Version), next: next, telemetry: tb, report: report,
		log: set.Logger, queue: make(chan *call, maxQueued), ctx: ctx, cancel: cancel,
	}, nil
}

func (r *recorder) start() {
	for range workers {
		r.done.Go(r.work)
	}
}

// add queues a call that is over. It never waits.
func (r *recorder) add(c *call) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		r.dropped(1, "shutdown")
		return
	}
	c.held = c.size()
	if r.held.Add(c.held) <= r.cfg.MaxQueueBytes {
		select {
		case r.queue <- c:
			return
		default:
		}
	}
	r.held.Add(-c.held)
	r.dropped(1, "queue_full")
}

// stop hands on what is queued, until shortly after ctx ends. It may be called
// again.
func (r *recorder) stop(ctx context.Context) error {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.queue)
	}
	r.mu.Unlock()
	defer r.cancel()
	flushed := make(chan struct{})
	go func() {
		r.done.Wait()
		close(flushed)
	}()
	select {
	case <-flushed:
		return nil
	case <-ctx.Done():
	}
	if ended(flushed, lastGrace) { // cutting calls may have taken all the time there was
		return nil
	}
	r.cancel()                // the pipeline is told to stop; what is left is counted as dropped
	ended(flushed, lastGrace) // if it does not listen, it is left behind
	return fmt.Errorf("flush spans: %w", ctx.Err())
}

func ended(c <-chan struct{}, within time.Duration) bool {
	select {
	case <-c:
		return true
	case <-time.After(within):
		return false
	}
}

func (r *recorder) work() {
	for c := range r.queue {
		batch := append(make([]*call, 0, maxBatch), c)
		for more := true; more && len(batch) < maxBatch; {
			select {
			case c, ok := <-r.queue:
				if more = ok; ok {
					batch = append(batch, c)
				}
			default:
				more = false
			}
		}
		r.handOn(batch)
	}
}

func (r *recorder) handOn(batch []*call) {
	var held int64
	for _, c := range batch {
		held += c.held
	}
	defer r.held.Add(-held)

	for _, c := range batch {
		c.read(r.spans.limit)
		r.told(c)
	}
	op := r.report.StartTracesOp(r.ctx)
	err := r.consume(batch)
	r.report.EndTracesOp(op, metadata.Type.String(), len(batch), err)
	switch {
	case err == nil:
	case consumererror.IsPermanent(err):
		r.dropped(len(batch), "refused")
	case r.ctx.Err() != nil:
		r.dropped(len(batch), "shutdown")
	default:
		r.dropped(len(batch), "unavailable")
	}
	if err != nil {
		r.log.Warn("The pipeline did not take the spans of model calls", zap.Int("spans", len(batch)), zap.Error(err))
	}
}

// consume tries until the pipeline takes the spans, refuses them for good, or
// has been busy for too long.
func (r *recorder) consume(batch []*call) error {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		err := r.ctx.Err()
		if err == nil {
			// Written anew for each attempt: a pipeline may change what it is given.
			err = r.next.ConsumeTraces(r.ctx, r.spans.write(batch))
		}
		if err == nil || consumererror.IsPermanent(err) || attempt == maxAttempts {
			return err
		}
		select {
		case <-r.ctx.Done():
			return errors.Join(err, r.ctx.Err())
		case <-time.After(pause):
			pause *= 2
		}
	}
}

func (r *recorder) dropped(n int, reason string) {
	r.telemetry.ReceiverLlmGatewaySpansDropped.Add(context.Background(), int64(n), metric.WithAttributes(attribute.String("reason", reason)))
}
