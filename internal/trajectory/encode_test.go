package trajectory_test

import (
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/internal/trajectory/trajectorytest"
)

func ptr[T any](v T) *T { return &v }

// example has every part once, and both zero and unknown values.
func example() *trajectory.Trajectory {
	return &trajectory.Trajectory{
		ID: "0af7651916cd43dd8448eb211c80319c", Revision: 1_767_225_600_000_001, Writer: "node-1",
		TaskKey: "1f0c", TaskKeySource: "input",
		TraceIDs: []string{"0af7651916cd43dd8448eb211c80319c"}, ConversationID: "conv", ServiceName: "shop",
		AgentNames: []string{"triage", "refunds"}, Dialects: []string{"openinference", "semconv"}, Source: trajectory.SourceSpans,
		Input: "Where is order 12?", Output: "It arrives on Friday.", Status: trajectory.StatusOK,
		CloseReason: trajectory.CloseComplete, StartedAt: 1_767_225_590_000_000, EndedAt: 1_767_225_595_000_000, FirstSeenAt: 1_767_225_591_000_000,
		SpanCount: 4, ModelCalls: 2, ToolCalls: 1, InputTokens: ptr(int64(0)),
		Tokens: trajectory.TokensNone, Trainable: false, Reasons: []trajectory.Reason{trajectory.ReasonNoResult},
		Attributes: `{"deployment.environment":"prod"}`,
		Messages: []trajectory.Message{
			{Role: "user", Text: "Where is order 12?"},
			{Role: "assistant", ToolCalls: []trajectory.ToolCall{{ID: "call_1", Name: "lookup", Arguments: `{"order":12}`}}},
			{Role: "tool", ToolCallID: "call_1", Name: "lookup", Text: strings.Repeat("Friday ", 40)},
			{Role: "assistant", Text: "It arrives on Friday.", Reasoning: "The tool says so."},
		},
		Steps: []trajectory.Step{
			{Index: 0, Kind: trajectory.KindModel, TraceID: "0af7651916cd43dd8448eb211c80319c", SpanID: "b7ad6b7169203331", StartedAt: 1, EndedAt: 2, Trainable: true,
				Model: &trajectory.ModelCall{Provider: "openai", RequestModel: "m", Temperature: ptr(0.0), Seed: ptr(int64(-1)), Tools: `[{"name":"lookup"}]`, Constrained: ptr(false),
					Input: []int32{0}, Output: []int32{1}, TokenIDs: []int32{1, 300, 70000}, Logprobs: []float32{-0.5, 0, float32(math.Inf(-1))}}},
			{Index: 1, Parent: ptr(0), Kind: trajectory.KindTool, Tool: &trajectory.ToolRun{Name: "lookup", CallID: "call_1", Arguments: `{"order":12}`, Result: ptr("")}},
			{Index: 2, Kind: trajectory.KindModel, Error: "timeout", Reasons: []trajectory.Reason{trajectory.ReasonFailed},
				Model: &trajectory.ModelCall{Input: []int32{0, 1, 2}, Output: []int32{3}, PromptBase: ptr(int32(0)), Tools: `[{"name":"lookup"}]`}},
		},
		Rewards: []trajectory.Reward{
			{Step: -1, Name: "solved", Value: ptr(1.0), Source: "expr", RuleHash: "abc", Provisional: true, EvaluatedAt: 3},
			{Step: 0, Name: "tool_error", Reason: "no tool ran", Source: "expr"},
		},
		Facts: []trajectory.Fact{{ID: "f1", Name: "solved", Value: ptr(0.0), Label: "no", Source: "feedback", ObservedAt: 4, TrajectoryID: "0af7651916cd43dd8448eb211c80319c"}},
	}
}

func TestDecodeIsTheInverseOfEncode(t *testing.T) {
	got, err := trajectory.Decode(trajectory.Encode(example()))
	require.NoError(t, err)
	assert.Equal(t, example(), got)
	got, err = trajectory.DecodeOwned(trajectory.Encode(example()))
	require.NoError(t, err)
	assert.Equal(t, example(), got)

	for seed := range uint64(500) {
		want := trajectorytest.Random(rand.New(rand.NewPCG(seed, 0)))
		got, err := trajectory.Decode(trajectory.Encode(want))
		require.NoError(t, err, "seed %d", seed)
		require.Equal(t, want, got, "seed %d", seed)
	}
}

func TestAppendEncodeKeepsWhatIsThere(t *testing.T) {
	b := trajectory.AppendEncode([]byte("head"), example())
	assert.Equal(t, "head"+string(trajectory.Encode(example())), string(b))
}

// The golden vector holds the format still: it may only change together with
// Version.
func TestGoldenVector(t *testing.T) {
	golden, err := os.ReadFile("testdata/example.v1.hex")
	require.NoError(t, err)
	want, err := hex.DecodeString(strings.Join(strings.Fields(string(golden)), ""))
	require.NoError(t, err)
	assert.Equal(t, hex.Dump(want), hex.Dump(trajectory.Encode(example())))

	got, err := trajectory.Decode(want)
	require.NoError(t, err)
	assert.Equal(t, example(), got)
}

func TestEncodeReplacesBrokenText(t *testing.T) {
	want := &trajectory.Trajectory{ID: "a", Input: "cut \xe2\x82"}
	got, err := trajectory.Decode(trajectory.Encode(want))
	require.NoError(t, err)
	assert.Equal(t, "cut \uFFFD", got.Input)
}

func TestDecodeRefuses(t *testing.T) {
	valid := trajectory.Encode(example())
	for name, c := range map[string]struct {
		data []byte
		err  string
	}{
		"nothing":        {nil, "no format version"},
		"something else": {[]byte(`{"id":"a"}`), "read trajectory: "},
		"no version":     {[]byte{0x12, 1, 'a'}, "no format version"},
		"newer":          {[]byte{0x08, 2, 0x12, 1, 'a'}, "format version 2 is newer than 1"},
		"cut":            {valid[:len(valid)-1], "data ends inside a field"},
		"cut in a tag":   {append([]byte{0x08, 1}, 0x80), "data ends inside a field"},
		"long number":    {append([]byte{0x08, 1, 0x18}, strings.Repeat("\xff", 10)...), "longer than 64 bits"},
		"broken text":    {[]byte{0x08, 1, 0x12, 1, 0xff}, "not UTF-8"},
		"wire type 7":    {[]byte{0x08, 1, 0x17}, "no valid number or wire type"},
		"field 0":        {[]byte{0x08, 1, 0x02, 0}, "no valid number or wire type"},
		"deep groups":    {append([]byte{0x08, 1}, strings.Repeat("\xfb\x07", 200)...), "nested too deeply"},
		"no id":          {[]byte{0x08, 1}, "has no id"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := trajectory.Decode(c.data)
			require.ErrorContains(t, err, c.err)
		})
	}
}

func TestValidNamesTheMisfit(t *testing.T) {
	for want, change := range map[string]func(*trajectory.Trajectory){
		"step 1: its index says 7":               func(t *trajectory.Trajectory) { t.Steps[1].Index = 7 },
		"step 1: its parent is step 3 of 3":      func(t *trajectory.Trajectory) { *t.Steps[1].Parent = 3 },
		"step 0: it refers to message 4 of 4":    func(t *trajectory.Trajectory) { t.Steps[0].Model.Output[0] = 4 },
		"step 2: it refers to message -1 of 4":   func(t *trajectory.Trajectory) { t.Steps[2].Model.Input[2] = -1 },
		"step 2: its prompt base is step 3":      func(t *trajectory.Trajectory) { *t.Steps[2].Model.PromptBase = 3 },
		`step 0: kind "tool" with model call`:    func(t *trajectory.Trajectory) { t.Steps[0].Kind = trajectory.KindTool },
		`reward "tool_error" is for step 3 of 3`: func(t *trajectory.Trajectory) { t.Rewards[1].Step = 3 },
	} {
		tr := example()
		change(tr)
		assert.ErrorContains(t, tr.Valid(), want)
		_, err := trajectory.Decode(trajectory.Encode(tr))
		assert.ErrorContains(t, err, want)
	}
	assert.NoError(t, example().Valid())
}

func TestDecodeIgnoresUnknownFields(t *testing.T) {
	unknown := []byte{
		0xf8, 0x3f, 5, // field 1023, varint
		0xf9, 0x3f, 1, 2, 3, 4, 5, 6, 7, 8,
		0xfd, 0x3f, 1, 2, 3, 4,
		0xfa, 0x3f, 2, 'h', 'i',
		0xfb, 0x3f, 0x08, 1, 0xfc, 0x3f, // a group
		0x10, 9, // field 2 with another wire type
	}
	got, err := trajectory.Decode(append(trajectory.Encode(example()), unknown...))
	require.NoError(t, err)
	assert.Equal(t, example(), got)
}

func TestToolDefinitionsAreWrittenOnce(t *testing.T) {
	tr := &trajectory.Trajectory{ID: "a"}
	for i := range 40 {
		tools := strings.Repeat("x", 1000+i%2)
		if i == 7 {
			tools = ""
		}
		tr.Steps = append(tr.Steps, trajectory.Step{Index: i, Kind: trajectory.KindModel, Model: &trajectory.ModelCall{Tools: tools}})
	}
	b := trajectory.Encode(tr)
	assert.Less(t, len(b), 3000)
	got, err := trajectory.Decode(b)
	require.NoError(t, err)
	assert.Equal(t, tr, got)
	assert.Equal(t, []int32{0, 1, 0, 1, 0, 1, 0, -1}, trajectory.ToolsSteps(tr.Steps)[:8])

	_, err = trajectory.Decode([]byte("\x08\x01\x12\x01a\x7a\x06\x72\x04\xc8\x01\x00\x00"))
	assert.Error(t, err)
}

func TestManyToolDefinitions(t *testing.T) {
	tr := &trajectory.Trajectory{ID: "a"}
	for i := range 60 {
		tr.Steps = append(tr.Steps, trajectory.Step{Index: i, Kind: trajectory.KindModel, Model: &trajectory.ModelCall{Tools: fmt.Sprint("tools ", i%20)}})
	}
	got, err := trajectory.Decode(trajectory.Encode(tr))
	require.NoError(t, err)
	assert.Equal(t, tr, got)
}

func FuzzDecode(f *testing.F) {
	f.Add(trajectory.Encode(example()))
	f.Add([]byte{0x08, 1, 0x12, 1, 'a'})
	f.Add(trajectory.Encode(&trajectory.Trajectory{ID: "a", Messages: []trajectory.Message{{Text: "b"}}, Rewards: []trajectory.Reward{{Step: -1, Value: ptr(1.5)}}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := trajectory.Decode(data)
		if err != nil {
			return
		}
		require.NoError(t, got.Valid())
		again, err := trajectory.Decode(trajectory.Encode(got))
		require.NoError(t, err)
		require.Equal(t, trajectory.Encode(got), trajectory.Encode(again)) // bytes: NaN is not equal to itself
	})
}

func BenchmarkEncode(b *testing.B) {
	t := example()
	buf := trajectory.Encode(t)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		buf = trajectory.AppendEncode(buf[:0], t)
	}
}

func BenchmarkDecode(b *testing.B) {
	data := trajectory.Encode(example())
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := trajectory.Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}
