package backfill

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/internal/history"
	"github.com/tracegrad/tracegrad/internal/otlp"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// marks are the traces of agents, by a hash of their ids. Two that have the
// same hash do no harm: what nothing in a trajectory marks is passed over.
type marks map[uint64]struct{}

func hashOf(id pcommon.TraceID) uint64 {
	h := uint64(0)
	for i, b := range id {
		h ^= uint64(b) << (8 * (i % 8))
	}
	return h
}

// read reads the files, from where an earlier import stopped, into the sorter.
func (im *importer) read(ctx context.Context) error {
	r := &fileReader{importer: im, marks: marks{}, fresh: marks{}}
	if err := r.resume(); err != nil {
		return err
	}
	done := int64(0)
	for i, in := range im.inputs {
		if i >= im.state.File {
			skip := 0
			if i == im.state.File {
				skip = im.state.Record
			}
			if err := r.file(ctx, i, skip, done); err != nil {
				return err
			}
		}
		done += in.Size
	}
	if len(im.state.Runs) > 0 && len(im.sorter.chunk) > 0 {
		// The memory is for the trajectories now, and nothing is read again.
		if err := r.spill(len(im.inputs), 0); err != nil {
			return err
		}
	}
	im.marks = r.marks
	im.report.span(r.cutter.first, r.cutter.most)
	return nil
}

type fileReader struct {
	*importer
	cutter cutter
	marks  marks // of everything
	fresh  marks // of what is in memory
}

// resume takes over the runs of an earlier import.
func (r *fileReader) resume() error {
	if len(r.state.Runs) == 0 {
		return nil
	}
	for _, name := range r.state.Runs {
		in, err := openRun(r.state.dir, name)
		if err != nil {
			return err
		}
		for _, m := range in.marks {
			r.marks[m] = struct{}{}
		}
		if err := in.close(); err != nil {
			return err
		}
	}
	r.sorter.runs, r.sorter.pieces = r.state.Runs, r.state.Pieces
	r.cutter.first, r.cutter.most, r.cutter.last = r.state.Last[0], r.state.Last[1], r.state.Last[2]
	if c := r.state.Counted; c != nil {
		r.report = *c
	}
	r.report.Resumed = true
	return nil
}

// file reads one file; what it does is undone only by reading it again.
func (r *fileReader) file(ctx context.Context, number, skip int, before int64) error {
	in := r.inputs[number]
	at := skip
	r.opt.OnProgress(Progress{Stage: StageRead, Done: before, Total: r.report.Bytes, File: in.Path})
	for b, err := range history.File(in.Path, skip) {
		if ctx.Err() != nil {
			return r.stop(ctx, number, at)
		}
		if err != nil {
			r.skip(err)
		} else if err := r.take(b); err != nil {
			return fmt.Errorf("import %s: record %d: %w", in.Path, b.Number, err)
		}
		at = max(at, b.Number)
		r.opt.OnProgress(Progress{Stage: StageRead, Done: before + min(b.Read, in.Size), Total: r.report.Bytes, File: in.Path})
		if r.sorter.full() {
			if err := r.spill(number, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// stop keeps what was read, so that the next import goes on here.
func (r *fileReader) stop(ctx context.Context, number, at int) error {
	if r.opt.DryRun || len(r.sorter.chunk) == 0 {
		return context.Cause(ctx)
	}
	if err := r.spill(number, at); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// spill writes a run, and then that it counts.
func (r *fileReader) spill(number, at int) error {
	list := make([]uint64, 0, len(r.fresh))
	for m := range r.fresh {
		list = append(list, m)
	}
	if _, err := r.sorter.spill(list); err != nil {
		return err
	}
	clear(r.fresh)
	s := r.state
	s.Runs, s.Pieces, s.File, s.Record = r.sorter.runs, r.sorter.pieces, number, at
	s.Last = [3]int64{r.cutter.first, r.cutter.most, r.cutter.last}
	counted := r.report
	s.Counted = &counted
	return s.save()
}

func (r *fileReader) skip(err error) {
	r.report.Skipped++
	r.report.Reasons[history.Reason(err)]++
	r.opt.OnError(err)
}

// take counts a request, marks the traces of agents in it, and sorts it in.
func (r *fileReader) take(b history.Batch) error {
	r.report.Formats[b.Format] += b.Items()
	if b.Signal == otlp.Logs {
		r.report.LogRecords += b.Items()
		for _, rl := range b.Logs.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, l := range sl.LogRecords().All() {
					if genai.Recorded(l) {
						r.mark(l.TraceID())
					}
				}
			}
		}
	} else {
		r.report.Spans += b.Items()
		for _, rs := range b.Traces.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					if genai.Marked(ss.Scope(), s) && !finished(s) {
						r.mark(s.TraceID())
					}
				}
			}
		}
	}
	return r.cutter.cut(b.Request, func(p piece) error {
		r.sorter.add(p)
		return nil
	})
}

func (r *fileReader) mark(id pcommon.TraceID) {
	h := hashOf(id)
	if _, ok := r.marks[h]; !ok {
		r.marks[h] = struct{}{}
		r.fresh[h] = struct{}{}
	}
}

// finished says whether a span is a trajectory that left a trajectory
// processor.
func finished(s ptrace.Span) bool {
	_, ok := s.Attributes().Get(trajectory.AttrTrajectory)
	return ok
}

// span says from when to when the telemetry is.
func (r *Report) span(first, last int64) {
	if first > 0 {
		r.First = time.Unix(0, first).UTC().Format(time.RFC3339)
		r.Last = time.Unix(0, last).UTC().Format(time.RFC3339)
	}
}
