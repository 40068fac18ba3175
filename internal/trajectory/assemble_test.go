package trajectory

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The helpers build spans the way people speak of them.

const ms = int64(1_000_000)

func span(id, parent byte, role Role, from, to int64) *Span {
	s := &Span{TraceID: TraceID{9}, SpanID: SpanID{id}, Start: from * ms, End: to * ms, Role: role, GenAI: role != RoleOther, Seq: uint64(id)}
	if parent != 0 {
		s.ParentID = SpanID{parent}
	}
	return s
}

func model(id, parent byte, from, to int64, prompt []*Message, reply ...*Message) *Span {
	s := span(id, parent, RoleModelSpan, from, to)
	s.Call = &Call{Prompt: prompt, Reply: reply}
	return s
}

func toolSpan(id, parent byte, from, to int64, run ToolRun) *Span {
	s := span(id, parent, RoleToolSpan, from, to)
	s.Tool = &run
	return s
}

func agent(id, parent byte, from, to int64, name string) *Span {
	s := span(id, parent, RoleAgentSpan, from, to)
	s.Agent = name
	return s
}

func system(text string) *Message { return &Message{Role: RoleSystem, Text: text} }
func user(text string) *Message   { return &Message{Role: RoleUser, Text: text} }
func says(text string, calls ...ToolCall) *Message {
	return &Message{Role: RoleAssistant, Text: text, ToolCalls: calls}
}

func result(id, text string) *Message {
	return &Message{Role: RoleTool, ToolCallID: id, Text: text}
}
func call(id, name, args string) ToolCall { return ToolCall{ID: id, Name: name, Arguments: args} }
func ptr[T any](v T) *T                   { return &v }

func prompt(ms ...*Message) []*Message { return ms }

// kinds is the order of steps in short: m0 = model call of thread 0, f = tool
// run f.
func kinds(t *Trajectory) []string {
	var out []string
	for i := range t.Steps {
		if s := &t.Steps[i]; s.Model != nil {
			out = append(out, "m"+string(rune('0'+s.Thread)))
		} else {
			out = append(out, s.Tool.Name)
		}
	}
	return out
}

func replyOf(t *Trajectory, step int) Message {
	return t.Messages[t.Steps[step].Model.Output[0]]
}

func TestToolLoop(t *testing.T) {
	ask := says("", call("a", "f", `{"x":1}`))
	got := Assemble([]*Span{
		agent(1, 0, 0, 100, "helper"),
		model(2, 1, 1, 10, prompt(system("s"), user("q")), ask),
		toolSpan(3, 1, 11, 12, ToolRun{Name: "f", CallID: "a", Arguments: `{"x": 1}`, Result: ptr(`{"y":  2}`)}),
		model(4, 1, 13, 20, prompt(system("s"), user("q"), ask, result("a", `{"y":2}`)), says("done")),
	}, Options{})
	assert.Equal(t, []string{"m0", "f", "m0"}, kinds(got))
	assert.Equal(t, "q", got.Input)
	assert.Equal(t, "done", got.Output)
	assert.Equal(t, `{"y":2}`, *got.Steps[1].Tool.Result, "as the model saw it")
	assert.Equal(t, `{"x":1}`, got.Steps[1].Tool.Arguments, "as the model wrote it")
	assert.Equal(t, 0, *got.Steps[1].Parent)
	assert.Equal(t, "helper", got.Steps[2].AgentName)
	assert.Len(t, got.Messages, 5)
	assert.True(t, got.Trainable, got.Reasons)
	assert.Equal(t, StatusOK, got.Status)
}

// A streaming instrumentation merged two tool calls and lost the text; no tool
// has a span. The next prompt shows it all.
func TestRepairFromTheNextPrompt(t *testing.T) {
	whole := says("Looking.", call("a", "f", `{"x":1}`), call("b", "f", `{"x":2}`))
	got := Assemble([]*Span{
		model(1, 0, 1, 10, prompt(user("q")), says("", call("ab", "ff", `{"x":1}{"x":2}`))),
		model(2, 0, 20, 30, prompt(user("q"), whole, result("a", "one"), result("b", "two")), says("done")),
	}, Options{})
	require.Equal(t, []string{"m0", "f", "f", "m0"}, kinds(got))
	assert.Equal(t, "Looking.", replyOf(got, 0).Text)
	assert.Equal(t, whole.ToolCalls, replyOf(got, 0).ToolCalls)
	assert.Equal(t, "two", *got.Steps[2].Tool.Result)
	assert.Empty(t, got.Steps[1].SpanID)
	assert.True(t, got.Trainable)
}

// That a user said something is shown, and not what it was: nothing that was
// said to it can be learned from.
func TestSilentUserIsMissing(t *testing.T) {
	asks := says("", call("a", "f", `{}`))
	got := Assemble([]*Span{
		model(1, 0, 1, 10, prompt(user("")), asks),
		model(2, 0, 20, 30, prompt(user(""), asks, result("a", "one")), says("done")),
	}, Options{})
	assert.Equal(t, []Reason{ReasonNoInput}, got.Steps[0].Reasons)
	assert.Equal(t, []Reason{ReasonNoInput}, got.Steps[2].Reasons)
	assert.False(t, got.Trainable)
}

// What a tool's span redacts and the next prompt shows is known.
func TestRedactedResultFromTheNextPrompt(t *testing.T) {
	for _, shown := range []bool{true, false} {
		run := toolSpan(2, 0, 11, 12, ToolRun{Name: "f", CallID: "a", Arguments: `{"x":1}`})
		run.Missing = []Reason{ReasonRedacted}
		asks, next := says("", call("a", "f", `{"x":1}`)), prompt(user("q"))
		if shown {
			next = append(next, asks, result("a", "one"))
		}
		got := Assemble([]*Span{model(1, 0, 1, 10, prompt(user("q")), asks), run, model(3, 0, 20, 30, next, says("done"))}, Options{})
		require.NotNil(t, got.Steps[1].Tool)
		if shown {
			assert.Equal(t, "one", *got.Steps[1].Tool.Result)
			assert.Empty(t, got.Steps[1].Reasons)
		} else {
			assert.Equal(t, []Reason{ReasonRedacted, ReasonNoResult}, got.Steps[1].Reasons)
		}
	}
}

func TestMergedWithoutNextPromptIsNotTrainable(t *testing.T) {
	got := Assemble([]*Span{model(1, 0, 1, 10, prompt(user("q")), says("", call("ab", "ff", `{"x":1}{"x":2}`)))}, Options{})
	assert.Equal(t, []Reason{ReasonMerged}, got.Reasons)
	assert.False(t, got.Trainable)
	assert.Empty(t, got.Output)
}

// The model's own broken arguments stay, whatever the agent made of them.
func TestBrokenArgumentsAreTheModels(t *testing.T) {
	got := Assemble([]*Span{
		model(1, 0, 1, 10, prompt(user("q")), says("", call("a", "f", `{"x":1`))),
		model(2, 0, 20, 30, prompt(user("q"), says("", call("a", "f", `{}`)), result("a", "invalid input")), says("done")),
	}, Options{})
	assert.Equal(t, `{"x":1`, replyOf(got, 0).ToolCalls[0].Arguments)
}

func TestFailedCallsAndRetriesAreNotRepaired(t *testing.T) {
	failed := model(1, 0, 1, 2, prompt(user("q")))
	failed.Error = "429"
	thrown := model(2, 0, 3, 4, prompt(user("q")), says("thrown away"))
	got := Assemble([]*Span{
		failed, thrown,
		model(3, 0, 5, 6, prompt(user("q")), says("", call("a", "f", `{}`))),
		model(4, 0, 7, 8, prompt(user("q"), says("", call("a", "f", `{}`)), result("a", "r")), says("done")),
	}, Options{})
	require.Equal(t, []string{"m0", "m0", "m0", "f", "m0"}, kinds(got))
	assert.Empty(t, got.Steps[0].Model.Output)
	assert.Equal(t, []Reason{ReasonFailed}, got.Steps[0].Reasons)
	assert.Equal(t, "thrown away", replyOf(got, 1).Text)
	assert.Equal(t, 2, *got.Steps[3].Parent)
	assert.True(t, got.Trainable, "a failed call does not spoil the rest: %v", got.Reasons)
	assert.Equal(t, StatusOK, got.Status)
}

func TestWrappersAreOneStep(t *testing.T) {
	outer := model(2, 1, 1, 20, prompt(user("q")), says("hello"))
	outer.Call.OutputTokens = ptr(int64(9))
	inner := model(3, 2, 2, 19, prompt(user("q")), says("hello"))
	inner.Call.ResponseID = "r1"
	got := Assemble([]*Span{agent(1, 0, 0, 30, "a"), outer, inner}, Options{})
	require.Equal(t, []string{"m0"}, kinds(got))
	assert.Equal(t, "r1", got.Steps[0].Model.ResponseID)
	assert.EqualValues(t, 9, *got.Steps[0].Model.OutputTokens, "the wrapper fills what the call lacks")
	require.NotNil(t, got.OutputTokens)
	assert.EqualValues(t, 9, *got.OutputTokens, "and is not counted twice")
	assert.Equal(t, SpanID{3}.String(), got.Steps[0].SpanID)
}

// An inner call without content takes the wrapper's.
func TestWrapperWithTheContent(t *testing.T) {
	inner := model(3, 2, 2, 19, nil)
	inner.Call.OutputTokens = ptr(int64(3))
	got := Assemble([]*Span{agent(1, 0, 0, 30, "a"), model(2, 1, 1, 20, prompt(user("q")), says("hello")), inner}, Options{})
	require.Equal(t, []string{"m0"}, kinds(got))
	assert.Equal(t, "hello", replyOf(got, 0).Text)
}

// Some frameworks hang tools and sub-agents below the model span: those model
// calls are not inside the outer one.
func TestCallsBelowAToolAreNotWrapped(t *testing.T) {
	got := Assemble([]*Span{
		agent(1, 0, 0, 100, "boss"),
		model(2, 1, 1, 90, prompt(user("q")), says("", call("a", "ask", `{}`))),
		toolSpan(3, 2, 10, 80, ToolRun{Name: "ask", CallID: "a", Arguments: "{}", Result: ptr("42")}),
		agent(4, 3, 11, 79, "helper"),
		model(5, 4, 12, 78, prompt(user("sub")), says("42")),
	}, Options{})
	require.Equal(t, []string{"m0", "ask", "m1"}, kinds(got))
	assert.Equal(t, "helper", got.Steps[2].AgentName)
	assert.Equal(t, 1, *got.Steps[2].Parent, "the sub-agent's thread hangs on the tool run")
}

func TestTwoInstrumentationsOfOneCall(t *testing.T) {
	a, b := model(1, 0, 1, 10, prompt(user("q")), says("x")), model(2, 0, 1, 10, nil, says("x"))
	a.Call.ResponseID, b.Call.ResponseID = "r", "r"
	got := Assemble([]*Span{a, b}, Options{})
	assert.Equal(t, []string{"m0"}, kinds(got))
}

func TestMillisecondClocks(t *testing.T) {
	ask := says("", call("a", "f", `{}`))
	// The tool and the call that shows its result start in the same tick; the
	// ids would sort the wrong way.
	got := Assemble([]*Span{
		model(1, 0, 1, 5, prompt(user("q")), ask),
		model(2, 0, 5, 9, prompt(user("q"), ask, result("a", "r")), says("done")),
		toolSpan(3, 0, 5, 5, ToolRun{Name: "f", Arguments: "{}"}),
	}, Options{})
	assert.Equal(t, []string{"m0", "f", "m0"}, kinds(got))
}

// The clock of another process is behind: containment decides.
func TestSkewedClocks(t *testing.T) {
	ask := says("", call("a", "f", `{}`))
	got := Assemble([]*Span{
		model(1, 0, 50, 60, prompt(user("q")), ask),
		model(2, 0, 10, 20, prompt(user("q"), ask, result("a", "r")), says("done")),
	}, Options{})
	require.Equal(t, []string{"m0", "f", "m0"}, kinds(got))
	assert.Equal(t, "done", got.Output)
}

func TestOutputJoinedByTheFramework(t *testing.T) {
	root := agent(1, 0, 0, 100, "a")
	root.Out = "Looking.Done."
	ask := says("Looking.", call("a", "f", `{}`))
	got := Assemble([]*Span{
		root, model(2, 1, 1, 2, prompt(user("q")), ask),
		model(3, 1, 5, 6, prompt(user("q"), ask, result("a", "r")), says("Done.")),
	}, Options{})
	assert.Equal(t, "Looking.Done.", got.Output)
	root.Out = "RunResult(output='Done.')"
	got = Assemble([]*Span{root, model(2, 1, 1, 2, prompt(user("q")), says("Done."))}, Options{})
	assert.Equal(t, "Done.", got.Output)
	root.Out = "Looking.Done." // what was said on the way is in no reply that is shown
	got = Assemble([]*Span{root, model(2, 1, 1, 2, prompt(user("q")), says("Done."))}, Options{})
	assert.Equal(t, "Looking.Done.", got.Output)
}

// A call in the background: its response is fetched, until it is there.
func TestFetchedResponses(t *testing.T) {
	made, early, late := model(1, 0, 1, 2, prompt(user("q"))), model(2, 0, 5, 6, nil), model(3, 0, 9, 10, nil, says("done"))
	for _, s := range []*Span{made, early, late} {
		s.Call.ResponseID, s.Call.Fetched = "r1", s != made
	}
	got := Assemble([]*Span{made, early, late}, Options{})
	require.Equal(t, []string{"m0"}, kinds(got))
	assert.Equal(t, "done", got.Output)
	assert.True(t, got.Trainable, got.Reasons)
	got = Assemble([]*Span{late}, Options{})
	assert.Equal(t, []string{"m0"}, kinds(got), "the only witness")
}

// Work that a tool began goes on in a trace of its own; what takes up a message
// is nobody's below.
func TestLinkedTraces(t *testing.T) {
	delegate := says("", call("a", "delegate", `{"task":"t"}`))
	linked := func(root *Span, message bool) *Span {
		root.TraceID, root.Link = TraceID{8}, &Link{TraceID: TraceID{9}, SpanID: SpanID{3}, Message: message}
		return root
	}
	spans := func(message bool) []*Span {
		inner := model(5, 4, 6, 7, prompt(system("sub"), user("t")), says("found"))
		inner.TraceID = TraceID{8}
		return []*Span{
			agent(1, 0, 0, 5, "boss"),
			model(2, 1, 1, 2, prompt(user("q")), delegate),
			toolSpan(3, 1, 3, 4, ToolRun{Name: "delegate", CallID: "a", Arguments: `{"task":"t"}`, Result: ptr("started")}),
			linked(span(4, 0, RoleOther, 5, 9), message), inner,
		}
	}
	got := Assemble(spans(false), Options{})
	require.Equal(t, []string{"m0", "delegate", "m1"}, kinds(got))
	require.NotNil(t, got.Steps[2].Parent)
	assert.Equal(t, 1, *got.Steps[2].Parent)
	assert.Equal(t, "boss", got.Steps[2].AgentName)
	assert.Len(t, got.TraceIDs, 2)
	got = Assemble(spans(true), Options{})
	require.Equal(t, []string{"m0", "delegate", "m1"}, kinds(got))
	assert.Nil(t, got.Steps[2].Parent)
	assert.Empty(t, got.Steps[2].AgentName)
}

func TestMissingIsSaid(t *testing.T) {
	bare := span(2, 1, RoleModelSpan, 1, 2)
	bare.Call = &Call{ModelCall: ModelCall{ResponseID: "r"}}
	cut := model(3, 1, 3, 4, nil, says("x"))
	cut.Missing = []Reason{ReasonTruncated}
	got := Assemble([]*Span{agent(1, 0, 0, 9, "a"), bare, cut, toolSpan(4, 1, 5, 6, ToolRun{Name: "f"})}, Options{})
	assert.False(t, got.Trainable)
	assert.ElementsMatch(t, []Reason{ReasonNoInput, ReasonNoOutput, ReasonTruncated}, got.Reasons)
	assert.Nil(t, got.InputTokens, "unknown is not zero")
	assert.ElementsMatch(t, []Reason{ReasonNoResult, ReasonNoArguments}, got.Steps[2].Reasons)
	assert.Nil(t, got.Steps[2].Tool.Result)
}

func TestLostParents(t *testing.T) {
	got := Assemble([]*Span{
		agent(1, 0, 0, 9, "a"), model(2, 1, 1, 2, prompt(user("q")), says("x")),
		model(3, 77, 3, 4, prompt(user("z")), says("y")),
	}, Options{})
	assert.Contains(t, got.Reasons, ReasonOrphans)
	// One unknown parent above everything is a caller elsewhere, not a loss.
	got = Assemble([]*Span{agent(1, 88, 0, 9, "a"), model(2, 1, 1, 2, prompt(user("q")), says("x"))}, Options{})
	assert.Empty(t, got.Reasons)
}

func TestParentCyclesEnd(t *testing.T) {
	a, b := agent(1, 2, 0, 9, "a"), agent(2, 1, 0, 9, "b")
	got := Assemble([]*Span{a, b, model(3, 2, 1, 2, prompt(user("q")), says("x"))}, Options{})
	assert.Equal(t, []string{"m0"}, kinds(got))
}

func TestCutConversation(t *testing.T) {
	ask := says("", call("a", "f", `{}`))
	first := model(1, 0, 1, 2, prompt(user("one")), ask)
	second := model(2, 0, 3, 4, prompt(user("one"), ask, result("a", "r")), says("answer one"))
	history := prompt(user("one"), ask, result("a", "r"), says("answer one"))
	third := model(3, 0, 50, 51, append(history, user("two")), says("answer two"))
	tool := toolSpan(4, 0, 2, 3, ToolRun{Name: "f", CallID: "a"})
	parts := Cut([]*Span{third, tool, second, first})
	require.Len(t, parts, 2)
	assert.ElementsMatch(t, []*Span{first, second, tool}, parts[0])
	assert.ElementsMatch(t, []*Span{third}, parts[1])
	next := Assemble(parts[1], Options{})
	assert.Equal(t, "two", next.Input, "the new message, not the first")
}

func TestCutKeepsRetriesTogether(t *testing.T) {
	failed := model(1, 0, 1, 2, prompt(user("one")))
	failed.Error = "500"
	parts := Cut([]*Span{failed, model(2, 0, 3, 4, prompt(user("one")), says("x"))})
	assert.Len(t, parts, 1)
}

func TestFollows(t *testing.T) {
	earlier := &Call{Prompt: prompt(system("s"), user("q")), Reply: prompt(says("", call("a", "f", `{}`)))}
	other := &Call{Prompt: prompt(user("q")), Reply: prompt(says("", call("b", "f", `{}`)))}
	later := &Call{Prompt: prompt(system("another"), user("q"), says("", call("a", "f", `{ }`)), result("a", "r"))}
	assert.Equal(t, FitSure, Follows(earlier, later), "a handover changes the instructions only")
	assert.Equal(t, FitNo, Follows(other, later), "ids decide")
	assert.Equal(t, FitNo, Follows(later, earlier))
	assert.Equal(t, FitMaybe, Follows(&Call{Prompt: prompt(user("q"))}, later), "the reply is not shown")
	assert.Equal(t, earlier.Prefixes()[0], later.Prefixes()[0])
}

func TestMaskInput(t *testing.T) {
	for in, want := range map[string]string{
		"Refund order A-1042 [ref:9f] now": "refund order # now",
		"On 2026-11-23, pay $18.60.":       "on #, pay #.",
		"  Two\n words ":                   "two words",
		"keep [this":                       "keep [this",
	} {
		assert.Equal(t, want, MaskInput(in))
	}
	assert.Equal(t, TaskKeyOf("order 1 [ref:a]"), TaskKeyOf("order 22 [ref:b]"))
	assert.Empty(t, TaskKeyOf(" \n"))
}

func TestSameName(t *testing.T) {
	for _, pair := range [][2]string{{"get_weather", "mcp__shop__get_weather"}, {"shop.get_weather", "get_weather"}, {"get_weather.__call__", "get_weather"}, {"handoff to x", "transfer_to_x"}} {
		assert.True(t, sameName(pair[0], pair[1]), pair)
	}
	for _, pair := range [][2]string{{"get_weather", "set_weather"}, {"a", "ba"}, {"transfer_to_x", "transfer_to_y"}, {"", "f"}} {
		assert.False(t, sameName(pair[0], pair[1]), pair)
	}
}

// Calls that only the gateway saw are its own; what it added is marked.
func TestGatewaySpans(t *testing.T) {
	served := model(2, 1, 1, 9, prompt(user("q")), says("a"))
	served.Gateway, served.Injected, served.Call.Bundle = true, `[{"bundle":"b1"}]`, "b1"
	got := Assemble([]*Span{served}, Options{})
	assert.Equal(t, SourceGateway, got.Source)
	assert.Equal(t, "b1", got.Bundle)
	assert.JSONEq(t, `{"tracegrad.injected":[{"bundle":"b1"}]}`, got.Steps[0].Attributes)

	own := model(1, 0, 0, 10, prompt(user("q")), says("a"))
	own.Agent = "helper"
	got = Assemble([]*Span{own, served}, Options{})
	require.Equal(t, []string{"m0"}, kinds(got), "one step, two witnesses")
	assert.Equal(t, SourceSpans, got.Source)
	assert.Equal(t, "helper", got.Steps[0].AgentName)
	assert.Equal(t, "b1", got.Steps[0].Model.Bundle)
}

// A stream that broke in the middle: what came is kept, and is no answer.
func TestCutAnswer(t *testing.T) {
	cut := model(2, 1, 1, 9, prompt(user("q")), says("half"))
	cut.Error = "stream ended"
	got := Assemble([]*Span{agent(1, 0, 0, 10, "a"), cut}, Options{})
	assert.Equal(t, "half", replyOf(got, 0).Text)
	assert.Equal(t, []Reason{ReasonFailed}, got.Steps[0].Reasons)
	assert.Empty(t, got.Output)
	assert.Contains(t, got.Reasons, ReasonTruncated)
	assert.False(t, got.Trainable)

	again := model(3, 1, 10, 12, prompt(user("q")), says("whole"))
	got = Assemble([]*Span{agent(1, 0, 0, 13, "a"), cut, again}, Options{})
	assert.Equal(t, "whole", got.Output)
	assert.True(t, got.Trainable, "a retry that went well: %v", got.Reasons)
}

func TestLostContentIsSaid(t *testing.T) {
	dropped := model(3, 1, 3, 4, nil)
	dropped.Missing = []Reason{ReasonDropped}
	got := Assemble([]*Span{agent(1, 0, 0, 9, "a"), model(2, 1, 1, 2, prompt(user("q")), says("x")), dropped}, Options{})
	assert.Equal(t, 2, got.ModelCalls)
	assert.Contains(t, got.Reasons, ReasonDropped)
	assert.False(t, got.Trainable)
}

// A straggler of a run whose rest is gone is not a whole run.
func TestStraggler(t *testing.T) {
	left := model(3, 99, 3, 4, prompt(user("q")), says("x"))
	assert.Contains(t, Assemble([]*Span{left}, Options{}).Reasons, ReasonOrphans)
	left.Remote = true
	assert.NotContains(t, Assemble([]*Span{left}, Options{}).Reasons, ReasonOrphans)
}

// Content is captured on the wrapper, retries and the call inside it are bare.
func TestWrapperOverRetries(t *testing.T) {
	failed, fine := model(3, 2, 2, 3, nil), model(4, 2, 5, 9, nil)
	failed.Error, fine.Call.OutputTokens = "429", ptr(int64(3))
	got := Assemble([]*Span{agent(1, 0, 0, 20, "a"), model(2, 1, 1, 10, prompt(user("q")), says("hi")), failed, fine}, Options{})
	require.Equal(t, 2, got.ModelCalls)
	assert.Contains(t, got.Steps[0].Reasons, ReasonFailed)
	assert.Equal(t, "hi", replyOf(got, 1).Text)
	assert.EqualValues(t, 3, *got.OutputTokens)
}

func TestTwoCallsWithOnePrompt(t *testing.T) {
	got := Assemble([]*Span{
		model(1, 0, 1, 2, prompt(user("q"))),
		model(2, 0, 15, 20, prompt(user("q")), says("x")),
	}, Options{})
	assert.Equal(t, 2, got.ModelCalls, "they do not overlap")
}

// What follows the echo of a reply was said by a call that nobody traced.
func TestRepairTakesTheReplyOnly(t *testing.T) {
	got := Assemble([]*Span{
		model(1, 0, 1, 2, prompt(user("q")), says(" Sure. ")),
		model(2, 0, 5, 6, prompt(user("q"), says("Sure."), says("", call("h1", "f", "{}")), result("h1", "r")), says("done")),
	}, Options{})
	assert.Empty(t, replyOf(got, 0).ToolCalls)
	assert.Equal(t, " Sure. ", replyOf(got, 0).Text, "as it was written")
}

func TestHiddenRepliesOfParallelCallsAreNotGuessed(t *testing.T) {
	got := Assemble([]*Span{
		model(1, 0, 1, 9, prompt(user("q"))), model(2, 0, 2, 8, prompt(user("q"))),
		model(3, 0, 20, 22, prompt(user("q"), says("one of them"), user("go on")), says("done")),
	}, Options{})
	for i := range 2 {
		assert.Empty(t, got.Steps[i].Model.Output)
	}
}

// The server holds the conversation: the next prompt is the result alone.
func TestResultsWithoutHistory(t *testing.T) {
	got := Assemble([]*Span{
		model(1, 0, 1, 2, prompt(user("q")), says("", call("a", "f", `{"x":1}`))),
		model(2, 0, 5, 6, prompt(result("a", "")), says("done")),
	}, Options{})
	require.Equal(t, []string{"m0", "f", "m0"}, kinds(got))
	require.NotNil(t, got.Steps[1].Tool.Result, "an empty text is an empty result")
	assert.Empty(t, *got.Steps[1].Tool.Result)
}

func TestJudgesDoNotAnswer(t *testing.T) {
	judge := span(3, 1, RoleOther, 10, 20)
	judge.Judge = true
	got := Assemble([]*Span{
		agent(1, 0, 0, 30, "a"), model(2, 1, 1, 2, prompt(user("q")), says("answer")),
		judge, model(4, 3, 11, 12, prompt(user("judge this")), says("Score: 0.2")),
	}, Options{})
	assert.Equal(t, "answer", got.Output)
}

func TestCutKeepsSubAgents(t *testing.T) {
	plan := says("", call("a", "hotels", `{"q":"find a hotel"}`), call("b", "flights", `{"q":"find a flight"}`))
	parts := Cut([]*Span{
		model(1, 0, 1, 2, prompt(system("planner"), user("plan a trip")), plan),
		model(2, 0, 3, 4, prompt(system("hotels"), user("find a hotel")), says("Hotel X")),
		model(3, 0, 5, 6, prompt(system("flights"), user("find a flight")), says("Flight Y")),
		model(4, 0, 7, 8, prompt(system("planner"), user("plan a trip"), plan, result("a", "Hotel X"), result("b", "Flight Y")), says("Done.")),
	})
	assert.Len(t, parts, 1)
}

func TestCutSeparatesOverlappingTasks(t *testing.T) {
	one, two := says("", call("a", "f", `{"n":1}`)), says("", call("b", "f", `{"n":2}`))
	parts := Cut([]*Span{
		model(1, 0, 1, 2, prompt(system("s"), user("first task")), one),
		model(2, 0, 3, 4, prompt(system("s"), user("second task")), two),
		model(3, 0, 5, 6, prompt(system("s"), user("first task"), one, result("a", "1")), says("one")),
		model(4, 0, 7, 8, prompt(system("s"), user("second task"), two, result("b", "2")), says("two")),
	})
	require.Len(t, parts, 2)
	assert.Equal(t, SpanID{3}, parts[0][1].SpanID)
	assert.Equal(t, SpanID{4}, parts[1][1].SpanID)
}

func TestCutAfterAFailedCall(t *testing.T) {
	failed := model(1, 0, 1, 2, prompt(user("delete my account")))
	failed.Error = "429"
	parts := Cut([]*Span{failed, model(2, 0, 5, 6, prompt(user("what is 2+2?")), says("Four."))})
	assert.Len(t, parts, 2)
}

// Local servers count their tool calls from zero in every reply.
func TestCutWithRepeatedCallIDs(t *testing.T) {
	ask := says("", call("call_0", "f", `{}`))
	oslo := model(1, 0, 1, 2, prompt(user("oslo")), ask)
	done := model(2, 0, 4, 5, prompt(user("oslo"), ask, result("call_0", "cold")), says("cold"))
	rome := model(3, 0, 10, 11, prompt(user("oslo"), ask, result("call_0", "cold"), says("cold"), user("rome")), ask)
	first, second := toolSpan(4, 0, 3, 4, ToolRun{Name: "f", CallID: "call_0"}), toolSpan(5, 0, 12, 13, ToolRun{Name: "f", CallID: "call_0"})
	parts := Cut([]*Span{second, first, rome, done, oslo})
	require.Len(t, parts, 2)
	assert.Contains(t, parts[0], first)
	assert.Contains(t, parts[1], second)
}

// A prompt can be one long run of assistant turns. The work must not grow with
// its square: no reply is looked for in more than maxEcho of them.
func TestLongRunsOfAssistantTurns(t *testing.T) {
	run := prompt(user("q"))
	for range 20_000 {
		run = append(run, says("a turn of a transcript"))
	}
	assert.LessOrEqual(t, len(echoOf(prompt(says("x")), run[1:])), maxEcho)
	got := Assemble([]*Span{
		model(1, 0, 1, 2, prompt(user("q")), says("a turn of a transcript")),
		model(2, 0, 3, 4, run, says("y")),
	}, Options{})
	assert.Equal(t, "a turn of a transcript", replyOf(got, 0).Text)
}

func TestKeysTellImagesApart(t *testing.T) {
	a, b := &Message{Role: RoleUser, Text: "what is this?", Parts: `[{"sha256":"1"}]`}, &Message{Role: RoleUser, Text: "what is this?", Parts: `[{"sha256":"2"}]`}
	assert.NotEqual(t, a.Key(), b.Key())
}

// Functions are traced as they were called: what they were given may have no
// names.
func TestUnnamedArguments(t *testing.T) {
	for _, c := range []struct {
		given, asked string
		fits         bool
	}{
		{`"Oslo"`, `{"city":"Oslo"}`, true},
		{`{"args":["Oslo"],"kwargs":{}}`, `{"city":"Oslo"}`, true},
		{`{"args":["A-1",2],"kwargs":{"note":"x"}}`, `{"amount":2,"id":"A-1","note":"x"}`, true},
		{`{"args":[1,1],"kwargs":{}}`, `{"a":1,"b":1}`, true},
		{`{"args":[1,1],"kwargs":{}}`, `{"a":1,"b":2}`, false},
		{`{"args":["Oslo"],"kwargs":{}}`, `{"city":"Bergen"}`, false},
		{`{"args":["Oslo"],"kwargs":{}}`, `{"city":"Oslo","days":2}`, false},
		{`{"args":["Oslo"]}`, `{"city":"Oslo"}`, false}, // an argument of that name
		{`"Oslo"`, `{"city":"Oslo","days":2}`, false},
		{`{"args":[],"kwargs":{}}`, `{}`, false},
	} {
		assert.Equal(t, c.fits, fitsJSON(c.given, c.asked), "%s for %s", c.given, c.asked)
	}
}

// What a framework made of the arguments is another text; the run is the same.
func TestAlteredArguments(t *testing.T) {
	asks := says("", call("a", "f", `{"city":"oslo"}`), call("b", "f", `{"city":"bergen"}`))
	run := func(id byte, from int64, args, result string) *Span {
		return toolSpan(id, 1, from, from+5, ToolRun{Name: "f", Arguments: args, Result: &result})
	}
	spans := []*Span{
		agent(1, 0, 0, 100, "x"),
		model(2, 1, 0, 10, prompt(user("hi")), asks),
		run(3, 20, `{"city":"Oslo, NO"}`, "-4"),
		run(4, 21, `{"city":"Bergen, NO"}`, "3"),
		model(5, 1, 40, 50, prompt(user("hi"), asks, result("a", "-4"), result("b", "3")), says("cold")),
	}
	got := Assemble(spans, Options{})
	assert.Equal(t, []string{"m0", "f", "f", "m0"}, kinds(got))
	assert.Equal(t, "a", got.Steps[1].Tool.CallID)
	assert.Equal(t, `{"city":"Oslo, NO"}`, got.Steps[1].Tool.Arguments, "what ran")

	// One run for two calls: it is the one that returned what is shown.
	got = Assemble([]*Span{spans[0], spans[1], spans[3], spans[4]}, Options{})
	assert.Equal(t, []string{"m0", "f", "f", "m0"}, kinds(got))
	assert.Equal(t, "a", got.Steps[1].Tool.CallID)
	assert.Empty(t, got.Steps[1].SpanID)
	assert.Equal(t, "b", got.Steps[2].Tool.CallID)
	assert.Equal(t, `{"city":"Bergen, NO"}`, got.Steps[2].Tool.Arguments)

	// One of the two is as the model asked.
	same := run(3, 20, `{"city":"oslo"}`, "-4")
	got = Assemble([]*Span{spans[0], spans[1], same, spans[3], spans[4]}, Options{})
	assert.Equal(t, []string{"m0", "f", "f", "m0"}, kinds(got))
}

// A wrapper's reply that asks for something else is another call's.
func TestOverwrittenRoot(t *testing.T) {
	first, second := says("", call("a", "f", `{"x":1}`)), says("", call("b", "f", `{"x":1}`))
	root := model(1, 0, 0, 60, prompt(user("hi"), first, result("a", "1")), second)
	root.Missing, root.Out = []Reason{ReasonOverwritten}, "done"
	got := Assemble([]*Span{
		root,
		model(2, 1, 0, 10, prompt(user("hi")), first),
		toolSpan(3, 1, 11, 12, ToolRun{Name: "f", Arguments: `{"x":1}`, Result: ptr("1")}),
		toolSpan(4, 1, 61, 62, ToolRun{Name: "f", Arguments: `{"x":1}`, Result: ptr("1")}),
	}, Options{})
	assert.Equal(t, []string{"m0", "f", "m0", "f"}, kinds(got))
	assert.Equal(t, "done", got.Output)
	assert.False(t, got.Trainable)
	assert.Contains(t, got.Reasons, ReasonOverwritten)
}
