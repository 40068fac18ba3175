package trajectory

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// written is a record of one message of a prompt.
func written(call byte, id int, at int64, m *Message) *Span {
	return &Span{
		TraceID: TraceID{1}, SpanID: SpanID{0xee, byte(id >> 8), byte(id)}, ParentID: SpanID{call},
		Role: RoleModelSpan, Record: RecordMessage, Start: at, End: at, Seq: uint64(id), GenAI: true, Call: &Call{Prompt: []*Message{m}},
	}
}

func answered(call byte, id int, at int64, m *Message) *Span {
	s := written(call, id, at, m)
	s.Call = &Call{Reply: []*Message{m}}
	return s
}

// TestRecordsAtOneTime: an agent's prompts, written message by message within a
// tick of the clock, are in order again however the records arrive.
func TestRecordsAtOneTime(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 9))
		spans, want := conversation(r)
		got := Join(shuffled(r, spans))
		require.Len(t, got, len(want))
		for _, s := range got {
			require.Equal(t, texts(want[s.SpanID]), texts(s.Call.Prompt), "seed %d, call %s", seed, s.SpanID)
			require.Len(t, s.Call.Reply, 1)
		}
		again := Join(append(shuffled(r, spans), spans...))
		require.Len(t, again, len(got), "what comes twice counts once")
	}
}

// conversation is the calls of one agent and their records; every call's
// records have one time.
func conversation(r *rand.Rand) (spans []*Span, prompts map[SpanID][]*Message) {
	history := []*Message{{Role: RoleSystem, Text: "be brief"}, {Role: RoleUser, Text: "question 0"}}
	prompts, id := map[SpanID][]*Message{}, 0
	for i := range 2 + r.IntN(5) {
		call, at := byte(i+1), int64(1000*(i+1))
		spans = append(spans, &Span{TraceID: TraceID{1}, SpanID: SpanID{call}, Start: at, End: at + 500, Role: RoleModelSpan, Call: &Call{}})
		for _, m := range history {
			id++
			spans = append(spans, written(call, id, at, m))
		}
		prompts[SpanID{call}] = append([]*Message(nil), history...)
		reply := &Message{Role: RoleAssistant, Text: fmt.Sprintf("reply %d", i)}
		for k := range r.IntN(3) {
			reply.ToolCalls = append(reply.ToolCalls, ToolCall{ID: fmt.Sprintf("c%d.%d.%d", r.IntN(100), i, k), Name: "f", Arguments: "{}"})
		}
		id++
		spans = append(spans, answered(call, id, at+400, reply))
		history = append(history, reply)
		for _, c := range reply.ToolCalls {
			history = append(history, &Message{Role: RoleTool, Text: "r", ToolCallID: c.ID})
		}
		if len(reply.ToolCalls) == 0 {
			history = append(history, &Message{Role: RoleUser, Text: fmt.Sprintf("question %d", i+1)})
		}
	}
	return spans, prompts
}

func shuffled(r *rand.Rand, spans []*Span) []*Span {
	out := append([]*Span(nil), spans...)
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	for i := range out { // as they arrive
		s := *out[i]
		s.Seq = uint64(i + 1)
		out[i] = &s
	}
	return out
}

func texts(ms []*Message) []string {
	out := make([]string, len(ms))
	for i, m := range ms {
		out[i] = m.Role + " " + m.Text + " " + m.ToolCallID
	}
	return out
}

// TestRecordsFillWhatASpanLacks: the span's own word counts, whole prompts
// count more than single messages.
func TestRecordsFillWhatASpanLacks(t *testing.T) {
	user := &Message{Role: RoleUser, Text: "q"}
	own := &Span{TraceID: TraceID{1}, SpanID: SpanID{1}, Role: RoleModelSpan, Call: &Call{Prompt: []*Message{user}}}
	details := written(1, 2, 5, &Message{Role: RoleUser, Text: "other"})
	details.Record, details.Call.ResponseID = RecordDetails, "r1"
	reply := answered(1, 3, 6, &Message{Role: RoleAssistant, Text: "a"})
	got := Join([]*Span{details, own, reply})
	require.Len(t, got, 1)
	assert.Equal(t, []*Message{user}, got[0].Call.Prompt)
	assert.Equal(t, "a", got[0].Call.Reply[0].Text)
	assert.Equal(t, "r1", got[0].Call.ResponseID)
	assert.NotZero(t, got[0].Records)
	assert.Nil(t, own.Call.Reply, "spans are not changed")

	bare := &Span{TraceID: TraceID{1}, SpanID: SpanID{1}, Role: RoleModelSpan}
	got = Join([]*Span{bare, written(1, 4, 5, user), details})
	assert.Equal(t, "other", got[0].Call.Prompt[0].Text)
}

// TestRecordsOfASpanThatNeverCame: the call happened, its records say so.
func TestRecordsOfASpanThatNeverCame(t *testing.T) {
	root := &Span{TraceID: TraceID{1}, SpanID: SpanID{9}, Role: RoleAgentSpan, Start: 1, End: 100}
	spans := []*Span{root, written(3, 1, 10, &Message{Role: RoleUser, Text: "q"}), answered(3, 2, 20, &Message{Role: RoleAssistant, Text: "a"})}
	got := Assemble(spans, Options{})
	require.Len(t, got.Steps, 1)
	assert.Equal(t, "q", got.Input)
	assert.Equal(t, "a", got.Output)
	assert.Equal(t, SpanID{3}.String(), got.Steps[0].SpanID)
}
