//go:build cgo && unix

package dataset_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// captured are the trajectories of the shipped captures of real agents, one per rollout.
func captured(b *testing.B) (list []*trajectory.Trajectory) {
	const dir = "../../testdata/captures"
	spans := map[string][]*trajectory.Span{} // by trace
	files, err := filepath.Glob(dir + "/*__*.jsonl")
	require.NoError(b, err)
	for _, file := range files {
		eachLine(b, file, func(line []byte) {
			td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(line)
			require.NoError(b, err)
			for _, rs := range td.ResourceSpans().All() {
				for _, ss := range rs.ScopeSpans().All() {
					for _, span := range ss.Spans().All() {
						s := genai.NewDecoder(genai.Options{}).Decode(rs.Resource(), ss.Scope(), span)
						spans[s.TraceID.String()] = append(spans[s.TraceID.String()], s)
					}
				}
			}
		})
	}
	eachLine(b, dir+"/truth.jsonl", func(line []byte) {
		var rollout struct {
			TraceIDs []string `json:"trace_ids"`
		}
		require.NoError(b, json.Unmarshal(line, &rollout))
		var own []*trajectory.Span
		for _, id := range rollout.TraceIDs {
			own = append(own, spans[id]...)
		}
		list = append(list, trajectory.Assemble(own, trajectory.Options{
			Revision: noon.UnixMicro(), FirstSeenAt: noon.UnixMicro(), CloseReason: trajectory.CloseComplete, Writer: "bench",
		}))
	})
	return list
}

func eachLine(b *testing.B, file string, each func([]byte)) {
	f, err := os.Open(file)
	require.NoError(b, err)
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 64<<20)
	for s.Scan() {
		each(s.Bytes())
	}
	require.NoError(b, s.Err())
}

// multiplied makes n trajectories of those in list: ids, times and a tenth of
// the words differ from copy to copy.
func multiplied(list []*trajectory.Trajectory, n int) []*trajectory.Trajectory {
	r := rand.New(rand.NewPCG(1, 2))
	out := make([]*trajectory.Trajectory, n)
	for i := range out {
		t, err := trajectory.Decode(trajectory.Encode(list[i%len(list)])) // a deep copy
		if err != nil {
			panic(err)
		}
		vary(r, t, i)
		score(r, t)
		out[i] = t
	}
	return out
}

func vary(r *rand.Rand, t *trajectory.Trajectory, i int) {
	shift := int64(i) * 50_000
	t.ID, t.Revision, t.FirstSeenAt = hexID(r, 16), t.Revision+shift, t.FirstSeenAt+shift
	t.StartedAt, t.EndedAt = t.StartedAt+shift, t.EndedAt+shift
	traces := map[string]string{}
	for k, id := range t.TraceIDs {
		traces[id] = hexID(r, 16)
		t.TraceIDs[k] = traces[id]
	}
	calls := map[string]string{"": ""}
	callID := func(id string) string {
		if _, ok := calls[id]; !ok {
			calls[id] = "call_" + hexID(r, 12)
		}
		return calls[id]
	}
	for k := range t.Messages {
		m := &t.Messages[k]
		m.Text, m.ToolCallID = reworded(r, m.Text), callID(m.ToolCallID)
		for j := range m.ToolCalls {
			m.ToolCalls[j].ID = callID(m.ToolCalls[j].ID)
		}
	}
	for k := range t.Steps {
		s := &t.Steps[k]
		s.TraceID, s.SpanID = traces[s.TraceID], hexID(r, 8)
		s.StartedAt, s.EndedAt = s.StartedAt+shift+r.Int64N(1e6), s.EndedAt+shift+r.Int64N(1e6)
		if s.Model != nil {
			s.Model.ResponseID = "chatcmpl-" + hexID(r, 12)
		}
		if s.Tool != nil {
			s.Tool.CallID = callID(s.Tool.CallID)
			if s.Tool.Result != nil {
				s.Tool.Result = ptr(reworded(r, *s.Tool.Result))
			}
		}
	}
}

// score adds what a user has: two rewards, one more per tool run, and a
// verdict on every other trajectory.
func score(r *rand.Rand, t *trajectory.Trajectory) {
	add := func(step int, name string, value float64) {
		t.Rewards = append(t.Rewards, trajectory.Reward{Step: step, Name: name, Value: &value, Source: "expr", RuleHash: "5f1d0c9ab8e2", EvaluatedAt: t.Revision})
	}
	add(-1, "solved", float64(r.IntN(2)))
	add(-1, "brevity", r.Float64())
	for i := range t.Steps {
		if t.Steps[i].Kind == trajectory.KindTool {
			add(i, "tool_error", float64(-r.IntN(2)))
		}
	}
	if r.IntN(2) == 0 {
		t.Facts = append(t.Facts, trajectory.Fact{ID: hexID(r, 16), Name: "solved", Value: ptr(1.0), Source: "feedback", ObservedAt: t.Revision + 1e9, TrajectoryID: t.ID})
	}
}

func hexID(r *rand.Rand, bytes int) string {
	s := ""
	for range bytes / 4 {
		s += fmt.Sprintf("%08x", r.Uint32())
	}
	return s
}

func reworded(r *rand.Rand, text string) string {
	words := strings.Split(text, " ")
	for i := range words {
		if r.IntN(10) == 0 {
			words[i] = word(r)
		}
	}
	return strings.Join(words, " ")
}

// vocabulary has 20,000 made-up words; common ones are common.
var vocabulary = func() []string {
	r := rand.New(rand.NewPCG(3, 4))
	syllables := strings.Fields("ba be bi bo da de di do fa fe ga go ka ke la le li lo ma me mi mo na ne ni no pa pe ra re ri ro sa se ta te ti to va ve")
	words := make([]string, 20_000)
	for i := range words {
		for range 1 + r.IntN(4) {
			words[i] += syllables[r.IntN(len(syllables))]
		}
	}
	return words
}()

func word(r *rand.Rand) string {
	return vocabulary[min(int(float64(len(vocabulary))*r.Float64()*r.Float64()*r.Float64()), len(vocabulary)-1)]
}

func prose(r *rand.Rand, n int) string {
	words := make([]string, n)
	for i := range words {
		words[i] = word(r)
	}
	return strings.Join(words, " ")
}

// conversation is an agent with a tool over so many turns: the user asks, the
// model calls the tool, the tool answers with about 1 KB of JSON, the model answers.
func conversation(r *rand.Rand, turns int) *trajectory.Trajectory {
	at := noon.UnixMicro()
	t := &trajectory.Trajectory{
		ID: hexID(r, 16), Revision: at, FirstSeenAt: at, StartedAt: at, EndedAt: at + int64(turns)*1e6, Writer: "bench", Source: trajectory.SourceSpans,
		TaskKey: fmt.Sprintf("%016x", r.IntN(50)), TaskKeySource: "input", TraceIDs: []string{hexID(r, 16)}, ServiceName: "bench",
		AgentNames: []string{"assistant"}, Dialects: []string{"semconv"}, Status: trajectory.StatusOK, CloseReason: trajectory.CloseComplete,
		SpanCount: 3*turns + 1, ModelCalls: 2 * turns, ToolCalls: turns, Tokens: trajectory.TokensNone, Trainable: true,
		Messages: []trajectory.Message{{Role: "system", Text: prose(rand.New(rand.NewPCG(9, 9)), 200)}},
	}
	tools := prose(rand.New(rand.NewPCG(8, 8)), 400)
	said := []int32{0}
	say := func(m trajectory.Message) int32 {
		t.Messages = append(t.Messages, m)
		return int32(len(t.Messages) - 1)
	}
	step := func(s trajectory.Step) {
		s.Index, s.TraceID, s.SpanID, s.Trainable = len(t.Steps), t.TraceIDs[0], hexID(r, 8), true
		s.StartedAt = at + int64(s.Index)*1e6/3
		s.EndedAt, s.AgentName = s.StartedAt+200_000+r.Int64N(100_000), "assistant"
		t.Steps = append(t.Steps, s)
	}
	call := func(reply int32) {
		step(trajectory.Step{Kind: trajectory.KindModel, Model: &trajectory.ModelCall{
			Provider: "openai", RequestModel: "model-1", ResponseModel: "model-1-2026", ResponseID: "chatcmpl-" + hexID(r, 12), FinishReason: "stop",
			InputTokens: ptr(int64(100 * len(said))), OutputTokens: ptr(int64(80)), Temperature: ptr(0.7), Tools: tools,
			Input: slices.Clone(said), Output: []int32{reply},
		}})
		said = append(said, reply)
	}
	for range turns {
		said = append(said, say(trajectory.Message{Role: "user", Text: prose(r, 60)}))
		id := "call_" + hexID(r, 12)
		arguments := fmt.Sprintf(`{"query":%q,"limit":%d}`, prose(r, 5), r.IntN(20))
		call(say(trajectory.Message{Role: "assistant", ToolCalls: []trajectory.ToolCall{{ID: id, Name: "search", Arguments: arguments}}}))
		result := fmt.Sprintf(`{"hits":[{"id":%d,"text":%q},{"id":%d,"text":%q}]}`, r.IntN(1e6), prose(r, 90), r.IntN(1e6), prose(r, 90))
		step(trajectory.Step{Kind: trajectory.KindTool, Tool: &trajectory.ToolRun{Name: "search", CallID: id, Arguments: arguments, Result: &result}})
		said = append(said, say(trajectory.Message{Role: "tool", ToolCallID: id, Text: result}))
		call(say(trajectory.Message{Role: "assistant", Text: prose(r, 80)}))
	}
	t.Input, t.Output = t.Messages[1].Text, t.Messages[len(t.Messages)-1].Text
	score(r, t)
	return t
}
