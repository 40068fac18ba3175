package rescore

import (
	"context"
	"errors"
	"runtime"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/rewards"
	"github.com/tracegrad/tracegrad/trainer/query"
)

// Scored is a trajectory with what the rules say of it.
type Scored struct {
	*trajectory.Trajectory
	Known   []trajectory.Fact     // facts of the dataset that were joined to it
	Rewards [][]trajectory.Reward // by engine
}

// Options of [Each]; the zero value takes everything.
type Options struct {
	Where   string // SQL over the view trajectories; "" = all
	Workers int    // that score; 0 = one per core
	Now     int64  // µs since the Unix epoch, what EvaluatedAt says
}

// chunk is how many trajectories go from hand to hand at a time.
const chunk = 64

// job is a chunk on its way.
type job struct {
	list []*Scored
	done chan struct{} // closed when list is scored
}

// Each scores the live trajectories of db by every engine. visit is called from
// one goroutine, in the order of [query.DB.Trajectories]; its error ends Each.
// One file set and a few chunks are held in memory, besides all facts.
func Each(ctx context.Context, db *query.DB, engines []*rewards.Engine, opt Options, visit func(*Scored) error) error {
	facts, err := db.Facts(ctx)
	if err != nil {
		return err
	}
	workers := opt.Workers
	if workers < 1 {
		workers = runtime.GOMAXPROCS(0)
	}
	group, ctx := errgroup.WithContext(ctx)
	todo, inOrder := make(chan *job), make(chan *job, 2*workers)
	group.Go(func() error {
		defer close(todo)
		defer close(inOrder)
		return read(ctx, db, opt.Where, facts, todo, inOrder)
	})
	for range workers {
		group.Go(func() error {
			for j := range todo {
				for _, s := range j.list {
					for _, e := range engines {
						s.Rewards = append(s.Rewards, e.Score(s.Trajectory, s.Known, opt.Now))
					}
				}
				close(j.done)
			}
			return nil
		})
	}
	group.Go(func() error {
		for j := range inOrder {
			select {
			case <-j.done:
			case <-ctx.Done():
				return ctx.Err()
			}
			for _, s := range j.list {
				if err := visit(s); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return group.Wait()
}

// read hands out every chunk twice: to those who score it, and in order.
func read(ctx context.Context, db *query.DB, where string, facts map[string][]trajectory.Fact, to ...chan<- *job) error {
	j := &job{done: make(chan struct{})}
	send := func() error {
		for _, c := range to {
			select {
			case c <- j:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		j = &job{done: make(chan struct{})}
		return nil
	}
	for t, err := range db.Trajectories(ctx, where) {
		if err != nil {
			return err
		}
		if j.list = append(j.list, &Scored{Trajectory: t, Known: facts[t.ID]}); len(j.list) == chunk {
			if err := send(); err != nil {
				return err
			}
		}
	}
	if len(j.list) == 0 {
		return nil
	}
	return send()
}

// Count is how many trajectories [Each] will visit.
func Count(ctx context.Context, db *query.DB, where string) (n int, err error) {
	if where == "" {
		where = "true"
	}
	if err := db.Check(ctx, query.Selection{Where: where}); err != nil {
		return 0, err
	}
	rows, err := db.Query(ctx, "SELECT count(*) FROM trajectories WHERE (\n"+where+"\n) IS TRUE")
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	if rows.Next() {
		n, err = strconv.Atoi(query.Text(rows.Values()[0]))
	}
	return n, errors.Join(err, rows.Err())
}
