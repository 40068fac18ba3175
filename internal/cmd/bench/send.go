package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
)

// handedOnAfter is by when a whole trajectory was handed on: root_grace is 1 s.
const handedOnAfter = 3 * time.Second

const exportTraces = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

// send sends the requests of a run. They are encoded already: a sender copies
// the next one and writes new ids into it.
func (l *lab) send(ctx context.Context, address string, p pipeline) error {
	set := l.agents
	if p.ordinary {
		set = l.ordinary
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("connect to the collector: %w", err)
	}
	order := set.Shape().Order(l.groups)
	var next atomic.Int64
	var first sync.Map // group → when its first request was taken
	group, ctx := errgroup.WithContext(ctx)
	for range l.opt.senders {
		group.Go(func() error {
			var body []byte
			for {
				n := int(next.Add(1)) - 1
				if n >= len(order) {
					return nil
				}
				if at, ok := first.LoadAndDelete(order[n].Group); ok && set.Shape().Late {
					if err := sleep(ctx, time.Until(at.(time.Time).Add(handedOnAfter))); err != nil {
						return err
					}
				}
				body = set.AppendPart(body[:0], order[n])
				if err := export(ctx, conn, body); err != nil {
					return fmt.Errorf("send request %d of %d: %w", n+1, len(order), err)
				}
				if set.Shape().Late && order[n].Part == 0 {
					first.Store(order[n].Group, time.Now())
				}
				l.sent.Store(int64(n+1) * int64(l.spans()) / int64(len(order)))
			}
		})
	}
	return errors.Join(group.Wait(), conn.Close())
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// export sends one encoded request. It is done with body when it returns.
func export(ctx context.Context, conn *grpc.ClientConn, body []byte) error {
	var answer []byte
	if err := conn.Invoke(ctx, exportTraces, body, &answer, grpc.ForceCodecV2(raw{})); err != nil {
		return err
	}
	res := ptraceotlp.NewExportResponse()
	if err := res.UnmarshalProto(answer); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if n := res.PartialSuccess().RejectedSpans(); n != 0 {
		return fmt.Errorf("%d spans were rejected: %s", n, res.PartialSuccess().ErrorMessage())
	}
	return nil
}

// raw is a codec for messages that are encoded already: []byte to send,
// *[]byte to receive.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	body, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("send %T, want bytes", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(body)}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	into, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("receive into %T, want *[]byte", v)
	}
	*into = data.Materialize()
	return nil
}
