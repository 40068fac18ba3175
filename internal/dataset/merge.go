package dataset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/oklog/ulid/v2"
)

// sourceError is about a file that was to be merged, not about the disk that
// is written to.
type sourceError struct {
	name string
	err  error
}

func (e *sourceError) Error() string { return fmt.Sprintf("read %s: %v", e.name, e.err) }
func (e *sourceError) Unwrap() error { return e.err }

// sieve says which rows stay; nil functions keep all.
type sieve struct {
	row    func(id string, revision int64, batch string) bool // of trajectories, steps and messages
	reward func(*RewardRow) bool
	fact   func(*FactRow) bool
}

// merger writes new file sets from old ones.
type merger struct {
	bucket Bucket // or the folder
	place  place
	copies *copies
	opts   Options
	ids    ulid.MonotonicReader

	trajectories table[TrajectoryRow]
	steps        table[StepRow]
	messages     table[MessageRow]
	rewards      table[RewardRow]
	facts        table[FactRow]
}

func newMerger(b Bucket, at place, c *copies, ids ulid.MonotonicReader, opts Options) *merger {
	m := &merger{bucket: b, place: at, copies: c, opts: opts, ids: ids}
	m.forget()
	return m
}

// forget drops what is half written.
func (m *merger) forget() {
	m.trajectories = table[TrajectoryRow]{name: TableTrajectories, bytes: (*TrajectoryRow).bytes}
	m.steps = table[StepRow]{name: TableSteps, bytes: (*StepRow).bytes}
	m.messages = table[MessageRow]{name: TableMessages, bytes: (*MessageRow).bytes}
	m.rewards = table[RewardRow]{name: TableRewards, bytes: (*RewardRow).bytes}
	m.facts = table[FactRow]{name: TableFacts, bytes: (*FactRow).bytes}
}

// merged is what became of some sets.
type merged struct {
	note    *replacement
	files   []File
	dropped int64 // rows that did not stay
}

// merge writes the rows of sets that the sieve lets pass as one new set of the
// same writer and day, whose batch is greater than theirs, and commits it. The
// old files stay until the note is finished. On an error nothing of it can be seen.
func (m *merger) merge(ctx context.Context, l lot, sets []set, keep sieve) (out merged, err error) {
	batch, err := m.batchAfter(sets)
	if err != nil {
		return out, err
	}
	s := &stage{
		place: m.place, writer: l.writer, batch: batch, durable: m.opts.Bucket == nil,
		fileMode: m.opts.FileMode, rowGroupBytes: m.opts.RowGroupBytes,
		check: func(context.Context) error { return nil },
	}
	for _, old := range sets {
		m.copies.bring(ctx, old.parts)
	}
	defer func() { err = errors.Join(err, m.copies.drop()) }()
	out.note = &replacement{Version: 1, At: m.opts.Clock().UTC()}
	out.dropped, err = m.fill(ctx, s, l, sets, keep)
	if bad := m.copies.broken(); bad != nil {
		err = bad
	}
	if err == nil {
		out.note.Made, out.note.Replaced = m.names(s, sets)
		err = out.note.note(ctx, m.bucket, batch)
	}
	if err == nil {
		err = s.commit(ctx)
	}
	if err != nil {
		m.forget()
		err = errors.Join(err, s.remove())
		if out.note.name != "" && m.opts.Bucket == nil {
			err = errors.Join(err, out.note.undo(ctx, m.bucket))
		}
		return merged{}, err
	}
	for _, f := range s.files {
		out.files = append(out.files, f.File)
	}
	return out, nil
}

// batchAfter makes an id that is greater than that of each set, even if the
// clock was turned back since.
func (m *merger) batchAfter(sets []set) (string, error) {
	at := ulid.Timestamp(m.opts.Clock())
	for _, s := range sets {
		if id, err := ulid.ParseStrict(s.batch); err == nil {
			at = max(at, id.Time()+1)
		}
	}
	id, err := ulid.New(at, m.ids)
	if err != nil {
		return "", fmt.Errorf("make batch id: %w", err)
	}
	return id.String(), nil
}

// names are the new files in the order in which they become visible, and the
// old ones in the order in which they go.
func (*merger) names(s *stage, sets []set) (made, replaced []string) {
	s.order()
	for _, f := range s.files {
		made = append(made, nameInNote(f.name))
	}
	for _, table := range slices.Backward(Tables) {
		for _, old := range sets {
			for _, p := range old.parts {
				if p.table == table {
					replaced = append(replaced, nameInNote(p.name))
				}
			}
		}
	}
	return made, replaced
}

func (m *merger) fill(ctx context.Context, s *stage, l lot, sets []set, keep sieve) (dropped int64, err error) {
	if s.dir, err = s.place.staging(); err != nil {
		return 0, err
	}
	for _, table := range l.family {
		for _, old := range sets {
			for _, p := range old.parts {
				if p.table != table {
					continue
				}
				n, err := m.pour(ctx, s, p, keep)
				if err != nil {
					return dropped, err
				}
				dropped += n
			}
		}
		if err := m.finish(table); err != nil {
			return dropped, err
		}
	}
	return dropped, nil
}

// pour copies the rows of one file. Rewards and facts keep their batch: it says
// which of two counts.
func (m *merger) pour(ctx context.Context, s *stage, p part, keep sieve) (dropped int64, err error) {
	passes := func(id string, revision int64, batch *string) (bool, error) {
		if *batch != p.batch {
			return false, fmt.Errorf("a row's batch is %s, which is not that of the file", *batch)
		}
		*batch = s.batch
		return keep.row == nil || keep.row(id, revision, p.batch), nil
	}
	switch p.table {
	case TableTrajectories:
		return pour(ctx, m.copies, s, p, &m.trajectories, func(r *TrajectoryRow) (bool, error) {
			return passes(r.TrajectoryID, r.Revision, &r.Batch)
		})
	case TableSteps:
		return pour(ctx, m.copies, s, p, &m.steps, func(r *StepRow) (bool, error) {
			return passes(r.TrajectoryID, r.Revision, &r.Batch)
		})
	case TableMessages:
		return pour(ctx, m.copies, s, p, &m.messages, func(r *MessageRow) (bool, error) {
			return passes(r.TrajectoryID, r.Revision, &r.Batch)
		})
	case TableRewards:
		return pour(ctx, m.copies, s, p, &m.rewards, func(r *RewardRow) (bool, error) {
			return keep.reward == nil || keep.reward(r), nil
		})
	default:
		return pour(ctx, m.copies, s, p, &m.facts, func(r *FactRow) (bool, error) {
			return keep.fact == nil || keep.fact(r), nil
		})
	}
}

func pour[T any](ctx context.Context, c *copies, s *stage, p part, to *table[T], keep func(*T) (bool, error)) (dropped int64, err error) {
	at, err := c.path(ctx, p)
	if err == nil {
		err = checkColumns[T](at)
	}
	if err != nil {
		return 0, &sourceError{p.name, err}
	}
	rows := make([]T, 0, rowsAtOnce)
	var strange, failed error // of what is read, and of writing
	flush := func() {
		if failed = ctx.Err(); failed == nil {
			failed = to.write(s, p.day, rows)
		}
		rows = rows[:0]
	}
	err = ReadFile(at, func(row *T) {
		if strange != nil || failed != nil {
			return
		}
		ok, err := keep(row)
		switch {
		case err != nil:
			strange = err
		case !ok:
			dropped++
		default:
			if rows = append(rows, *row); len(rows) == cap(rows) {
				flush()
			}
		}
	})
	if err = cmp.Or(err, strange); err != nil {
		return 0, &sourceError{p.name, err}
	}
	if failed == nil {
		flush()
	}
	return dropped, failed
}

func (m *merger) finish(table string) error {
	switch table {
	case TableTrajectories:
		return m.trajectories.finish()
	case TableSteps:
		return m.steps.finish()
	case TableMessages:
		return m.messages.finish()
	case TableRewards:
		return m.rewards.finish()
	default:
		return m.facts.finish()
	}
}
