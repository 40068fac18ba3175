//go:build cgo

package query

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/rewards"
)

// The views are written for speed. testdata/was has the plainest SQL that says
// the same: what counts is decided anew for every question, over all rows.
// Random histories hold the two together.
func TestViewsSayWhatThePlainOnesSay(t *testing.T) {
	seeds := 40
	if testing.Short() {
		seeds = 12
	}
	seen := map[string]int{}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			h := &history{r: rand.New(rand.NewPCG(uint64(seed), 9)), root: t.TempDir(), t: t, at: start.UnixMicro()}
			rules := h.rules()
			for range 2 + h.r.IntN(6) {
				h.batch()
			}
			db := open(t, h.root, rules...)
			plainly(t, db)
			for _, view := range []string{"live", "trajectories", "steps", "messages", "rewards", "returns", "groups"} {
				text := "SELECT * FROM %s ORDER BY ALL"
				if view == "groups" {
					text = "SELECT * EXCLUDE (example, mean, std), round(mean, 9), round(std, 9) FROM %s ORDER BY ALL" // any example will do
				}
				want, got := table(t, db, fmt.Sprintf(text, "was."+view)), table(t, db, fmt.Sprintf(text, view))
				require.Equal(t, want, got, view)
			}
			for _, row := range table(t, db, "SELECT coalesce(reason, 'value') FROM returns") {
				seen[row[0]]++
			}
		})
	}
	if testing.Short() {
		return
	}
	for _, kind := range []string{"value", "no_rules", "not_scored", "masked", "no_value", "not_finite"} {
		require.Positive(t, seen[kind], "no history led to %s: %v", kind, seen)
	}
}

// plainly creates the views of testdata/was.
func plainly(t *testing.T, db *DB) {
	t.Helper()
	require.NoError(t, db.exec(context.Background(), "CREATE SCHEMA was"))
	for _, view := range []string{"live", "trajectories", "steps", "messages", "rewards", "returns", "groups"} {
		text, err := os.ReadFile(filepath.Join("testdata", "was", view+".sql"))
		require.NoError(t, err)
		require.NoError(t, db.exec(context.Background(), string(text)), view)
	}
}

// history is a dataset as it comes about: revisions out of order, sets that were
// sent twice or never committed, values that are appended later.
type history struct {
	t    *testing.T
	r    *rand.Rand
	root string
	in   []rewards.Rule // that rewards are written under
	at   int64          // every value is evaluated at another time
}

// rules are those in force; none in one history of five.
func (h *history) rules() []rewards.Rule {
	missing := []rewards.Missing{rewards.MissingMask, rewards.MissingSkip, "0.5"}
	for i := range 1 + h.r.IntN(5) {
		h.in = append(h.in, rewards.Rule{
			Name: fmt.Sprint("rule", i), Hash: fmt.Sprint("h", i), Weight: []float64{1, -0.5, 0.25, 2, 0}[h.r.IntN(5)],
			Level:   []rewards.Level{rewards.LevelTrajectory, rewards.LevelStep}[h.r.IntN(2)],
			Missing: missing[h.r.IntN(3)],
		})
	}
	if h.r.IntN(5) == 0 {
		return nil
	}
	return h.in
}

func (h *history) batch() {
	if h.r.IntN(3) == 0 {
		var rows []dataset.RewardRow
		for range 1 + h.r.IntN(8) {
			one := h.trajectory(h.r.IntN(10))
			for _, x := range h.rewards() {
				rows = append(rows, dataset.NewRewardRow(one.ID, one.Revision, one.FirstSeenAt, x))
			}
		}
		h.write("test", func(w *dataset.Writer) (dataset.Commit, error) { return w.WriteRewards(context.Background(), rows) })
		return
	}
	var list []*trajectory.Trajectory
	for _, n := range h.r.Perm(10)[:1+h.r.IntN(9)] {
		one := h.trajectory(n)
		one.Rewards = h.rewards()
		list = append(list, one)
	}
	by := []string{"test", "test", "test", "test", "other"}[h.r.IntN(5)]
	for _, one := range list {
		one.Writer = by
	}
	commit := func(w *dataset.Writer) (dataset.Commit, error) { return w.Write(context.Background(), list, nil) }
	done := h.write(by, commit)
	switch h.r.IntN(6) {
	case 0:
		h.write(by, commit) // sent again
	case 1: // died before the commit
		for _, f := range done.Files {
			if f.Table == dataset.TableTrajectories {
				require.NoError(h.t, os.Remove(f.Path))
			}
		}
	}
}

func (h *history) write(by string, what func(*dataset.Writer) (dataset.Commit, error)) dataset.Commit {
	w, err := dataset.NewWriter(h.root, by, dataset.Options{})
	require.NoError(h.t, err)
	defer func() { require.NoError(h.t, w.Close()) }()
	done, err := what(w)
	require.NoError(h.t, err)
	return done
}

// trajectory is a revision of the n-th one.
func (h *history) trajectory(n int) *trajectory.Trajectory {
	one := attempt(n, fmt.Sprint("task", n%3))
	one.Revision += int64(h.r.IntN(3))
	one.Trainable = h.r.IntN(5) > 0
	one.Output = fmt.Sprint(h.r.IntN(1000))
	if h.r.IntN(8) == 0 {
		one.Source = trajectory.SourceGateway
		one.Steps[0].Model.ResponseID = fmt.Sprintf("r%d-0", h.r.IntN(10))
	}
	return one
}

// rewards of one trajectory: every rule and step at most twice, once of an
// older version of the rule.
func (h *history) rewards() []trajectory.Reward {
	var out []trajectory.Reward
	for _, rule := range h.in {
		steps := []int{-1}
		if rule.Level == rewards.LevelStep {
			steps = slices.DeleteFunc([]int{0, 1, 2, 63, 64, 900}, func(int) bool { return h.r.IntN(3) > 0 })
		}
		for _, step := range steps {
			x := trajectory.Reward{Step: step, Name: rule.Name, RuleHash: rule.Hash, EvaluatedAt: h.next(), Source: "expr"}
			switch h.r.IntN(14) {
			case 0:
				continue
			case 1, 2, 3:
				x.Reason = "missing"
			case 4:
				x.Reason = ReasonNotChosen
			default:
				x.Value = ptr(float64(h.r.IntN(9)) / 4)
			}
			if x.Value != nil && h.r.IntN(60) == 0 {
				x.Value = ptr(math.Inf(1))
			}
			out = append(out, x)
			for range 2 {
				switch again := x; h.r.IntN(8) {
				case 0:
					again.RuleHash, again.EvaluatedAt = "gone", h.next()
					out = append(out, again)
				case 1: // a second value in one set
					again.EvaluatedAt, again.Value, again.Reason = h.next(), ptr(float64(h.r.IntN(9))), ""
					out = append(out, again)
				}
			}
		}
	}
	return out
}

// next is a time that may lie before those of what was written earlier, and is never
// given twice.
func (h *history) next() int64 {
	h.at += 64
	if h.r.IntN(3) == 0 {
		return h.at - 64_000 + 1 + int64(h.r.IntN(2))
	}
	return h.at
}
