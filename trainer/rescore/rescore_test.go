//go:build cgo

package rescore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/internal/trajectory/trajectorytest"
	"github.com/tracegrad/tracegrad/rewards"
	"github.com/tracegrad/tracegrad/trainer/query"
	"github.com/tracegrad/tracegrad/trainer/rescore"
)

const now = 1_800_000_000_000_000

// write makes a dataset of n trajectories in several file sets.
func write(t *testing.T, n int) string {
	root := t.TempDir()
	r := rand.New(rand.NewPCG(1, 2))
	w, err := dataset.NewWriter(root, "test", dataset.Options{})
	require.NoError(t, err)
	for at := 0; at < n; at += 100 {
		var list []*trajectory.Trajectory
		for i := at; i < min(at+100, n); i++ {
			x := trajectorytest.Random(r)
			x.ID, x.Revision, x.FirstSeenAt, x.Facts = fmt.Sprintf("%032d", i), now, now, nil
			x.TraceIDs, x.Source, x.Tenant = []string{fmt.Sprintf("%032x", i+1)}, trajectory.SourceSpans, ""
			list = append(list, x)
		}
		_, err = w.Write(context.Background(), list, nil)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return root
}

func open(t *testing.T, root string, e *rewards.Engine) *query.DB {
	db, err := query.Open(context.Background(), root, query.Options{Rules: e.Rules()})
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func parse(t *testing.T, src string) *rewards.Engine {
	e, err := rewards.Parse("rewards.yaml", []byte(src))
	require.NoError(t, err)
	return e
}

// TestEach: however many score, every trajectory comes once, in one order, with
// the same rewards.
func TestEach(t *testing.T) {
	root := write(t, 450)
	e := parse(t, "rewards:\n  - {name: calls, expr: 'model_calls + len(steps) / 3'}\n  - {name: each, level: step, expr: index}\n")
	db := open(t, root, e)
	n, err := rescore.Count(context.Background(), db, "")
	require.NoError(t, err)
	require.Equal(t, 450, n)
	var first []string
	for _, workers := range []int{1, 4} {
		var got []string
		err := rescore.Each(context.Background(), db, []*rewards.Engine{e, e}, rescore.Options{Workers: workers, Now: now}, func(s *rescore.Scored) error {
			assert.Equal(t, s.Rewards[0], s.Rewards[1])
			line := s.ID
			for _, r := range s.Rewards[0] {
				line += fmt.Sprint(" ", r.Step, *r.Value)
			}
			got = append(got, line)
			return nil
		})
		require.NoError(t, err)
		require.Len(t, got, 450)
		if first == nil {
			first = got
		}
		assert.Equal(t, first, got)
	}
}

// TestEachStops: an error of the visitor, or a cancelled context, ends it.
func TestEachStops(t *testing.T) {
	e := parse(t, "rewards:\n  - {name: one, expr: '1'}\n")
	db := open(t, write(t, 300), e)
	enough, visits := errors.New("enough"), 0
	err := rescore.Each(context.Background(), db, []*rewards.Engine{e}, rescore.Options{Workers: 2}, func(*rescore.Scored) error {
		if visits++; visits == 70 {
			return enough
		}
		return nil
	})
	require.ErrorIs(t, err, enough)
	assert.Equal(t, 70, visits)

	ctx, cancel := context.WithCancel(context.Background())
	err = rescore.Each(ctx, db, []*rewards.Engine{e}, rescore.Options{}, func(*rescore.Scored) error { cancel(); return nil })
	require.ErrorIs(t, err, context.Canceled)
}

// TestChanged: what is appended makes the dataset say what was computed, and is
// then not appended again: also where facts come late and choose other steps.
func TestChanged(t *testing.T) {
	root := write(t, 20)
	e := parse(t, `
rewards:
  - {name: solved, expr: 'feedback("solved")'}
  - {name: unjudged, level: step, when: 'feedback("solved") == nil && index == 0', expr: '1'}
`)
	score := func() (changed int) {
		db := open(t, root, e)
		stored, err := db.Rewards(context.Background())
		require.NoError(t, err)
		back := rescore.Appender{Dataset: root, Writer: "score"}
		require.NoError(t, rescore.Each(context.Background(), db, []*rewards.Engine{e}, rescore.Options{Now: now}, func(s *rescore.Scored) error {
			rows := rescore.Changed(s.Trajectory, stored[s.ID], s.Rewards[0], now)
			changed += len(rows)
			return back.Add(context.Background(), rows)
		}))
		require.NoError(t, back.Flush(context.Background()))
		assert.Equal(t, changed, back.Written)
		return changed
	}
	first := score()
	assert.Greater(t, first, 20)
	assert.Zero(t, score())

	one := 1.0
	var about *trajectory.Trajectory
	for x, err := range open(t, root, e).Trajectories(context.Background(), "") {
		require.NoError(t, err)
		if len(x.Steps) > 0 && x.Steps[0].SpanID != "" {
			about = x
		}
	}
	require.NotNil(t, about)
	w, err := dataset.NewWriter(root, "facts", dataset.Options{})
	require.NoError(t, err)
	_, err = w.WriteFacts(context.Background(), []trajectory.Fact{{ID: "f", Name: "solved", Source: "feedback", Value: &one, TrajectoryID: about.ID, SpanID: about.Steps[0].SpanID, TraceID: about.Steps[0].TraceID, ObservedAt: time.Now().UnixMicro()}})
	require.NoError(t, err)
	require.NoError(t, w.Close())
	assert.Equal(t, 2, score(), "the verdict is new, and the step is not chosen any more")
	assert.Zero(t, score())
}
