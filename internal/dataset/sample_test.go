package dataset_test

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/internal/trajectory/trajectorytest"
)

var update = flag.Bool("update", false, "write the golden files anew")

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

func ptr[T any](v T) *T { return &v }

// random has what the rows add: ids of facts, and their trajectory.
func random(seed uint64) *trajectory.Trajectory {
	t := trajectorytest.Random(rand.New(rand.NewPCG(seed, 7)))
	t.FirstSeenAt = noon.UnixMicro()
	for i := range t.Facts {
		t.Facts[i].ID = string(rune('a' + i))
		t.Facts[i].TrajectoryID = t.ID
		t.Facts[i].ObservedAt = noon.UnixMicro() + int64(i) // of one day: they come back file by file
	}
	return t
}

// readSet reads all rows of the dataset at root with our structs.
func readSet(t *testing.T, root string) dataset.Set {
	return dataset.Set{
		Trajectories: read[dataset.TrajectoryRow](t, root, dataset.TableTrajectories),
		Steps:        read[dataset.StepRow](t, root, dataset.TableSteps),
		Messages:     read[dataset.MessageRow](t, root, dataset.TableMessages),
		Rewards:      read[dataset.RewardRow](t, root, dataset.TableRewards),
		Facts:        read[dataset.FactRow](t, root, dataset.TableFacts),
	}
}

func read[T any](t *testing.T, root, table string) (all []T) {
	files, err := dataset.Files(root, table)
	require.NoError(t, err)
	for _, f := range files {
		rows, err := parquet.ReadFile[T](f)
		require.NoError(t, err, f)
		all = append(all, rows...)
	}
	return all
}

func newWriter(t *testing.T, root, name string) *dataset.Writer {
	w, err := dataset.NewWriter(root, name, dataset.Options{
		Clock: func() time.Time { return noon }, Entropy: rand.NewChaCha8([32]byte{}),
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, w.Close()) })
	return w
}

// sample is what testdata/v1 holds: both kinds of steps, everything unknown
// once, tokens, rewards, facts.
func sample() []*trajectory.Trajectory {
	const id = "0af7651916cd43dd8448eb211c80319c"
	at := noon.UnixMicro()
	full := &trajectory.Trajectory{
		ID: id, Revision: at + 9, Writer: "sample", TaskKey: "1f0c", TaskKeySource: "attribute:task.id",
		TraceIDs: []string{id}, ConversationID: "c-1", UserID: "u-1", Tenant: "acme", ServiceName: "shop",
		AgentNames: []string{"triage"}, Dialects: []string{"semconv"}, Source: trajectory.SourceSpans,
		Input: "Where is order 12?", Output: "It arrives on Friday.", Status: trajectory.StatusError, Error: "late",
		CloseReason: trajectory.CloseLate, Continues: strings.Repeat("b", 32), StartedAt: at + 1, EndedAt: at + 2, FirstSeenAt: at,
		SpanCount: 4, ModelCalls: 2, ToolCalls: 1, InputTokens: ptr(int64(20)), OutputTokens: ptr(int64(0)),
		Bundle: "bundle-1", Tokens: trajectory.TokensCaptured, Reasons: []trajectory.Reason{trajectory.ReasonLate},
		Attributes: `{"deployment.environment.name":"prod"}`,
		Messages: []trajectory.Message{
			{Role: "user", Text: "Where is order 12?"},
			{Role: "assistant", Reasoning: "look it up", ToolCalls: []trajectory.ToolCall{{ID: "call_1", Name: "lookup", Arguments: `{"order": 12}`}}},
			{Role: "tool", ToolCallID: "call_1", Name: "lookup", Text: "Friday", Injected: "demonstration-1", Parts: `[{"type":"text"}]`},
			{Role: "assistant", Text: "It arrives on Friday."},
		},
		Rewards: []trajectory.Reward{
			{Step: -1, Name: "solved", Value: ptr(0.0), Source: "expr", RuleHash: "h", Provisional: true, EvaluatedAt: at + 3},
			{Step: 1, Name: "tool_error", Reason: "no result", Explanation: "why", Source: "expr", RuleHash: "h", EvaluatedAt: at + 3},
		},
		Facts: []trajectory.Fact{{
			ID: "f-1", Name: "solved", Value: ptr(1.0), Label: "yes", Explanation: "thanks", Source: "feedback", ObservedAt: at + 4,
			TrajectoryID: id, TraceID: id, SpanID: "b7ad6b7169203331", ResponseID: "resp-1", ConversationID: "c-1",
		}},
	}
	call := trajectory.ModelCall{
		Provider: "openai", RequestModel: "m", ResponseModel: "m-1", Adapter: "a-1", Bundle: "bundle-1", ResponseID: "resp-1", FinishReason: "tool_calls",
		InputTokens: ptr(int64(20)), OutputTokens: ptr(int64(0)), CachedTokens: ptr(int64(3)),
		Temperature: ptr(0.0), TopP: ptr(0.9), TopK: ptr(int64(40)), MaxTokens: ptr(int64(100)), Seed: ptr(int64(0)),
		Constrained: ptr(false), LogprobsMode: "raw", Tools: `[{"name":"lookup"}]`, Input: []int32{0}, Output: []int32{1},
		PromptTokenIDs: []int32{1, 2, 3}, TokenIDs: []int32{4, 5}, Logprobs: []float32{-0.25, 0},
	}
	next := call
	next.Input, next.Output, next.PromptBase, next.PromptTokenIDs = []int32{0, 1, 2}, []int32{3}, ptr(int32(0)), []int32{6}
	step := trajectory.Step{TraceID: id, SpanID: "b7ad6b7169203331", AgentName: "triage", StartedAt: at + 1, EndedAt: at + 2}
	for i, part := range []any{&call, &trajectory.ToolRun{Name: "lookup", CallID: "call_1", Arguments: `{"order": 12}`, Result: ptr("")}, &next} {
		s := step
		s.Index, s.Kind = i, trajectory.KindModel
		switch part := part.(type) {
		case *trajectory.ModelCall:
			s.Model, s.Trainable = part, true
		case *trajectory.ToolRun:
			s.Kind, s.Tool, s.Parent = trajectory.KindTool, part, ptr(0)
			s.Error, s.Reasons, s.Attributes, s.Thread = "boom", []trajectory.Reason{trajectory.ReasonFailed}, `{"k":1}`, 1
		}
		full.Steps = append(full.Steps, s)
	}
	bare := &trajectory.Trajectory{
		ID: strings.Repeat("0", 31) + "1", Revision: at, FirstSeenAt: at,
		Steps: []trajectory.Step{{Kind: trajectory.KindModel, Model: &trajectory.ModelCall{}}, {Index: 1, Kind: trajectory.KindTool, Tool: &trajectory.ToolRun{}}},
	}
	return []*trajectory.Trajectory{full, bare}
}

// The files of version 1 that were written once must stay readable, with
// the meaning they had.
func TestOldFilesAreRead(t *testing.T) {
	root := "testdata"
	if *update {
		require.NoError(t, os.RemoveAll(filepath.Join(root, "v1")))
		w := newWriter(t, root, "sample")
		_, err := w.Write(t.Context(), sample(), nil)
		require.NoError(t, err)
		require.NoError(t, os.RemoveAll(filepath.Join(root, "v1", "_tmp")))
	}
	got, err := dataset.Trajectories(readSet(t, root))
	require.NoError(t, err)
	assert.Equal(t, sample(), got)
}

// Columns may be added, never renamed, removed or given another type.
func TestColumnsAreOnlyAdded(t *testing.T) {
	for table, schema := range schemas {
		files, err := dataset.Files("testdata", table)
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, path := range files {
			f := open(t, path)
			now := map[string]string{}
			for _, field := range schema.Fields() {
				now[field.Name()] = describe(field)
			}
			for _, field := range f.Schema().Fields() {
				assert.Equal(t, describe(field), now[field.Name()], "%s.%s", table, field.Name())
			}
			version, ok := f.Lookup("tracegrad.dataset.version")
			assert.True(t, ok)
			assert.Equal(t, "1", version)
		}
	}
}

func open(t *testing.T, path string) *parquet.File {
	data, err := os.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, data.Close()) })
	info, err := data.Stat()
	require.NoError(t, err)
	f, err := parquet.OpenFile(data, info.Size())
	require.NoError(t, err)
	return f
}

func rowGroups(t *testing.T, root, table string) (n int) {
	files, err := dataset.Files(root, table)
	require.NoError(t, err)
	for _, path := range files {
		n += len(open(t, path).RowGroups())
	}
	return n
}

func describe(n parquet.Node) string {
	s := "required"
	switch {
	case n.Optional():
		s = "optional"
	case n.Repeated():
		s = "repeated"
	}
	if n.Leaf() {
		return s + " " + n.Type().String()
	}
	for _, f := range n.Fields() {
		s += " {" + f.Name() + ": " + describe(f) + "}"
	}
	return s
}
