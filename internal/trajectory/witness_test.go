package trajectory

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What other spans say of a call is filled in: the one below it, and the one
// beside it that names its response.
func TestWitnesses(t *testing.T) {
	tokens, seed := int64(7), int64(1)
	asked := model(1, 0, 10, 20, prompt(user("hi")), says("hello"))
	asked.Call.ResponseID = "r-1"
	witness := func(id, parent byte, c ModelCall) *Span {
		s := span(id, parent, RoleOther, 11, 19)
		s.Call = &Call{ModelCall: c}
		return s
	}
	below := witness(2, 1, ModelCall{OutputTokens: &tokens})
	beside := witness(3, 0, ModelCall{ResponseID: "r-1", Seed: &seed, TokenIDs: []int32{4}})
	nobodys := witness(4, 0, ModelCall{ResponseID: "r-2", Provider: "x"})
	got := Assemble([]*Span{asked, below, beside, nobodys}, Options{})
	require.Len(t, got.Steps, 1)
	m := got.Steps[0].Model
	assert.Equal(t, &tokens, m.OutputTokens)
	assert.Equal(t, &seed, m.Seed)
	assert.Equal(t, []int32{4}, m.TokenIDs)
	assert.Empty(t, m.Provider)
	assert.Nil(t, asked.Call.Seed, "spans are not changed")
}

// A tool call that is a span of its own is a piece of the reply. The order of
// such spans is that of the calls, unless they are of the same time.
func TestAskedInSpans(t *testing.T) {
	asks := func(id byte, from int64, c ToolCall) *Span {
		s := span(id, 1, RoleOther, from, from)
		s.Call = &Call{Reply: []*Message{says("", c)}}
		return s
	}
	for _, second := range []int64{12, 11} {
		got := Assemble([]*Span{
			model(1, 0, 1, 20, prompt(user("hi"))),
			asks(2, 11, call("a", "f", `{"x":1}`)), asks(3, second, call("b", "f", `{"x":2}`)),
		}, Options{})
		require.Len(t, got.Steps, 1)
		assert.Equal(t, []ToolCall{call("a", "f", `{"x":1}`), call("b", "f", `{"x":2}`)}, replyOf(got, 0).ToolCalls)
		assert.Equal(t, second > 11, got.Steps[0].Trainable)
	}
	// What is there without an id gets one.
	got := Assemble([]*Span{model(1, 0, 1, 20, prompt(user("hi")), says("", call("", "f", `{"x": 1}`))), asks(2, 11, call("a", "f", `{"x":1}`))}, Options{})
	assert.Equal(t, []ToolCall{call("a", "f", `{"x":1}`)}, replyOf(got, 0).ToolCalls)
}

// A traced function was a tool run if a call asked for it, and is nothing
// otherwise; a tool's own span is the better witness.
func TestFunctionsThatMayBeTools(t *testing.T) {
	result := "r"
	function := func(id, parent byte, from int64, name, args string) *Span {
		s := span(id, parent, RoleOther, from, from+1)
		s.Tool = &ToolRun{Name: name, Arguments: args, Result: &result}
		return s
	}
	asked := model(1, 0, 10, 20, prompt(user("hi")), says("", call("a", "f", `{"x":1}`)))
	got := Assemble([]*Span{function(2, 0, 5, "f", `{"x":1}`), asked, function(3, 0, 30, "g", `{"x":1}`), function(4, 0, 31, "f", `{"x":1}`)}, Options{})
	require.Len(t, got.Steps, 2)
	assert.Equal(t, function(4, 0, 0, "", "").SpanID.String(), got.Steps[1].SpanID)
	assert.Equal(t, "a", got.Steps[1].Tool.CallID)

	inner := function(5, 4, 32, "f", `{"x":1}`)
	inner.Role = RoleToolSpan
	got = Assemble([]*Span{asked, function(4, 0, 31, "f", `{"x":1}`), inner}, Options{})
	require.Len(t, got.Steps, 2)
	assert.Equal(t, inner.SpanID.String(), got.Steps[1].SpanID)
}

// A tool's span without a name is that of the call with its very arguments.
func TestToolWithoutName(t *testing.T) {
	asked := model(1, 0, 10, 20, prompt(user("hi")), says("", call("a", "f", `{"x":1}`), call("b", "g", `{"x":2}`)))
	run := func(id byte, args string) *Span {
		return toolSpan(id, 0, 30, 31, ToolRun{Arguments: args})
	}
	got := Assemble([]*Span{asked, run(2, `{"x":2}`), run(3, `{"x":1}`)}, Options{})
	require.Len(t, got.Steps, 3)
	assert.Equal(t, "g", got.Steps[1].Tool.Name)
	assert.Equal(t, "f", got.Steps[2].Tool.Name)
}

// A call with the prompt of one whose tool has run since was told more than it
// shows; one that is sent again was not.
func TestPromptWithoutResults(t *testing.T) {
	asked := model(1, 0, 10, 20, prompt(user("hi")), says("", call("a", "f", `{}`)))
	again := model(3, 0, 30, 40, prompt(user("hi")), says("done"))
	got := Assemble([]*Span{asked, toolSpan(2, 0, 21, 22, ToolRun{Name: "f", CallID: "a"}), again}, Options{})
	require.Len(t, got.Steps, 3)
	assert.Equal(t, []Reason{ReasonTruncated}, got.Steps[2].Reasons)
	got = Assemble([]*Span{asked, again}, Options{})
	assert.Empty(t, got.Steps[1].Reasons)
}

// Results answer calls by id, by order where an id is missing, and by order
// where the ids are of two kinds.
func TestPairedResults(t *testing.T) {
	told := func(id, text string) *Message { return &Message{Role: RoleTool, ToolCallID: id, Text: text} }
	same := told("", "same")
	a, b := call("fc_1", "f", "{}"), call("fc_2", "f", "{}")
	for _, c := range []struct {
		calls   []ToolCall
		results []*Message
		want    []string
	}{
		{[]ToolCall{a, b}, []*Message{told("fc_2", "2"), told("fc_1", "1")}, []string{"1", "2"}},
		{[]ToolCall{a, b}, []*Message{told("call_1", "1"), told("call_2", "2")}, []string{"1", "2"}},
		{[]ToolCall{a, b}, []*Message{told("call_1", "1")}, []string{"", ""}},
		{[]ToolCall{a, b}, []*Message{told("fc_1", "1"), told("call_2", "2")}, []string{"1", ""}},
		{[]ToolCall{a, b}, []*Message{same, same}, []string{"same", "same"}},
	} {
		var got []string
		for _, m := range paired(c.calls, c.results) {
			if m == nil {
				got = append(got, "")
			} else {
				got = append(got, m.Text)
			}
		}
		assert.Equal(t, c.want, got)
	}
}

// An agent's answer stands for the reply of its last call, which is not shown.
func TestConcluded(t *testing.T) {
	run := func(change func(agent, last *Span)) *Trajectory {
		a := agent(1, 0, 1, 100, "helper")
		a.Out = "Four."
		last := model(4, 1, 40, 50, prompt(user("2+2?"), says("", call("a", "f", `{}`)), &Message{Role: RoleTool, ToolCallID: "a", Text: "4"}))
		change(a, last)
		return Assemble([]*Span{a, model(2, 1, 2, 10, prompt(user("2+2?"))), toolSpan(3, 1, 20, 30, ToolRun{Name: "f", CallID: "a"}), last}, Options{})
	}
	got := run(func(_, _ *Span) {})
	require.Len(t, got.Steps, 3)
	assert.Equal(t, "Four.", replyOf(got, 2).Text)
	assert.Equal(t, []Reason{ReasonNoOutput}, got.Steps[2].Reasons)
	for name, change := range map[string]func(agent, last *Span){
		"it failed":            func(_, last *Span) { last.Error = "500" },
		"the agent failed":     func(a, _ *Span) { a.Error = "boom" },
		"it asked for a tool":  func(_, last *Span) { last.Call.FinishReason = "tool_calls" },
		"a tool ran after it":  func(_, last *Span) { last.Start, last.End = last.Start-30_000_000, last.End-30_000_000 },
		"the agent ended then": func(a, last *Span) { a.End = last.End - 1 },
	} {
		got := run(change)
		for i := range got.Steps {
			if m := got.Steps[i].Model; m != nil {
				for _, at := range m.Output {
					assert.NotEqual(t, "Four.", got.Messages[at].Text, name)
				}
			}
		}
	}
}
