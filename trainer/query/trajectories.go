package query

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// Trajectories yields the live trajectories for which where (SQL over the view
// trajectories, "" = all) is true, whole but for Rewards and Facts, which
// belong to the views of those names. The order is that of batch and id. One file set is held in
// memory at a time. After an error it stops.
func (db *DB) Trajectories(ctx context.Context, where string) iter.Seq2[*trajectory.Trajectory, error] {
	return func(yield func(*trajectory.Trajectory, error) bool) {
		batches, err := db.batches(ctx, where)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, b := range batches {
			list, err := db.load(ctx, b)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, t := range list {
				if !yield(t, nil) {
					return
				}
			}
		}
	}
}

// Chosen is [DB.Trajectories] for ids.
func (db *DB) Chosen(ctx context.Context, ids []string) iter.Seq2[*trajectory.Trajectory, error] {
	return func(yield func(*trajectory.Trajectory, error) bool) {
		rows := make([][]driver.Value, len(ids))
		for i, id := range ids {
			rows[i] = []driver.Value{id}
		}
		err := db.exec(ctx, statement("run/chosen"))
		if err == nil {
			err = explained(fill(ctx, db.sql, "chosen", rows))
		}
		if err != nil {
			yield(nil, err)
			return
		}
		db.Trajectories(ctx, "trajectory_id IN (SELECT trajectory_id FROM v1.chosen)")(yield)
	}
}

// batch is what is wanted of one file set.
type batch struct {
	id    string
	want  map[string]wanted   // by trajectory id
	files map[string][]string // by table
}

// wanted is what the view says of a trajectory.
type wanted struct {
	revision int64
	reasons  []trajectory.Reason
}

func (db *DB) batches(ctx context.Context, where string) ([]*batch, error) {
	if err := db.Check(ctx, Selection{Where: where}); err != nil {
		return nil, err
	}
	if where == "" {
		where = "true"
	}
	rows, err := db.sql.QueryContext(ctx, filled("run/batches", Selection{Where: where}))
	if err != nil {
		return nil, explained(db.blame(ctx, err))
	}
	defer rows.Close()
	var out []*batch
	byID := map[string]*batch{}
	for rows.Next() {
		var id, in string
		var w wanted
		var reasons any
		if err := rows.Scan(&id, &w.revision, &in, &reasons); err != nil {
			return nil, explained(err)
		}
		list, _ := reasons.([]any)
		for _, r := range list {
			w.reasons = append(w.reasons, trajectory.Reason(fmt.Sprint(r)))
		}
		b := byID[in]
		if b == nil {
			b = &batch{id: in, want: map[string]wanted{}, files: map[string][]string{}}
			byID[in] = b
			out = append(out, b)
		}
		b.want[id] = w
	}
	if err := rows.Err(); err != nil {
		return nil, explained(db.blame(ctx, err))
	}
	for _, table := range []string{dataset.TableTrajectories, dataset.TableSteps, dataset.TableMessages} {
		if err := db.locate(ctx, table, byID); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// locate finds the files that hold the rows of each batch.
func (db *DB) locate(ctx context.Context, table string, byID map[string]*batch) error {
	if len(db.files[table]) == 0 {
		return nil
	}
	text := "SELECT DISTINCT batch, filename FROM read_parquet(" + quoteAll(db.files[table]) + ", filename = true, hive_partitioning = false) ORDER BY ALL"
	rows, err := db.sql.QueryContext(ctx, text)
	if err != nil {
		return explained(db.blame(ctx, err))
	}
	defer rows.Close()
	for rows.Next() {
		var id, file string
		if err := rows.Scan(&id, &file); err != nil {
			return explained(err)
		}
		if b := byID[id]; b != nil {
			b.files[table] = append(b.files[table], file)
		}
	}
	return explained(rows.Err())
}

func (db *DB) load(ctx context.Context, b *batch) ([]*trajectory.Trajectory, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	wanted := func(id string, revision int64, in string) bool {
		w, ok := b.want[id]
		return ok && w.revision == revision && in == b.id
	}
	var s dataset.Set
	err := errors.Join(
		readRows(b.files[dataset.TableTrajectories], &s.Trajectories, func(r *dataset.TrajectoryRow) bool {
			return wanted(r.TrajectoryID, r.Revision, r.Batch)
		}),
		readRows(b.files[dataset.TableSteps], &s.Steps, func(r *dataset.StepRow) bool {
			return wanted(r.TrajectoryID, r.Revision, r.Batch)
		}),
		readRows(b.files[dataset.TableMessages], &s.Messages, func(r *dataset.MessageRow) bool {
			return wanted(r.TrajectoryID, r.Revision, r.Batch)
		}),
	)
	if err != nil {
		return nil, err
	}
	list, err := dataset.Trajectories(s)
	if err != nil {
		return nil, fmt.Errorf("batch %s: %w", b.id, err)
	}
	for _, t := range list {
		if all := b.want[t.ID].reasons; len(all) > len(t.Reasons) {
			t.Reasons, t.Trainable = all, false
		}
	}
	slices.SortFunc(list, func(x, y *trajectory.Trajectory) int {
		if x.ID < y.ID {
			return -1
		}
		return 1
	})
	return list, nil
}

// readRows appends the rows of files that keep wants.
func readRows[T any](files []string, into *[]T, keep func(*T) bool) error {
	for _, path := range files {
		err := dataset.ReadFile(path, func(row *T) {
			if keep(row) {
				*into = append(*into, *row)
			}
		})
		if err != nil {
			return fmt.Errorf("read %s: %w: move the file out of the dataset, or write it again", path, err)
		}
	}
	return nil
}
