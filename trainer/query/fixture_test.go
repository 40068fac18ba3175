//go:build cgo

package query

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/rewards"
)

var start = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

func ptr[T any](v T) *T { return &v }

// attempt is a small whole trajectory: a question, a tool run, an answer.
func attempt(n int, task string) *trajectory.Trajectory {
	at := start.Add(time.Duration(n) * time.Minute).UnixMicro()
	id := fmt.Sprintf("%032x", n)
	return &trajectory.Trajectory{
		ID: id, Revision: at + 5_000_000, Writer: "test", TaskKey: task, TaskKeySource: "input",
		TraceIDs: []string{fmt.Sprintf("%032x", 1000+n)}, ConversationID: fmt.Sprintf("chat%d", n/3), Tenant: "acme",
		AgentNames: []string{"clerk"}, Dialects: []string{"semconv"}, Source: trajectory.SourceSpans,
		Input: "What about " + task + "?", Output: "It is so.", Status: trajectory.StatusOK, CloseReason: trajectory.CloseComplete,
		StartedAt: at, EndedAt: at + 1_000_000, FirstSeenAt: at, SpanCount: 3, ModelCalls: 2, ToolCalls: 1,
		InputTokens: ptr(int64(20)), Tokens: trajectory.TokensNone, Trainable: true,
		Messages: []trajectory.Message{
			{Role: "user", Text: "What about " + task + "?"},
			{Role: "assistant", ToolCalls: []trajectory.ToolCall{{ID: "c1", Name: "lookup", Arguments: `{"q":"x"}`}}},
			{Role: "tool", Text: "a result", ToolCallID: "c1"},
			{Role: "assistant", Text: "It is so."},
		},
		Steps: []trajectory.Step{
			{Index: 0, Kind: trajectory.KindModel, AgentName: "clerk", TraceID: fmt.Sprintf("%032x", 1000+n), SpanID: fmt.Sprintf("%016x", 3*n), StartedAt: at, EndedAt: at + 1, Trainable: true,
				Model: &trajectory.ModelCall{RequestModel: "m", ResponseID: fmt.Sprintf("r%d-0", n), Tools: `[{"name":"lookup"}]`, Input: []int32{0}, Output: []int32{1}, TokenIDs: []int32{1, 2}, Logprobs: []float32{-0.5, -1}}},
			{Index: 1, Kind: trajectory.KindTool, Parent: ptr(0), TraceID: fmt.Sprintf("%032x", 1000+n), SpanID: fmt.Sprintf("%016x", 3*n+1), StartedAt: at + 2, EndedAt: at + 3, Trainable: true,
				Tool: &trajectory.ToolRun{Name: "lookup", CallID: "c1", Arguments: `{"q":"x"}`, Result: ptr("a result")}},
			{Index: 2, Kind: trajectory.KindModel, AgentName: "clerk", TraceID: fmt.Sprintf("%032x", 1000+n), SpanID: fmt.Sprintf("%016x", 3*n+2), StartedAt: at + 4, EndedAt: at + 5, Trainable: true,
				Model: &trajectory.ModelCall{RequestModel: "m", ResponseID: fmt.Sprintf("r%d-2", n), Tools: `[{"name":"lookup"}]`, Input: []int32{0, 1, 2}, Output: []int32{3}}},
		},
	}
}

func write(t *testing.T, root string, list []*trajectory.Trajectory, facts ...trajectory.Fact) dataset.Commit {
	t.Helper()
	w, err := dataset.NewWriter(root, "test", dataset.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, w.Close()) }()
	c, err := w.Write(context.Background(), list, facts)
	require.NoError(t, err)
	return c
}

func writeRewards(t *testing.T, root string, rows ...dataset.RewardRow) {
	t.Helper()
	w, err := dataset.NewWriter(root, "test", dataset.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, w.Close()) }()
	_, err = w.WriteRewards(context.Background(), rows)
	require.NoError(t, err)
}

func open(t *testing.T, root string, rules ...rewards.Rule) *DB {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "v1"), 0o750))
	db, err := Open(context.Background(), root, Options{Rules: rules, Threads: 2})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// table runs a query and gives its values as texts.
func table(t *testing.T, db *DB, text string) [][]string {
	t.Helper()
	rows, err := db.Query(context.Background(), text)
	require.NoError(t, err)
	defer rows.Close()
	out := [][]string{}
	for rows.Next() {
		var line []string
		for _, v := range rows.Values() {
			line = append(line, Text(v))
		}
		out = append(out, line)
	}
	require.NoError(t, rows.Err())
	return out
}

func rules(t *testing.T, yaml string) *rewards.Engine {
	t.Helper()
	e, err := rewards.Parse("rewards.yaml", []byte(yaml))
	require.NoError(t, err)
	return e
}

func shuffled[T any](seed uint64, list []T) []T {
	rand.New(rand.NewPCG(seed, 1)).Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}
