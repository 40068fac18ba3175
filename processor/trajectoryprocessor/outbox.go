package trajectoryprocessor

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"
)

const (
	// batchBytes is the size from which a batch of trajectories is closed. A
	// trajectory is never split.
	batchBytes = mib

	// flushPatience is how long a next component that asks to retry is asked
	// again at shutdown, every flushPause.
	flushPatience = 10 * time.Second
	flushPause    = 100 * time.Millisecond
)

// outbox is the finished trajectories that the next component has not taken
// yet, in order. Only the goroutine that assembles touches the queue.
type outbox struct {
	next    consumer.Traces
	queue   []batch
	bytes   atomic.Int64
	waiting atomic.Int64 // bytes of the batch that is not full yet
	failing bool
}

// batch is some trajectories.
type batch struct {
	td           ptrace.Traces
	trajectories int
	bytes        int64

	// With storage.
	handed []handed
	free   []uint64 // entries that nothing needs once the batch is taken
}

func (o *outbox) held() int64 { return o.bytes.Load() + o.waiting.Load() }

func (o *outbox) push(b batch) {
	o.queue = append(o.queue, b)
	o.bytes.Add(b.bytes)
}

func (o *outbox) pop() {
	o.bytes.Add(-o.queue[0].bytes)
	o.queue[0] = batch{}
	if o.queue = o.queue[1:]; len(o.queue) == 0 {
		o.queue = nil
	}
}

// send hands on what is pending until the next component asks to retry.
func (a *assembler) send(ctx context.Context) {
	for len(a.out.queue) > 0 && ctx.Err() == nil {
		b := &a.out.queue[0]
		err := a.out.next.ConsumeTraces(ctx, a.out.sendable(b))
		switch {
		case err == nil:
			a.recovered()
		case consumererror.IsPermanent(err):
			a.hub.tb.ProcessorTrajectoryDownstreamFailures.Add(ctx, 1, withReason("permanent"))
			a.hub.tb.ProcessorTrajectoryLost.Add(ctx, int64(b.trajectories), withReason("permanent"))
			a.hub.logger.Error("The next component refused trajectories for good", zap.Int("trajectories", b.trajectories), zap.Error(err))
		default:
			a.hub.tb.ProcessorTrajectoryDownstreamFailures.Add(ctx, 1, withReason("retryable"))
			a.out.keepFailed(err)
			a.failing(err)
			a.hold()
			return
		}
		if a.durable != nil {
			a.durable.done = append(a.durable.done, b.handed...)
			a.durable.free = append(a.durable.free, b.free...)
		}
		a.out.pop()
	}
	a.hold()
}

// sendable is the batch, as a copy where the next component may change it.
func (o *outbox) sendable(b *batch) ptrace.Traces {
	if !o.next.Capabilities().MutatesData {
		return b.td
	}
	td := ptrace.NewTraces()
	b.td.CopyTo(td)
	return td
}

// keepFailed keeps only the part that failed, where the error tells.
func (o *outbox) keepFailed(err error) {
	var partial consumererror.Traces
	if b := &o.queue[0]; errors.As(err, &partial) && partial.Data().SpanCount() > 0 {
		b.td = partial.Data()
		b.trajectories = min(b.trajectories, b.td.SpanCount())
	}
}

// hold tells the buffer how much is pending.
func (a *assembler) hold() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.buf.Hold(a.out.held())
}

// failing and recovered report changes only.
func (a *assembler) failing(err error) {
	if !a.out.failing {
		a.out.failing = true
		a.hub.logger.Warn("The next component does not take trajectories now; they wait", zap.Error(err))
		a.report(componentstatus.NewRecoverableErrorEvent(err))
	}
}

func (a *assembler) recovered() {
	if a.out.failing {
		a.out.failing = false
		a.hub.logger.Info("The next component takes trajectories again")
		a.report(componentstatus.NewEvent(componentstatus.StatusOK))
	}
}

// drain sends what is pending, with some patience. It returns false when
// something is left.
func (a *assembler) drain(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, flushPatience)
	defer cancel()
	for {
		a.send(ctx)
		if len(a.out.queue) == 0 {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(flushPause):
		}
	}
}

// abandon counts what could not be handed on, with more that was not assembled.
func (a *assembler) abandon(more int) {
	lost := more
	for _, b := range a.out.queue {
		lost += b.trajectories
	}
	a.out.queue = nil
	a.out.bytes.Store(0)
	if lost > 0 {
		a.hub.tb.ProcessorTrajectoryLost.Add(context.Background(), int64(lost), withReason("shutdown"))
		a.hub.logger.Error("Trajectories are lost: the next component did not take them before shutdown", zap.Int("trajectories", lost))
	}
}
