package scaleout

import (
	"cmp"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/cmd/torture/ledger"
	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// live is what a dataset holds: of each trajectory the newest revision.
func live(t *testing.T, root string) map[string]*trajectory.Trajectory {
	t.Helper()
	set := dataset.Set{
		Trajectories: table[dataset.TrajectoryRow](t, root, dataset.TableTrajectories),
		Steps:        table[dataset.StepRow](t, root, dataset.TableSteps),
		Messages:     table[dataset.MessageRow](t, root, dataset.TableMessages),
		Rewards:      table[dataset.RewardRow](t, root, dataset.TableRewards),
	}
	all, err := dataset.Trajectories(set)
	require.NoError(t, err)
	newest := map[string]*trajectory.Trajectory{}
	for _, one := range all {
		if have := newest[one.ID]; have == nil || have.Revision < one.Revision {
			newest[one.ID] = one
		}
	}
	return newest
}

func table[T any](t *testing.T, root, name string) (rows []T) {
	t.Helper()
	files, err := dataset.Files(root, name)
	require.NoError(t, err)
	for _, file := range files {
		require.NoError(t, dataset.ReadFile(file, func(row *T) { rows = append(rows, *row) }))
	}
	return rows
}

// writers counts the live trajectories of each Collector.
func writers(all map[string]*trajectory.Trajectory) map[string]int {
	count := map[string]int{}
	for _, one := range all {
		count[one.Writer]++
	}
	return count
}

// parts are the traces whose trajectory several Collectors wrote.
func parts(t *testing.T, root string) map[string][]string {
	t.Helper()
	writers := map[string][]string{}
	for _, row := range table[dataset.TrajectoryRow](t, root, dataset.TableTrajectories) {
		if of := writers[row.TraceIDs[0]]; !slices.Contains(of, *row.Writer) {
			writers[row.TraceIDs[0]] = append(of, *row.Writer)
		}
	}
	maps.DeleteFunc(writers, func(_ string, of []string) bool { return len(of) == 1 })
	return writers
}

// same holds two datasets of the same spans against each other. Who wrote a
// trajectory, and when, may differ; nothing else may.
func same(t *testing.T, want, got map[string]*trajectory.Trajectory) {
	t.Helper()
	require.Len(t, got, len(want))
	for id, w := range want {
		g := got[id]
		if !assert.NotNil(t, g, id) {
			continue
		}
		for _, one := range []*trajectory.Trajectory{w, g} {
			one.Writer, one.Revision, one.FirstSeenAt = "", 0, 0
			for i := range one.Rewards {
				one.Rewards[i].EvaluatedAt = 0
			}
			slices.SortFunc(one.Rewards, func(a, b trajectory.Reward) int { return cmp.Compare(a.Name, b.Name) })
		}
		assert.Equal(t, w, g)
	}
}

// judge holds a dataset against what was acknowledged: nothing missing, nothing
// twice.
func judge(t *testing.T, book *ledger.Ledger, root string) {
	t.Helper()
	var rows ledger.Rows
	require.NoError(t, rows.Refresh(root))
	verdict := book.Judge(&rows)
	assert.True(t, verdict.Clean(), verdict.String())
}
