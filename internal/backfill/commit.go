package backfill

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"runtime"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"golang.org/x/sync/errgroup"

	"github.com/tracegrad/tracegrad/internal/buffer"
	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

const (
	// A batch is committed when it holds so many trajectories, or so much text
	// or a sixteenth of the memory.
	batchTrajectories = 20_000
	batchBytes        = 64 << 20

	// closedAtOnce trajectories are assembled together, on all cores.
	closedAtOnce = 256
)

// committer assembles closed trajectories, scores them and commits them, but
// for those that the dataset has.
type committer struct {
	*importer
	there   known
	facts   map[string]bool
	waiting []buffer.Closed
	batch   []*trajectory.Trajectory
	more    []trajectory.Fact
	bytes   int
	tally   tally
}

func newCommitter(im *importer) (*committer, error) {
	c := &committer{importer: im, facts: map[string]bool{}, tally: newTally()}
	since := time.Time{}
	if im.opt.Again {
		since = im.state.Since
	}
	if err := dataset.WrittenTrajectories(im.local, im.opt.Writer, since, c.there.add); err != nil {
		return nil, err
	}
	c.there.sort()
	return c, dataset.WrittenFacts(im.local, im.opt.Writer, since, func(id string) { c.facts[id] = true })
}

// closed takes what left the buffer.
func (c *committer) closed(ctx context.Context, closed []buffer.Closed) error {
	for i := range closed {
		if marked(&closed[i]) {
			c.waiting = append(c.waiting, closed[i])
		} else {
			c.report.Ordinary += len(closed[i].Spans)
		}
	}
	if len(c.waiting) < closedAtOnce {
		return nil
	}
	return c.assemble(ctx)
}

// marked says whether anything in a trajectory is an agent's.
func marked(c *buffer.Closed) bool {
	return c.Continues != "" || slices.ContainsFunc(c.Spans, func(s *trajectory.Span) bool { return s.GenAI })
}

// assemble makes trajectories of what waits, in its order.
func (c *committer) assemble(ctx context.Context) error {
	list := make([]*trajectory.Trajectory, len(c.waiting))
	now := c.opt.Now().UnixMicro()
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range c.waiting {
		group.Go(func() error {
			o := c.waiting[i].Options
			o.Writer = c.opt.Writer
			t := trajectory.Assemble(c.waiting[i].Spans, o)
			if t.Source == trajectory.SourceSpans {
				t.Source = trajectory.SourceImport
			}
			if c.opt.Rewards != nil && !c.there.has(t.ID, t.Revision) {
				c.opt.Rewards.Apply(t, now)
			}
			list[i] = t
			return nil
		})
	}
	_ = group.Wait() // none fails
	clear(c.waiting)
	c.waiting = c.waiting[:0]
	for _, t := range list {
		if err := c.add(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// finished takes a trajectory that a trajectory processor has made.
func (c *committer) finished(ctx context.Context, v pcommon.Value) error {
	t, err := decoded(v)
	if err != nil {
		c.report.Trajectories.Invalid++
		c.opt.OnError(err)
		return nil
	}
	if t.Source == trajectory.SourceSpans {
		t.Source = trajectory.SourceImport
	}
	return c.add(ctx, t)
}

func decoded(v pcommon.Value) (*trajectory.Trajectory, error) {
	if v.Type() != pcommon.ValueTypeBytes {
		return nil, fmt.Errorf("%s holds %s, not bytes", trajectory.AttrTrajectory, v.Type())
	}
	return trajectory.DecodeOwned(v.Bytes().AsRaw())
}

// add puts a trajectory into the batch.
func (c *committer) add(ctx context.Context, t *trajectory.Trajectory) error {
	if err := t.Valid(); err != nil {
		c.report.Trajectories.Invalid++
		c.opt.OnError(err)
		return nil
	}
	c.tally.add(&c.report, t)
	if c.there.has(t.ID, t.Revision) {
		c.report.Trajectories.There++
		return nil
	}
	c.batch = append(c.batch, t)
	c.bytes += sizeOf(t)
	if len(c.batch) < batchTrajectories && c.bytes < min(batchBytes, int(c.opt.Memory/16)) {
		return nil
	}
	return c.commit(ctx)
}

// verdicts takes facts, each once.
func (c *committer) verdicts(list []genai.Verdict) {
	for _, v := range list {
		if v.Reason != "" {
			c.report.Skipped++
			c.report.Reasons["fact_"+v.Reason]++
			continue
		}
		if v.Fact.ID == "" {
			v.Fact.ID = dataset.FactID(v.Fact)
		}
		if !c.facts[v.Fact.ID] {
			c.facts[v.Fact.ID] = true
			c.more = append(c.more, v.Fact)
		}
	}
}

// flush commits everything.
func (c *committer) flush(ctx context.Context) error {
	if err := c.assemble(ctx); err != nil {
		return err
	}
	return c.commit(ctx)
}

func (c *committer) commit(ctx context.Context) error {
	c.report.Facts += len(c.more)
	c.report.Trajectories.Written += len(c.batch)
	if c.writer != nil {
		done, err := c.writer.Write(ctx, c.batch, c.more)
		if err != nil {
			return err
		}
		if done.Batch != "" {
			c.report.Batches++
		}
	}
	clear(c.batch)
	c.batch, c.more, c.bytes = c.batch[:0], c.more[:0], 0
	return nil
}

func sizeOf(t *trajectory.Trajectory) int {
	n := 512 + 512*len(t.Steps)
	for i := range t.Messages {
		n += 128 + len(t.Messages[i].Text) + len(t.Messages[i].Reasoning) + len(t.Messages[i].Parts)
	}
	for i := range t.Steps {
		if tool := t.Steps[i].Tool; tool != nil {
			n += len(tool.Arguments)
			if tool.Result != nil {
				n += len(*tool.Result)
			}
		}
	}
	return n
}

// known is the trajectories that the dataset has, by id and revision.
type known struct{ list []knownKey }

type knownKey struct {
	id       [16]byte
	revision int64
}

func keyOf(id string, revision int64) (k knownKey) {
	_, _ = hex.Decode(k.id[:], []byte(id)[:min(len(id), 32)]) // ids are 32 hex digits
	k.revision = revision
	return k
}

func compareKeys(a, b knownKey) int {
	return cmp.Or(slices.Compare(a.id[:], b.id[:]), cmp.Compare(a.revision, b.revision))
}

func (k *known) add(id string, revision int64) { k.list = append(k.list, keyOf(id, revision)) }
func (k *known) sort()                         { slices.SortFunc(k.list, compareKeys) }
func (k *known) has(id string, revision int64) bool {
	_, ok := slices.BinarySearchFunc(k.list, keyOf(id, revision), compareKeys)
	return ok
}
