package dataset

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// Options of a [Writer]; the zero value is a sound one.
type Options struct {
	Clock         func() time.Time // nil = time.Now
	Entropy       io.Reader        // for the batch's ULID; nil = crypto/rand
	FileMode      fs.FileMode      // 0 = 0o640, before umask
	DirMode       fs.FileMode      // 0 = 0o750, before umask
	RowGroupBytes int64            // row groups close at about this size, before compression; 0 = 64 MiB

	// Bucket is where the dataset lies if not in a local folder. It is closed
	// with the Writer. Files are written into the folder Staging first, which the
	// writers of this machine must share for their names to be told apart.
	Bucket  Bucket
	Staging string
}

// File is a committed file.
type File struct {
	Table string
	Path  string
	Rows  int64
	Bytes int64
}

// Commit is a file set that is in its place and durable.
type Commit struct {
	Batch        string // ULID; "" when there was nothing to write
	Trajectories int
	Facts        int // those of the trajectories included
	Forgotten    int // trajectories that were not written: their user was forgotten, see [Forget]
	Files        []File
}

// Writer writes to one dataset under one name. Several writers may write to
// the same dataset when their names differ.
//
// A Writer is safe for concurrent use; its commits happen one after the other.
type Writer struct {
	root, name string
	opts       Options
	ids        ulid.MonotonicReader

	mu     sync.Mutex
	place  place  // nil = closed
	bucket Bucket // the place's, or its folder
	set    Set    // rows on their way

	forgotten marks

	trajectories table[TrajectoryRow]
	steps        table[StepRow]
	messages     table[MessageRow]
	rewards      table[RewardRow]
	facts        table[FactRow]
}

// rowsInFlight bounds the rows that are flattened before they are written.
const rowsInFlight = 4096

// NewWriter opens the dataset at root, which it makes if need be, for the
// writer of the given name (see [SafeName]), and removes what a killed writer
// of that name left behind. A name must be stable, and only one writer at a
// time may use it.
//
// With [Options.Bucket] root is that bucket's. One that does not answer is no
// error here, see [Writer.Warning]; a Writer that could not be opened closes it, too.
func NewWriter(root, name string, opts Options) (*Writer, error) {
	opts = withDefaults(opts)
	name = SafeName(name)
	at, err := openPlace(root, name, opts)
	if err != nil {
		return nil, err
	}
	return &Writer{
		root: root, name: name, opts: opts, place: at, bucket: bucketOf(root, opts), ids: ulid.Monotonic(opts.Entropy, 0),
		trajectories: table[TrajectoryRow]{name: TableTrajectories, bytes: (*TrajectoryRow).bytes},
		steps:        table[StepRow]{name: TableSteps, bytes: (*StepRow).bytes},
		messages:     table[MessageRow]{name: TableMessages, bytes: (*MessageRow).bytes},
		rewards:      table[RewardRow]{name: TableRewards, bytes: (*RewardRow).bytes},
		facts:        table[FactRow]{name: TableFacts, bytes: (*FactRow).bytes},
	}, nil
}

// bucketOf is the dataset's bucket, or its folder as one.
func bucketOf(root string, opts Options) Bucket {
	if opts.Bucket != nil {
		return opts.Bucket
	}
	return disk{root, opts.FileMode, opts.DirMode}
}

func openPlace(root, name string, opts Options) (place, error) {
	if opts.Bucket == nil {
		at, err := openFolder(root, name, opts)
		if err != nil {
			return nil, err // not a nil *folder
		}
		return at, nil
	}
	at, err := openStore(opts.Bucket, name, opts)
	if err != nil {
		return nil, errors.Join(err, opts.Bucket.Close())
	}
	return at, nil
}

func withDefaults(o Options) Options {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Entropy == nil {
		o.Entropy = rand.Reader
	}
	o.FileMode = cmp.Or(o.FileMode, 0o640)
	o.DirMode = cmp.Or(o.DirMode, 0o750)
	o.RowGroupBytes = cmp.Or(o.RowGroupBytes, 64<<20)
	return o
}

// Name is the name under which the writer writes: [SafeName] of what it was given.
func (w *Writer) Name() string { return w.name }

// Warning is what kept the Writer from looking for leftovers when it was opened:
// a bucket that does not answer, or refuses. The Writer tries again when it
// writes. nil = nothing; always nil for a local folder.
func (w *Writer) Warning() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.place == nil {
		return nil
	}
	return w.place.warning()
}

// Write commits trajectories with all their rows, and facts besides, as one
// file set: one file per table and day of what there is. When it returns nil
// the files are durable. On an error the same call may be made again: in a
// folder nothing of them can be seen, in a bucket whose answer was lost perhaps
// all of a day, until the same trajectories are written again. Neither argument
// is changed or kept.
func (w *Writer) Write(ctx context.Context, ts []*trajectory.Trajectory, facts []trajectory.Fact) (Commit, error) {
	if len(ts)+len(facts) == 0 {
		return Commit{}, nil
	}
	for {
		c, err := w.write(ctx, ts, facts)
		if !errors.Is(err, errForgottenMeanwhile) {
			return c, err
		}
	}
}

func (w *Writer) write(ctx context.Context, ts []*trajectory.Trajectory, facts []trajectory.Fact) (Commit, error) {
	return w.commit(ctx, func(s *stage, now int64) (Commit, error) {
		if len(ts) > 0 {
			if err := w.forgotten.know(ctx, w.bucket); err != nil {
				return Commit{}, err
			}
			s.check = func(ctx context.Context) error { return w.forgotten.unchanged(ctx, w.bucket) }
		}
		kept := w.forgotten.remembered(ts)
		c := Commit{Trajectories: len(kept), Facts: len(facts), Forgotten: len(ts) - len(kept)}
		ts := kept
		days := byDay(ts, func(t *trajectory.Trajectory) string { return day(t.FirstSeenAt, t.StartedAt, t.Revision, now) })
		var inside []FactRow
		for _, d := range slices.Sorted(maps.Keys(days)) {
			for _, t := range days[d] {
				w.set.Append(s.batch, now, t)
				inside = append(inside, w.set.Facts...)
				w.set.Facts = w.set.Facts[:0]
				if len(w.set.Steps)+len(w.set.Messages) >= rowsInFlight {
					if err := w.flush(ctx, s, d); err != nil {
						return c, err
					}
				}
			}
			if err := errors.Join(w.flush(ctx, s, d), w.finish()); err != nil {
				return c, err
			}
		}
		c.Facts += len(inside)
		return c, w.writeFacts(s, now, inside, facts)
	})
}

// WriteFacts commits facts alone.
func (w *Writer) WriteFacts(ctx context.Context, facts []trajectory.Fact) (Commit, error) {
	return w.Write(ctx, nil, facts)
}

// WriteRewards commits reward rows alone: newer values of trajectories that
// are in the dataset already. It sets their batch.
func (w *Writer) WriteRewards(ctx context.Context, rows []RewardRow) (Commit, error) {
	if len(rows) == 0 {
		return Commit{}, nil
	}
	return w.commit(ctx, func(s *stage, now int64) (Commit, error) {
		days := byDay(rows, func(r RewardRow) string { return day(r.FirstSeenAt, of(r.EvaluatedAt), now) })
		for _, d := range slices.Sorted(maps.Keys(days)) {
			for i := range days[d] {
				days[d][i].Batch = s.batch
			}
			if err := errors.Join(ctx.Err(), w.rewards.write(s, d, days[d]), w.rewards.finish()); err != nil {
				return Commit{}, err
			}
		}
		return Commit{}, nil
	})
}

// Close lets go of the name. A closed Writer refuses to write; closing it
// again does nothing.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.place == nil {
		return nil
	}
	err := w.place.close()
	w.place = nil
	w.abandon()
	return err
}

// commit runs fill on a new file set and commits it, or takes it back.
func (w *Writer) commit(ctx context.Context, fill func(s *stage, now int64) (Commit, error)) (Commit, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.place == nil {
		return Commit{}, fmt.Errorf("write to dataset %s: the writer is closed", w.root)
	}
	now := w.opts.Clock()
	id, err := ulid.New(ulid.Timestamp(now), w.ids)
	if err != nil {
		return Commit{}, fmt.Errorf("make batch id: %w", err)
	}
	s := &stage{
		place: w.place, writer: w.name, batch: id.String(), durable: w.opts.Bucket == nil,
		fileMode: w.opts.FileMode, rowGroupBytes: w.opts.RowGroupBytes,
		check: func(context.Context) error { return nil },
	}
	var c Commit
	if s.dir, err = w.place.staging(); err == nil {
		c, err = fill(s, now.UnixMicro())
	}
	if err == nil {
		err = s.commit(ctx)
	}
	w.set.reset()
	if err != nil {
		w.abandon()
		return Commit{}, errors.Join(fmt.Errorf("write to dataset %s: %w", w.root, err), s.remove())
	}
	if len(s.files) > 0 {
		c.Batch = s.batch
	}
	for _, f := range s.files {
		c.Files = append(c.Files, f.File)
	}
	return c, nil
}

// flush writes the rows of one day that are on their way.
func (w *Writer) flush(ctx context.Context, s *stage, day string) error {
	defer w.set.reset()
	if err := ctx.Err(); err != nil {
		return err
	}
	return errors.Join(
		w.messages.write(s, day, w.set.Messages),
		w.steps.write(s, day, w.set.Steps),
		w.rewards.write(s, day, w.set.Rewards),
		w.trajectories.write(s, day, w.set.Trajectories),
	)
}

func (w *Writer) finish() error {
	return errors.Join(w.messages.finish(), w.steps.finish(), w.rewards.finish(), w.trajectories.finish())
}

func (w *Writer) writeFacts(s *stage, now int64, rows []FactRow, facts []trajectory.Fact) error {
	for _, f := range facts {
		rows = append(rows, factRow(s.batch, f))
	}
	days := byDay(rows, func(f FactRow) string { return day(of(f.ObservedAt), now) })
	for _, d := range slices.Sorted(maps.Keys(days)) {
		if err := errors.Join(w.facts.write(s, d, days[d]), w.facts.finish()); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) abandon() {
	w.trajectories.abandon()
	w.steps.abandon()
	w.messages.abandon()
	w.rewards.abandon()
	w.facts.abandon()
}

func byDay[T any](list []T, day func(T) string) map[string][]T {
	days := map[string][]T{}
	for _, v := range list {
		d := day(v)
		days[d] = append(days[d], v)
	}
	return days
}
