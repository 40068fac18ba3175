package trajectory

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// stateOf is structure that shows a conversation.
func stateOf(id byte, from, to int64, state ...*Message) *Span {
	s := span(id, 0, RoleOther, from, to)
	s.Call = &Call{Prompt: state}
	return s
}

// mute is a model call that shows texts only.
func muteCall(id byte, from, to int64, finish string, prompt []*Message, reply ...*Message) *Span {
	s := model(id, 0, from, to, prompt, reply...)
	s.Call.FinishReason = finish
	return s
}

func toldMute(text string) *Message { return &Message{Role: RoleTool, Text: text} }

func named(m *Message, agent string) *Message {
	m.Name = agent
	return m
}

// A run whose calls show texts only, and whose nodes show the conversation.
func mutedRun() []*Span {
	asks := named(says("", call("c1", "look", `{"x":1}`)), "helper")
	again := named(says("Once more.", call("c2", "look", `{"x":2}`)), "helper")
	told := &Message{Role: RoleTool, Text: "r", ToolCallID: "c1", Name: "look"}
	told2 := &Message{Role: RoleTool, Text: "r", ToolCallID: "c2", Name: "look"}
	system := &Message{Role: RoleSystem, Text: "Help."}
	run := toolSpan(9, 0, 31, 32, ToolRun{Arguments: `{"x":2}`})
	return []*Span{
		muteCall(1, 1, 5, "tool_call", prompt(system, user("q"))),
		stateOf(2, 1, 6, user("q"), asks),
		muteCall(3, 20, 25, "tool_call", prompt(system, user("q"), toldMute("r")), says("Once more.")),
		stateOf(4, 20, 26, user("q"), asks, told, again),
		run,
		muteCall(5, 40, 45, "stop", prompt(system, user("q"), toldMute("r"), says("Once more."), toldMute("r")), says("Done.")),
		stateOf(6, 40, 46, user("q"), asks, told, again, told2, named(says("Done."), "helper")),
	}
}

func TestStateRestoresCalls(t *testing.T) {
	spans := mutedRun()
	got := Assemble(spans, Options{})
	require.Len(t, got.Steps, 5)
	assert.Equal(t, []ToolCall{call("c1", "look", `{"x":1}`)}, replyOf(got, 0).ToolCalls)
	assert.Equal(t, "r", *got.Steps[1].Tool.Result)
	assert.Equal(t, "Once more.", replyOf(got, 2).Text)
	assert.Equal(t, []ToolCall{call("c2", "look", `{"x":2}`)}, replyOf(got, 2).ToolCalls)
	assert.Equal(t, spans[4].SpanID.String(), got.Steps[3].SpanID, "the run without a name")
	assert.Equal(t, "look", got.Steps[3].Tool.Name)
	assert.Equal(t, "Done.", got.Output)
	assert.Equal(t, []string{"helper"}, got.AgentNames)
	for _, s := range got.Steps {
		assert.Equal(t, "helper", s.AgentName)
		assert.Equal(t, 0, s.Thread)
	}
	assert.True(t, got.Trainable, got.Reasons)
	assert.Empty(t, spans[0].Call.Reply, "spans are not changed")
	// The roots of traces are found in a session.
	assert.Len(t, Cut(spans), 1)
}

// Nothing is taken from a state that says something else.
func TestStateOfAnotherConversation(t *testing.T) {
	other := stateOf(2, 1, 6, user("q"), says("No.", call("c1", "look", `{}`)))
	for _, s := range []*Span{
		muteCall(1, 1, 5, "tool_call", prompt(user("another question"))),
		muteCall(1, 1, 5, "tool_call", prompt(user("q")), says("Yes.")),
		muteCall(1, 1, 5, "tool_call", prompt(user("q"), toldMute("r"))),
	} {
		out := Restore([]*Span{s, other})
		_, calls := flatten(out[0].Call.Reply)
		assert.Empty(t, calls)
	}
}

// Two attempts at one question: the node around a call shows its reply; without
// one nobody knows which it was.
func TestStateOfTwoAttempts(t *testing.T) {
	attempt := func(id byte, from int64, tool string) []*Span {
		return []*Span{
			muteCall(id, from+1, from+5, "tool_call", prompt(user("q"))),
			stateOf(id+1, from, from+6, user("q"), says("", call(tool, tool, `{}`))),
		}
	}
	spans := append(attempt(1, 10, "a"), attempt(3, 20, "b")...)
	out := Restore(spans)
	assert.Equal(t, "a", out[0].Call.Reply[0].ToolCalls[0].Name)
	assert.Equal(t, "b", out[2].Call.Reply[0].ToolCalls[0].Name)

	spans[1].Start, spans[3].Start = spans[1].End, spans[3].End
	out = Restore(spans)
	assert.Empty(t, out[0].Call.Reply)
	assert.Empty(t, out[2].Call.Reply)
}

// Spans that show the conversation go with its question, though they begin
// before the first call that asks it.
func TestCutStates(t *testing.T) {
	first := []*Message{user("one"), says("First.")}
	second := slices.Concat(first, []*Message{user("two")})
	spans := []*Span{
		stateOf(1, 1, 10, first...),
		model(2, 0, 3, 8, prompt(user("one")), says("First.")),
		stateOf(3, 20, 40, append(second[:3:3], says("Second."))...),
		stateOf(4, 21, 22, second...),
		model(5, 0, 23, 30, second, says("Second.")),
		stateOf(6, 31, 32, append(second[:3:3], says("Second."))...),
	}
	parts := Cut(spans)
	require.Len(t, parts, 2)
	assert.ElementsMatch(t, spans[:2], parts[0])
	assert.ElementsMatch(t, spans[2:], parts[1])
}
