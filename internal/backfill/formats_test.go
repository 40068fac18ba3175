package backfill

import (
	"cmp"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

const imports = "../../testdata/import/"

// imported imports files into a new dataset.
func imported(t testing.TB, opt Options, files ...string) (map[string]*trajectory.Trajectory, Report) {
	t.Helper()
	if opt.Dataset == "" {
		opt.Dataset = t.TempDir()
	}
	for _, f := range files {
		if filepath.Dir(f) == "." {
			f = imports + f
		}
		opt.Files = append(opt.Files, f)
	}
	report, err := Run(t.Context(), opt)
	require.NoError(t, err)
	return live(t, opt.Dataset), report
}

// live is the last revision of every trajectory of a dataset.
func live(t testing.TB, root string) map[string]*trajectory.Trajectory {
	t.Helper()
	all, err := dataset.Trajectories(dataset.Set{
		Trajectories: newest(rows[dataset.TrajectoryRow](t, root, dataset.TableTrajectories)),
		Steps:        rows[dataset.StepRow](t, root, dataset.TableSteps),
		Messages:     rows[dataset.MessageRow](t, root, dataset.TableMessages),
		Rewards:      rows[dataset.RewardRow](t, root, dataset.TableRewards),
	})
	require.NoError(t, err)
	out := map[string]*trajectory.Trajectory{}
	for _, x := range all {
		out[x.ID] = x
	}
	return out
}

func newest(all []dataset.TrajectoryRow) []dataset.TrajectoryRow {
	byID := map[string]dataset.TrajectoryRow{}
	for _, r := range all {
		if was, ok := byID[r.TrajectoryID]; !ok || cmp.Or(cmp.Compare(r.Revision, was.Revision), cmp.Compare(r.Batch, was.Batch)) > 0 {
			byID[r.TrajectoryID] = r
		}
	}
	return slices.Collect(maps.Values(byID))
}

func rows[T any](t testing.TB, root, table string) (all []T) {
	t.Helper()
	paths, err := dataset.Files(root, table)
	require.NoError(t, err)
	for _, path := range paths {
		r, err := parquet.ReadFile[T](path)
		require.NoError(t, err)
		all = append(all, r...)
	}
	return all
}

// TestEveryFormatGivesTheSameTrajectories: what an export still has is read as
// it is read from OTLP. What it has lost is named.
func TestEveryFormatGivesTheSameTrajectories(t *testing.T) {
	for _, c := range []struct {
		from  []string
		files []string
		lost  func(*trajectory.Trajectory)
	}{
		{[]string{"events.jsonl", "events.logs.jsonl"}, []string{"file-exporter.json"}, nil},
		{[]string{"events.jsonl", "events.logs.jsonl"}, []string{"file-exporter.json.zstd"}, nil},
		{[]string{"events.jsonl", "events.logs.jsonl"}, []string{"file-exporter.json.zstd.native"}, nil},
		{[]string{"events.jsonl", "events.logs.jsonl"}, []string{"file-exporter.proto"}, nil},
		{[]string{"events.jsonl", "events.logs.jsonl"}, []string{"file-exporter.proto.zstd"}, nil},
		{[]string{"events.jsonl", "events.logs.jsonl"}, []string{"file-exporter.proto.zstd.native"}, nil},
		{[]string{"events.jsonl", "events.logs.jsonl"}, []string{"events.logs.jsonl", "events.jsonl"}, nil},
		{[]string{"chat.jsonl"}, []string{"clickhouse.chat_traces.parquet"}, nil},
		{[]string{"chat.jsonl"}, []string{"clickhouse.chat_traces.jsonl.gz"}, nil},
		{[]string{"chat.jsonl"}, []string{"clickhouse.chat_traces_json.jsonl.gz"}, nil},
		{[]string{"events.jsonl", "events.logs.jsonl"}, []string{"clickhouse.events_logs.parquet", "clickhouse.events_traces.parquet"}, nil},
		{[]string{"events.jsonl", "events.logs.jsonl"}, []string{"clickhouse.events_traces.jsonl.gz", "clickhouse.events_logs.jsonl.gz"}, nil},
		{[]string{"chat.jsonl"}, []string{"phoenix.chat.rest.json.gz"}, withoutResource},
		{[]string{"chat.jsonl"}, []string{"phoenix.chat.otlpv1.json.gz"}, withoutResource},
		{[]string{"agents.jsonl"}, []string{"phoenix.agents.rest.json.gz"}, withoutResource},
		{[]string{"agents.jsonl"}, []string{"phoenix.agents.otlpv1.json.gz"}, withoutResource},
		{[]string{"agents.jsonl"}, []string{"phoenix.agents.parquet"}, withoutResource},
		{[]string{"lightning.jsonl"}, []string{"lightning.spans.jsonl.gz"}, nil},
		{[]string{"lightning.jsonl"}, []string{"lightning.api.json.gz"}, nil},
	} {
		t.Run(c.files[0], func(t *testing.T) {
			want, _ := imported(t, Options{}, c.from...)
			require.NotEmpty(t, want)
			got, report := imported(t, Options{}, c.files...)
			assert.True(t, report.Complete(), "%+v", report)
			require.Equal(t, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)))
			for id := range want {
				if c.lost != nil {
					c.lost(want[id])
				}
				roundTimes(want[id], got[id])
				assert.Equal(t, want[id], got[id])
			}
		})
	}
}

func withoutResource(t *trajectory.Trajectory) { t.ServiceName = "" }

// roundTimes takes over times that are a microsecond off: exports round them.
func roundTimes(want, got *trajectory.Trajectory) {
	near := func(want, got *int64) {
		if d := *want - *got; d >= -1 && d <= 1 {
			*got = *want
		}
	}
	near(&want.StartedAt, &got.StartedAt)
	near(&want.EndedAt, &got.EndedAt)
	for i := range min(len(want.Steps), len(got.Steps)) {
		near(&want.Steps[i].StartedAt, &got.Steps[i].StartedAt)
		near(&want.Steps[i].EndedAt, &got.Steps[i].EndedAt)
	}
}
