package backfill

import "github.com/tracegrad/tracegrad/internal/trajectory"

// tallied bounds how many trajectories are remembered, in each of two
// generations: one that comes out again as a higher revision counts once.
const tallied = 200_000

// tally counts trajectories by what their last revision says.
type tally struct{ young, old map[knownKey]head }

// head is what was counted of a trajectory.
type head struct {
	dialects          []string
	models, tools     int
	trainable, failed bool
}

func newTally() tally { return tally{young: map[knownKey]head{}} }

func (y *tally) add(r *Report, t *trajectory.Trajectory) {
	key := keyOf(t.ID, 0)
	was, seen := y.young[key]
	if !seen {
		was, seen = y.old[key]
	}
	if seen {
		was.count(r, -1)
	} else {
		r.Trajectories.Found++
		if t.CloseReason == trajectory.CloseLate {
			r.Trajectories.Late++
		}
	}
	h := head{t.Dialects, t.ModelCalls, t.ToolCalls, t.Trainable, t.Status == trajectory.StatusError}
	h.count(r, 1)
	r.Trajectories.Revisions++
	if len(y.young) >= tallied {
		y.old, y.young = y.young, make(map[knownKey]head, tallied)
	}
	y.young[key] = h
}

// count adds the trajectory n times.
func (h head) count(r *Report, n int) {
	for _, d := range h.dialects {
		c := r.Dialects[d]
		c.Trajectories += n
		c.ModelCalls += n * h.models
		c.ToolCalls += n * h.tools
		if h.trainable {
			c.Trainable += n
		}
		r.Dialects[d] = c
	}
	if h.trainable {
		r.Trajectories.Trainable += n
	}
	if h.failed {
		r.Trajectories.Failed += n
	}
}
