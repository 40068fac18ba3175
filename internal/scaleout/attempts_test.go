package scaleout

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/rewards"
)

// attempts writes a dataset in which not every row counts.
func attempts(t *testing.T, rules []rewards.Rule) (root string) {
	t.Helper()
	root = t.TempDir()
	var list []*trajectory.Trajectory
	for i := range 61 {
		list = append(list, attempt(i, rules))
	}
	put(t, root, "one", list[:40]...)
	put(t, root, "one", list[35:40]...) // sent again
	put(t, root, "two", list[40:60]...)

	longer, part := *list[0], *list[1]
	longer.Revision++ // late spans: it failed after all
	longer.Rewards = scores(rules, new(0.0), -1)
	part.Revision++ // the rest of it came to another Collector
	put(t, root, "one", &longer)
	put(t, root, "two", &part)
	for i, one := range list[10:15] { // verdicts that came late, and were changed
		late := trajectory.Reward{Step: -1, Name: "solved", Value: new(float64(i % 2)), Source: rewards.Source, RuleHash: rules[0].Hash, EvaluatedAt: one.EndedAt + 1}
		write(t, root, "two", func(w *dataset.Writer) (dataset.Commit, error) {
			return w.WriteRewards(context.Background(), []dataset.RewardRow{dataset.NewRewardRow(one.ID, one.Revision, one.FirstSeenAt, late)})
		})
	}

	put(t, root, "three", list[60])
	uncommitted, err := filepath.Glob(filepath.Join(root, "v1/trajectories/*/three-*"))
	require.NoError(t, err)
	require.Len(t, uncommitted, 1)
	require.NoError(t, os.Remove(uncommitted[0])) // as after a crash before the commit
	return root
}

// attempt is a run at one of five tasks of two tenants. Every seventh has no
// verdict, every eleventh is not to be trained on; the last ten are the calls of
// the ten before, as a gateway saw them.
func attempt(i int, rules []rewards.Rule) *trajectory.Trajectory {
	at := time.Date(2026, 2, 3+i%2, 4, i, 0, 0, time.UTC).UnixMicro()
	trace, source, call := fmt.Sprintf("%032x", 1000+i), trajectory.SourceSpans, i
	if i >= 50 {
		source, call = trajectory.SourceGateway, i-10
	}
	var solved *float64
	if i%7 != 0 {
		solved = new(float64(i%3) / 2)
	}
	one := &trajectory.Trajectory{
		ID: fmt.Sprintf("%032x", i), Revision: at + 5_000_000, TaskKey: fmt.Sprintf("task-%d", i%5), TaskKeySource: "input",
		TraceIDs: []string{trace}, Source: source, Status: trajectory.StatusOK, CloseReason: trajectory.CloseComplete,
		StartedAt: at, EndedAt: at + 1_000_000, FirstSeenAt: at, SpanCount: 2, ModelCalls: 1, ToolCalls: 1, Trainable: i%11 != 0,
		Steps: []trajectory.Step{
			{Index: 0, Kind: trajectory.KindModel, TraceID: trace, SpanID: fmt.Sprintf("%016x", 2*i), StartedAt: at, EndedAt: at + 1, Trainable: true, Model: &trajectory.ModelCall{ResponseID: fmt.Sprintf("r%d", call)}},
			{Index: 1, Kind: trajectory.KindTool, TraceID: trace, SpanID: fmt.Sprintf("%016x", 2*i+1), StartedAt: at + 2, EndedAt: at + 3, Trainable: true, Tool: &trajectory.ToolRun{Name: "lookup"}},
		},
		Rewards: scores(rules, solved, float64(-(i % 2))),
	}
	if i%2 == 1 {
		one.Tenant = "acme"
	}
	return one
}

// scores are the rewards of an attempt, one of them by a rule that is no more.
func scores(rules []rewards.Rule, solved *float64, toolError float64) []trajectory.Reward {
	verdict := trajectory.Reward{Step: -1, Name: "solved", Value: solved, Source: rewards.Source, RuleHash: rules[0].Hash, EvaluatedAt: 1}
	if solved == nil {
		verdict.Reason = rewards.ReasonMissing
	}
	return []trajectory.Reward{
		verdict,
		{Step: 1, Name: "tool_error", Value: &toolError, Source: rewards.Source, RuleHash: rules[1].Hash, EvaluatedAt: 1},
		{Step: -1, Name: "solved", Value: new(9.0), Source: rewards.Source, RuleHash: "of another file", EvaluatedAt: 2},
	}
}

func put(t *testing.T, root, writer string, list ...*trajectory.Trajectory) {
	t.Helper()
	write(t, root, writer, func(w *dataset.Writer) (dataset.Commit, error) {
		for _, one := range list {
			one.Writer = w.Name()
		}
		return w.Write(context.Background(), list, nil)
	})
}

func write(t *testing.T, root, name string, commit func(*dataset.Writer) (dataset.Commit, error)) {
	t.Helper()
	w, err := dataset.NewWriter(root, name, dataset.Options{})
	require.NoError(t, err)
	_, err = commit(w)
	require.NoError(t, errors.Join(err, w.Close()))
}
