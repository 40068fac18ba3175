package dataset_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

func TestTrajectoriesIsTheInverseOfRows(t *testing.T) {
	var all dataset.Set
	var want []*trajectory.Trajectory
	for seed := range uint64(300) {
		tr := random(seed)
		got, err := dataset.Trajectories(dataset.Rows("b", 1, tr))
		require.NoError(t, err)
		require.Equal(t, []*trajectory.Trajectory{tr}, got, "seed %d", seed)
		all.Append("b", 1, tr)
		want = append(want, tr)
	}
	got, err := dataset.Trajectories(all)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestTrajectoriesIsTheInverseOfRowsOnDisk(t *testing.T) {
	root := t.TempDir()
	var want []*trajectory.Trajectory
	for seed := range uint64(200) {
		want = append(want, random(seed))
	}
	c, err := newWriter(t, root, "a").Write(t.Context(), want, nil)
	require.NoError(t, err)
	assert.Equal(t, 200, c.Trajectories)

	set := readSet(t, root)
	got, err := dataset.Trajectories(set)
	require.NoError(t, err)
	require.Len(t, got, len(want))
	for i := range want { // one by one: a diff of all is unreadable
		require.Equal(t, want[i], got[i], "seed %d", i)
	}
	requireNoEmptyTexts(t, set)
	for _, m := range set.Messages {
		if m.ToolCalls != nil {
			require.True(t, json.Valid([]byte(*m.ToolCalls)), *m.ToolCalls)
		}
	}
}

// requireNoEmptyTexts finds absent texts that were stored as "" instead of NULL.
func requireNoEmptyTexts(t *testing.T, set dataset.Set) {
	tables := reflect.ValueOf(set)
	for i := range tables.NumField() {
		for j := range tables.Field(i).Len() {
			row := tables.Field(i).Index(j)
			for k := range row.NumField() {
				name := row.Type().Field(k).Name
				if s, ok := row.Field(k).Interface().(*string); ok && s != nil && name != "ToolResult" {
					require.NotEmpty(t, *s, "%s %d: %s", tables.Type().Field(i).Name, j, name)
				}
			}
		}
	}
}

// What may be NULL is a pointer or a list: parquet-go does not store the zeros of plain optional values alike.
func TestNullableColumnsArePointers(t *testing.T) {
	for _, row := range []any{dataset.TrajectoryRow{}, dataset.StepRow{}, dataset.MessageRow{}, dataset.RewardRow{}, dataset.FactRow{}} {
		for f := range reflect.TypeOf(row).Fields() {
			nullable := strings.Contains(f.Tag.Get("parquet"), ",optional")
			kind := f.Type.Kind()
			assert.Equal(t, nullable && kind != reflect.Slice, kind == reflect.Pointer, "%T.%s", row, f.Name)
		}
	}
}

func TestRowsOfAnotherBatchAreLeftOut(t *testing.T) {
	tr := random(4)
	set := dataset.Rows("committed", 1, tr)
	half := dataset.Rows("half-written", 1, tr)
	set.Steps = append(half.Steps, set.Steps...)
	set.Messages = append(set.Messages, half.Messages...)
	set.Rewards = append(set.Rewards, half.Rewards...)
	set.Facts = append(set.Facts, half.Facts...)
	got, err := dataset.Trajectories(set)
	require.NoError(t, err)
	assert.Equal(t, []*trajectory.Trajectory{tr}, got)
}

func TestTrajectoriesRefuses(t *testing.T) {
	sampleSet := func() dataset.Set { return dataset.Rows("b", 1, sample()[0]) }
	for want, change := range map[string]func(*dataset.Set){
		"stands twice in batch b":                         func(s *dataset.Set) { s.Trajectories = append(s.Trajectories, s.Trajectories[0]) },
		"step 1: its index says 2":                        func(s *dataset.Set) { s.Steps = append(s.Steps[:1], s.Steps[2]) },
		"message 3: it stands at":                         func(s *dataset.Set) { s.Messages = append(s.Messages[:1], s.Messages[3]) },
		"message 1: read tool_calls:":                     func(s *dataset.Set) { s.Messages[1].ToolCalls = ptr("{") },
		"step 2: its tools stand at step 1, which is not": func(s *dataset.Set) { s.Steps[2].ToolsStep = ptr(int32(1)) },
	} {
		s := sampleSet()
		change(&s)
		_, err := dataset.Trajectories(s)
		assert.ErrorContains(t, err, want)
		assert.ErrorContains(t, err, "read trajectory 0af7651916cd43dd8448eb211c80319c: ")
	}
}

func TestToolDefinitionsAreStoredOnce(t *testing.T) {
	s := dataset.Rows("b", 1, sample()[0])
	assert.Equal(t, `[{"name":"lookup"}]`, *s.Steps[0].Tools)
	assert.Equal(t, int32(0), *s.Steps[0].ToolsStep)
	assert.Nil(t, s.Steps[1].ToolsStep)
	assert.Nil(t, s.Steps[2].Tools)
	assert.Equal(t, int32(0), *s.Steps[2].ToolsStep)
}

func TestBrokenTextIsReplaced(t *testing.T) {
	tr := &trajectory.Trajectory{
		ID: "\xff", TraceIDs: []string{"ok", "\xff", "ok"}, Reasons: []trajectory.Reason{"\xff"},
		Messages: []trajectory.Message{{Text: "\xff", ToolCalls: []trajectory.ToolCall{{Arguments: "\xff"}}}},
		Steps:    []trajectory.Step{{Kind: trajectory.KindTool, Tool: &trajectory.ToolRun{Result: ptr("\xff")}}},
		Facts:    []trajectory.Fact{{Explanation: "\xff"}},
	}
	s := dataset.Rows("b", 1, tr)
	data, err := json.Marshal(s)
	require.NoError(t, err)
	assert.True(t, utf8.Valid(data))
	assert.Equal(t, []string{"ok", "\uFFFD", "ok"}, s.Trajectories[0].TraceIDs)
	assert.Equal(t, []string{"ok", "\xff", "ok"}, tr.TraceIDs, "the argument is not changed")
	assert.Equal(t, "\uFFFD", *s.Steps[0].ToolResult)
	assert.JSONEq(t, `[{"id":"","name":"","arguments":"\ufffd"}]`, *s.Messages[0].ToolCalls)
	assert.Equal(t, "\uFFFD", *s.Facts[0].Explanation)
	assert.Equal(t, []string{"\uFFFD"}, s.Trajectories[0].Reasons)
}

func TestFactsOfATrajectoryNameIt(t *testing.T) {
	tr := &trajectory.Trajectory{ID: "t", Facts: []trajectory.Fact{{Name: "solved", TraceID: "x"}}}
	row := dataset.Rows("b", 1, tr).Facts[0]
	assert.Equal(t, "t", *row.TrajectoryID)
	assert.NotEmpty(t, row.FactID)
	assert.Empty(t, tr.Facts[0].ID, "the argument is not changed")
}

func TestFactIDTellsFactsApart(t *testing.T) {
	base := trajectory.Fact{Name: "solved", Value: ptr(0.0), Label: "no", ObservedAt: 5, TraceID: "t"}
	again := base
	assert.Equal(t, dataset.FactID(base), dataset.FactID(again))
	assert.Len(t, dataset.FactID(base), 32)
	seen := map[string]bool{dataset.FactID(base): true}
	for _, change := range []func(*trajectory.Fact){
		func(f *trajectory.Fact) { f.Name = "other" },
		func(f *trajectory.Fact) { f.Name, f.Label = "solvedn", "o" },
		func(f *trajectory.Fact) { f.Value = nil },
		func(f *trajectory.Fact) { f.Value = ptr(1.0) },
		func(f *trajectory.Fact) { f.ObservedAt++ },
		func(f *trajectory.Fact) { f.TraceID, f.SpanID = "", "t" },
		func(f *trajectory.Fact) { f.ConversationID = "c" },
	} {
		f := base
		change(&f)
		assert.False(t, seen[dataset.FactID(f)])
		seen[dataset.FactID(f)] = true
	}
}
