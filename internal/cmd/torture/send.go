package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tracegrad/tracegrad/internal/cmd/torture/delivery"
	"github.com/tracegrad/tracegrad/internal/cmd/torture/ledger"
)

const (
	answerWithin = 4 * time.Second // then the sender does not know, and sends again
	shortPause   = 50 * time.Millisecond
	longPause    = 400 * time.Millisecond
	giveUp       = 0.1 // share of the requests that are not sent again after an error
)

// senders deliver plans to the fleet and write down what was acknowledged.
type senders struct {
	fleet    []*member
	ledger   *ledger.Ledger
	verdicts int // sent so far
	retries  atomic.Int64
	gaveUp   atomic.Int64
}

// deliver sends every delivery at its time and returns when each was
// acknowledged or given up. A refusal that OTLP does not let a sender try again
// is an error: nothing that is sent here deserves one.
func (s *senders) deliver(ctx context.Context, r *rand.Rand, plan []delivery.Delivery) error {
	began := time.Now()
	var wait sync.WaitGroup
	failed := make(chan error, len(plan))
	for _, d := range plan {
		gives := r.Float64() < giveUp
		if err := sleep(ctx, time.Until(began.Add(d.At))); err != nil {
			wait.Wait()
			return err
		}
		wait.Go(func() {
			failed <- s.persist(ctx, gives, func(ctx context.Context) error { return s.export(ctx, d) })
		})
	}
	wait.Wait()
	return first(failed)
}

// first is the first error of all that were reported.
func first(reported chan error) error {
	close(reported)
	for err := range reported {
		if err != nil {
			return err
		}
	}
	return nil
}

// persist sends until it is acknowledged, or once if it gives up.
func (s *senders) persist(ctx context.Context, gives bool, send func(context.Context) error) error {
	for pause := shortPause; ; pause = min(2*pause, longPause) {
		err := send(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !retryable(err):
			return fmt.Errorf("refused for good: %w", err)
		case gives:
			s.gaveUp.Add(1)
			return nil
		}
		s.retries.Add(1)
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

var (
	// errRejected is an answer that takes back a part of what it acknowledges.
	errRejected = errors.New("spans were rejected")
	// errNoAnswer is an attempt over HTTP that is to be made again.
	errNoAnswer = errors.New("no answer")
)

func (s *senders) export(ctx context.Context, d delivery.Delivery) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	req := ptraceotlp.NewExportRequest()
	if err := req.UnmarshalProto(d.Body); err != nil {
		return err
	}
	res, err := ptraceotlp.NewGRPCClient(s.fleet[d.Collector].to.Load().otlp).Export(ctx, req)
	if err != nil {
		return err
	}
	if n := res.PartialSuccess().RejectedSpans(); n != 0 {
		return fmt.Errorf("%w: %d: %s", errRejected, n, res.PartialSuccess().ErrorMessage())
	}
	s.ledger.Acked(d.Spans)
	return nil
}

// retryable is OTLP's list of the answers after which a sender tries again.
func retryable(err error) bool {
	if errors.Is(err, errNoAnswer) {
		return true
	}
	switch status.Code(err) {
	case codes.Canceled, codes.DeadlineExceeded, codes.Aborted, codes.OutOfRange, codes.Unavailable, codes.DataLoss, codes.ResourceExhausted:
		return true
	}
	return false
}
