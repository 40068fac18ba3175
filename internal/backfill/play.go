package backfill

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/tracegrad/tracegrad/internal/buffer"
	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/internal/otlp"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// The clocks of the buffer. Waiting costs an import no time, so they are more
// patient than the collector's: what comes late comes out as one row, and a
// human may think for an hour before an agent goes on.
const (
	rootGrace  = time.Minute
	idle       = 10 * time.Minute
	maxAge     = 24 * time.Hour
	lateWindow = 24 * time.Hour

	maxTrajectory = 64 << 20
	maxOpen       = 250_000
	dueAtOnce     = 256
)

// player plays the pieces back into the buffer of the trajectory processor. Its
// clock is the time of the telemetry.
type player struct {
	*importer
	buf      *buffer.Buffer
	decoders *genai.Decoders
	out      *committer
	now      int64
	done     int64
}

// play assembles all that was sorted, and commits it.
func (im *importer) play(ctx context.Context) error {
	out, err := newCommitter(im)
	if err != nil {
		return err
	}
	im.opt.Read.Shared = &genai.Shared{}
	p := &player{
		importer: im, out: out, decoders: genai.NewDecoders(im.opt.Read),
		buf: buffer.New(buffer.Config{
			RootGrace: rootGrace, Idle: idle, MaxAge: maxAge, LateWindow: lateWindow,
			MaxTrajectoryBytes: min(maxTrajectory, im.opt.Memory/8), MaxBytes: im.opt.Memory / 4, MaxOpen: maxOpen,
			ByKey: len(im.opt.Key) > 0, Yields: true,
		}),
	}
	err = im.sorter.each(func(x piece) error {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		return p.take(ctx, x)
	})
	if err != nil {
		return err
	}
	if err := p.advance(ctx, 1<<63-1); err != nil {
		return err
	}
	im.report.Repeated += p.buf.Take().Duplicate
	return out.flush(ctx)
}

// advance lets the clock run up to a time: it stops wherever something is due.
func (p *player) advance(ctx context.Context, to int64) error {
	for {
		next, ok := p.buf.Next()
		if !ok || next > to {
			break
		}
		p.now = max(p.now, next)
		if err := p.handOut(ctx, p.buf.Due(p.now, dueAtOnce)); err != nil {
			return err
		}
	}
	p.now = max(p.now, to)
	return nil
}

// handOut passes closed trajectories on.
func (p *player) handOut(ctx context.Context, closed []buffer.Closed) error {
	for i := range closed {
		var last trajectory.TraceID
		for _, s := range closed[i].Spans {
			if s.TraceID != last {
				last = s.TraceID
				p.decoders.Drop(last)
			}
		}
	}
	return p.out.closed(ctx, closed)
}

func (p *player) take(ctx context.Context, x piece) error {
	if err := p.advance(ctx, x.at); err != nil {
		return err
	}
	items, n, err := p.decode(ctx, x)
	if err != nil {
		return err
	}
	if err := p.add(ctx, items); err != nil {
		return err
	}
	p.done += int64(n)
	p.opt.OnProgress(Progress{Stage: StageAssemble, Done: p.done, Total: int64(p.report.Spans + p.report.LogRecords)})
	return nil
}

// decode reads a piece: what goes into the buffer, and how many spans and
// records it holds.
func (p *player) decode(ctx context.Context, x piece) ([]buffer.Item, int, error) {
	if x.signal == otlp.Logs {
		req := plogotlp.NewExportRequest()
		if err := req.UnmarshalProto(x.data); err != nil {
			return nil, 0, fmt.Errorf("read run: %w", err)
		}
		return p.records(req.Logs()), req.Logs().LogRecordCount(), nil
	}
	req := ptraceotlp.NewExportRequest()
	if err := req.UnmarshalProto(x.data); err != nil {
		return nil, 0, fmt.Errorf("read run: %w", err)
	}
	items, err := p.spans(ctx, req.Traces())
	return items, req.Traces().SpanCount(), err
}

func (p *player) records(ld plog.Logs) []buffer.Item {
	verdicts, _ := genai.Verdicts(ld, p.opt.Now())
	p.out.verdicts(verdicts)
	var items []buffer.Item
	for _, s := range p.decoders.DecodeRecords(ld) {
		items = append(items, buffer.Item{Span: s})
	}
	if n := ld.LogRecordCount() - len(items) - len(verdicts); n > 0 {
		p.report.Ordinary += n
	}
	return items
}

func (p *player) spans(ctx context.Context, td ptrace.Traces) ([]buffer.Item, error) {
	items := make([]buffer.Item, 0, td.SpanCount())
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				if v, ok := s.Attributes().Get(trajectory.AttrTrajectory); ok {
					if err := p.out.finished(ctx, v); err != nil {
						return nil, err
					}
					continue
				}
				if _, ours := p.marks[hashOf(s.TraceID())]; !ours || s.TraceID().IsEmpty() || s.SpanID().IsEmpty() {
					p.report.Ordinary++
					continue
				}
				items = append(items, buffer.Item{Span: p.decoders.Decode(rs.Resource(), ss.Scope(), s), Key: p.key(rs.Resource(), s)})
			}
		}
	}
	return items, nil
}

func (p *player) key(res pcommon.Resource, s ptrace.Span) string {
	if len(p.opt.Key) == 0 {
		return ""
	}
	return genai.JoinedBy(p.opt.Key, res, s)
}

// add puts items into the buffer. Where they do not fit, the trajectories that
// are quiet for longest are closed.
func (p *player) add(ctx context.Context, items []buffer.Item) error {
	if len(items) == 0 {
		return nil
	}
	for {
		err := p.buf.Add(p.now, items)
		for _, w := range p.buf.Rested() {
			p.decoders.Drop(w.Trace)
		}
		switch {
		case err == nil:
			return p.handOut(ctx, p.buf.Due(p.now, dueAtOnce)) // those that hit a bound
		case errors.Is(err, buffer.ErrTooLarge) && len(items) > 1:
			half := len(items) / 2
			if err := p.add(ctx, items[:half]); err != nil {
				return err
			}
			return p.add(ctx, items[half:])
		case !errors.Is(err, buffer.ErrFull):
			return err
		case !p.buf.Evict(p.now):
			return fmt.Errorf("%w, and nothing can be closed: give more memory", err)
		}
		if err := p.handOut(ctx, p.buf.Due(p.now, dueAtOnce)); err != nil {
			return err
		}
	}
}
