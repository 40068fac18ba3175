package trajectory

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Telemetry that shows a call in parts: runs without the reply that asked for
// them, outlines of prompts, pieces of replies, loops instead of calls.

// The tools below a call whose reply is not shown were asked for by it; the next
// prompt adds what was said beside them.
func TestReplyOutOfTheToolsBelow(t *testing.T) {
	hi := user("q")
	oslo, rome := says("", call("", "f", `{"x":1}`)), says("", call("", "f", `{"x":2}`))
	tr := Assemble([]*Span{
		agent(1, 0, 0, 100, "a"),
		model(2, 1, 0, 30, prompt(hi)),
		toolSpan(3, 2, 10, 15, ToolRun{Name: "f", CallID: "a1", Arguments: `{"x":1}`, Result: ptr("one")}),
		toolSpan(4, 2, 16, 20, ToolRun{Name: "f", CallID: "a2", Arguments: `{"x":2}`, Result: ptr("two")}),
		model(5, 1, 40, 60, prompt(hi, says("Both."), oslo, result("", "one"), rome, result("", "two"))),
		toolSpan(6, 5, 45, 50, ToolRun{Name: "g", CallID: "a3", Arguments: "{}", Result: ptr("three")}),
	}, Options{})
	require.Equal(t, []string{"m0", "f", "f", "m0", "g"}, kinds(tr))
	first := tr.Messages[tr.Steps[0].Model.Output[0]]
	assert.Equal(t, "Both.", first.Text)
	assert.Equal(t, []ToolCall{call("a1", "f", `{"x":1}`), call("a2", "f", `{"x":2}`)}, first.ToolCalls)
	assert.Empty(t, tr.Steps[0].Reasons)
	assert.Equal(t, []Reason{ReasonNoOutput}, tr.Steps[3].Reasons, "nothing shows what was said beside the call")
	assert.Equal(t, 3, *tr.Steps[4].Parent)
}

// An agent below a call has calls and tools of its own.
func TestToolsOfAnAgentBelowACall(t *testing.T) {
	tr := Assemble([]*Span{
		model(1, 0, 0, 50, prompt(user("q"))),
		agent(2, 1, 5, 45, "sub"),
		toolSpan(3, 2, 10, 15, ToolRun{Name: "f", Arguments: "{}", Result: ptr("one")}),
	}, Options{})
	require.Equal(t, []string{"m0", "f"}, kinds(tr))
	assert.Empty(t, tr.Steps[0].Model.Output)
	assert.Nil(t, tr.Steps[1].Parent)
}

func TestReplyThatMustAskForTools(t *testing.T) {
	m := model(1, 0, 0, 5, prompt(user("q")), says("I look."))
	m.Call.FinishReason = "tool_calls"
	tr := Assemble([]*Span{m}, Options{})
	assert.Equal(t, []Reason{ReasonNoOutput}, tr.Steps[0].Reasons)
}

// piece is a span that shows a piece of a reply.
func piece(id, parent byte, at int64, m *Message) *Span {
	s := span(id, parent, RoleOther, at, at)
	s.Call = &Call{Reply: []*Message{m}}
	return s
}

func TestPiecesOfAReply(t *testing.T) {
	parsed := says("So.", call("c1", "f", "{}"), call("c2", "g", "{}"))
	tr := Assemble([]*Span{
		model(1, 0, 0, 9, prompt(user("q")), parsed),
		piece(2, 1, 1, says("Hm, ")), piece(3, 1, 2, says("well.")), piece(4, 1, 3, says("So.")),
		piece(5, 1, 4, says("", call("c1", "f", `{"x": "broken`))), piece(6, 1, 5, says("", call("c3", "h", "{}"))),
	}, Options{})
	got := tr.Messages[tr.Steps[0].Model.Output[0]]
	assert.Equal(t, "So.", got.Text)
	assert.Equal(t, "Hm, well.", got.Reasoning)
	assert.Equal(t, []ToolCall{call("c1", "f", `{"x": "broken`), call("c2", "g", "{}")}, got.ToolCalls, "as the model wrote them, and no more than it asked for")
	assert.Equal(t, "{}", parsed.ToolCalls[0].Arguments, "messages are shared")

	tr = Assemble([]*Span{model(1, 0, 0, 9, prompt(user("q"))), piece(2, 1, 1, says("Hm.")), piece(3, 1, 2, says("", call("c1", "f", "{}")))}, Options{})
	assert.Equal(t, []ToolCall{call("c1", "f", "{}")}, tr.Messages[tr.Steps[0].Model.Output[0]].ToolCalls)
	assert.Equal(t, []Reason{ReasonNoOutput}, tr.Steps[0].Reasons, "text was said or thought")
}

// outlined is a call whose prompt is an outline.
func outlined(id, parent byte, from, to int64, prompt []*Message, reply *Message) *Span {
	s := model(id, parent, from, to, prompt, reply)
	s.Call.Outline = true
	return s
}

func asked(names ...string) *Message {
	m := says("")
	for _, n := range names {
		m.ToolCalls = append(m.ToolCalls, ToolCall{Name: n})
	}
	return m
}

func toldOf(name, text string) *Message { return &Message{Role: RoleTool, Name: name, Text: text} }

func TestOutlinedPrompts(t *testing.T) {
	hi := user("q")
	first, second := says("", call("c1", "f", "{}"), call("c2", "f", "{}")), says("", call("c3", "sub", "{}"))
	spans := func(result3 string) []*Span {
		return []*Span{
			agent(1, 0, 0, 100, "a"),
			model(2, 1, 0, 9, prompt(system("s"), hi), first),
			toolSpan(3, 1, 10, 11, ToolRun{Name: "f", CallID: "c1", Arguments: "{}", Result: ptr("one")}),
			toolSpan(4, 1, 10, 12, ToolRun{Name: "f", CallID: "c2", Arguments: "{}", Result: ptr("two")}),
			outlined(5, 1, 20, 29, prompt(system("s"), hi, asked("f", "f"), toldOf("f", ""), toldOf("f", "")), second),
			toolSpan(6, 1, 30, 31, ToolRun{Name: "sub", CallID: "c3", Arguments: "{}", Result: ptr(`{"text":"done"}`)}),
			outlined(7, 1, 40, 49, prompt(system("s"), hi, asked("f", "f"), toldOf("f", ""), toldOf("f", ""), asked("sub"), toldOf("", result3), user("go on")), says("Done, all of it.")),
		}
	}
	tr := Assemble(spans("done"), Options{})
	require.Equal(t, []string{"m0", "f", "f", "m0", "sub", "m0"}, kinds(tr))
	last := tr.Steps[5].Model
	var said []string
	for _, i := range last.Input {
		m := tr.Messages[i]
		said = append(said, m.Role+" "+m.Text+m.ToolCallID)
	}
	assert.Equal(t, []string{"system s", "user q", "assistant ", "tool onec1", "tool twoc2", "assistant ", "tool donec3", "user go on"}, said, "and the words that the model was shown")
	assert.Equal(t, `{"text":"done"}`, *tr.Steps[4].Tool.Result, "the run's own result stays")
	assert.True(t, tr.Trainable)

	failed := spans("")
	failed[5].Error, failed[5].Tool.Result = "it broke", nil
	tr = Assemble(failed, Options{})
	assert.Empty(t, tr.Steps[5].Model.Input, "what the model was told of a failure is not shown")
	assert.Equal(t, []Reason{ReasonNoInput}, tr.Steps[5].Reasons)

	other := spans("")
	other[4].Call.Prompt[2] = asked("g", "f")
	tr = Assemble(other, Options{})
	assert.Empty(t, tr.Steps[3].Model.Input, "the outline is of another prompt")
}

// theLoop is an agent span that shows the loop of calls that it is.
func theLoop(id, parent byte, from, to int64, prompt []*Message, reply *Message) *Span {
	s := agent(id, parent, from, to, "")
	s.Call = &Call{Prompt: prompt, Reply: []*Message{reply}}
	s.Call.RequestModel, s.Call.ResponseID, s.Call.InputTokens = "m", "r2", ptr(int64(30))
	return s
}

func TestLoops(t *testing.T) {
	history := prompt(user("old"), says("", call("c0", "f", "{}")), result("c0", "zero"), says("Old."), user("q"))
	outline := prompt(user("old"), asked("f"), toldOf("f", ""), says("Old."), user("q"))
	first := says("I look.", call("c1", "f", "{}"))
	all := says("I look.Done.", call("c1", "f", "{}"))
	spans := []*Span{
		agent(1, 0, 0, 100, "a"), theLoop(2, 1, 0, 99, history, all),
		outlined(3, 2, 1, 9, outline, first),
		toolSpan(4, 2, 10, 11, ToolRun{Name: "f", CallID: "c1", Arguments: "{}", Result: ptr("one")}),
		outlined(5, 2, 20, 29, append(outline[:5:5], asked("f"), toldOf("f", "")), says("Done.")),
	}
	spans[4].Call.Prompt[5].Text = "I look."
	tr := Assemble(spans, Options{})
	require.Equal(t, []string{"m0", "f", "m0"}, kinds(tr))
	assert.Len(t, tr.Steps[0].Model.Input, 5, "the loop's prompt is its first call's")
	assert.Len(t, tr.Steps[2].Model.Input, 7)
	assert.Equal(t, "q", tr.Input)
	for _, i := range []int{0, 2} {
		assert.Equal(t, "m", tr.Steps[i].Model.RequestModel)
		assert.Nil(t, tr.Steps[i].Model.InputTokens, "usage is that of all calls")
	}
	assert.Empty(t, tr.Steps[0].Model.ResponseID)
	assert.Equal(t, "r2", tr.Steps[2].Model.ResponseID, "the last call's response is the loop's")

	one := Assemble([]*Span{theLoop(2, 0, 0, 99, prompt(user("q")), says("Done.")), model(3, 2, 1, 9, nil, says("Done."))}, Options{})
	require.Equal(t, []string{"m0"}, kinds(one))
	assert.Equal(t, int64(30), *one.Steps[0].Model.InputTokens, "the only call used what the loop used")
	assert.Len(t, one.Steps[0].Model.Input, 1)

	alone := Assemble([]*Span{theLoop(2, 0, 0, 99, prompt(user("q")), all), toolSpan(4, 2, 10, 11, ToolRun{Name: "f", CallID: "c1", Arguments: "{}", Result: ptr("one")})}, Options{})
	require.Equal(t, []string{"m0", "f"}, kinds(alone), "the only witness of its calls")
	assert.Equal(t, []Reason{ReasonMerged}, alone.Steps[0].Reasons)
}

// A wrapper around several calls sums them up: its usage is none of theirs.
func TestWrapperOfSeveralCalls(t *testing.T) {
	outer := model(1, 0, 0, 99, prompt(user("q")), says("I look.Done."))
	outer.Call.InputTokens = ptr(int64(30))
	first := says("I look.", call("c1", "f", "{}"))
	tr := Assemble([]*Span{
		outer,
		model(2, 1, 1, 9, prompt(user("q")), first),
		model(3, 1, 20, 29, prompt(user("q"), first, result("c1", "one")), says("Done.")),
	}, Options{})
	require.Equal(t, []string{"m0", "f", "m0"}, kinds(tr))
	assert.Nil(t, tr.Steps[0].Model.InputTokens)
	assert.Nil(t, tr.Steps[2].Model.InputTokens)
}

// A wrapper may show more of a reply than the call inside.
func TestWrapperWithTheToolCalls(t *testing.T) {
	tr := Assemble([]*Span{
		model(1, 0, 0, 9, prompt(user("q")), says("I look.", call("c1", "f", "{}"))),
		model(2, 1, 1, 8, nil, says("I look.")),
	}, Options{})
	require.Equal(t, []string{"m0"}, kinds(tr))
	assert.Len(t, tr.Messages[tr.Steps[0].Model.Output[0]].ToolCalls, 1)
	assert.Len(t, tr.Steps[0].Model.Input, 1)
}

// The server holds the conversation: calls that begin with results continue the
// calls that asked, whoever runs beside them.
func TestConversationsThatTheServerHolds(t *testing.T) {
	ask, again := says("I look.", call("c1", "f", "{}"), call("c2", "f", "{}")), says("", call("c3", "f", "{}"))
	spans := []*Span{
		agent(1, 0, 0, 100, "a"),
		model(2, 1, 0, 9, prompt(system("s"), user("q")), ask),
		model(3, 1, 20, 29, prompt(system("s"), result("c1", "one"), result("c2", "two")), again),
		model(4, 1, 25, 28, prompt(system("other"), user("p")), says("Aside, something else.")),
		model(5, 1, 40, 49, prompt(result("c3", "three")), says("Done, all of it.")),
	}
	tr := Assemble(spans, Options{})
	require.Equal(t, []string{"m0", "f", "f", "m0", "f", "m1", "m0"}, kinds(tr))
	assert.Len(t, tr.Steps[3].Model.Input, 5)
	last := tr.Steps[6].Model
	require.Len(t, last.Input, 7)
	assert.Equal(t, "s", tr.Messages[last.Input[0]].Text, "instructions that are not sent again are held too")
	assert.Equal(t, "three", tr.Messages[last.Input[6]].Text)
	assert.Equal(t, "q", tr.Input)
	assert.True(t, tr.Trainable)

	lost := Assemble(spans[2:], Options{})
	assert.Nil(t, lost.Steps[0].Model.Input, "a result that nothing asked for: something came before, and nothing tells what")
	assert.Equal(t, []Reason{ReasonNoInput}, lost.Steps[0].Reasons)
}

func TestStreamedReplies(t *testing.T) {
	whole := says("I look.", call("c1", "f", `{"x":1}`), call("c2", "f", "{}"))
	pieces := []*Message{says("I lo"), says("ok."), says("", call("c1", "f", "")), says("", call("c2", "f", ""))}
	assert.Equal(t, []*Message{whole}, Settled(append(pieces, whole)))
	for name, list := range map[string][]*Message{
		"items":       {says("I look."), says("", call("c1", "f", "{}"))},
		"equal calls": {says("", call("", "f", "{}")), says("", call("", "f", "{}"))},
		"choices":     {says("Yes."), says("No.")},
		"one":         {says("Yes.")},
		"none":        nil,
	} {
		assert.Equal(t, list, Settled(list), name)
	}
	assert.Equal(t, []*Message{whole}, Together(append(pieces, whole)))
	assert.Equal(t, []*Message{says("I look.", call("c1", "f", `{"x":1}`))}, Together([]*Message{says("I lo"), says("ok."), says("", call("c1", "f", "")), says("", call("c1", "f", `{"x":1}`))}))
}

// Agents that stand side by side are tied by the run that handed over.
func TestHandovers(t *testing.T) {
	for name, ask := range map[string]ToolCall{
		"the name":      call("c1", "transfer_to_refund_specialist", "{}"),
		"the arguments": call("c1", "transfer_to_agent", `{"agent_name":"refund specialist"}`),
	} {
		hi := user("q")
		tr := Assemble([]*Span{
			agent(1, 0, 0, 100, "app"),
			agent(2, 1, 0, 20, "triage"), model(3, 2, 1, 9, prompt(hi), says("", ask)), toolSpan(4, 2, 10, 11, ToolRun{Name: ask.Name, CallID: "c1", Arguments: ask.Arguments, Result: ptr("ok")}),
			agent(5, 1, 21, 40, "refund_specialist"), model(6, 5, 22, 29, prompt(hi, user("For context: it was handed over.")), says("Refunded.")),
			agent(7, 1, 41, 60, "other"), model(8, 7, 42, 49, prompt(user("p")), says("Something else.")),
		}, Options{})
		require.Equal(t, []string{"m0", ask.Name, "m1", "m2"}, kinds(tr), name)
		require.NotNil(t, tr.Steps[2].Parent, name)
		assert.Equal(t, 1, *tr.Steps[2].Parent, name)
		assert.Nil(t, tr.Steps[3].Parent, name)
	}
}
