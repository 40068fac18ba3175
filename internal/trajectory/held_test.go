package trajectory

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// held is a call of which the telemetry shows only what is new.
func held(s *Span, id, previous string) *Span {
	s.Call.ResponseID, s.Previous = id, previous
	return s
}

// sent is the texts of a step's prompt, "" for messages that ask for tools.
func sent(t *Trajectory, step int) (out []string) {
	for _, i := range t.Steps[step].Model.Input {
		out = append(out, t.Messages[i].Text)
	}
	return out
}

func TestServerHoldsTheConversation(t *testing.T) {
	ask := says("", call("a", "f", `{}`))
	spans := []*Span{
		held(model(1, 0, 1, 2, prompt(system("s"), user("q")), ask), "r1", ""),
		held(model(2, 0, 3, 4, prompt(system("s"), result("a", "r")), says("done")), "r2", "r1"),
		held(model(3, 0, 5, 6, prompt(system("s2"), user("more")), says("yes")), "r3", "r2"),
	}
	got := Assemble(spans, Options{})
	require.Equal(t, []string{"m0", "f", "m0", "m0"}, kinds(got))
	assert.Equal(t, []string{"s", "q", "", "r"}, sent(got, 2))
	assert.Equal(t, []string{"s2", "q", "", "r", "done", "more"}, sent(got, 3), "instructions are sent anew")
	assert.Equal(t, "r", *got.Steps[1].Tool.Result)
	assert.True(t, got.Trainable, got.Reasons)
	assert.Len(t, spans[1].Call.Prompt, 2, "spans are not changed")
}

// The instructions that OpenAI is sent apart count for one request; those among
// the messages stay.
func TestInstructionsThatAreNotSentAgain(t *testing.T) {
	for _, apart := range []bool{true, false} {
		first := held(model(1, 0, 1, 2, prompt(system("s"), user("q")), says("hello")), "r1", "")
		first.Call.Apart = apart
		got := Assemble([]*Span{first, held(model(2, 0, 3, 4, prompt(user("more")), says("yes")), "r2", "r1")}, Options{})
		want := []string{"s", "q", "hello", "more"}
		if apart {
			want = want[1:]
		}
		assert.Equal(t, want, sent(got, 1), "apart: %v", apart)
	}
}

// The same result of another call is no retry.
func TestToolsThatReturnTheSame(t *testing.T) {
	spans := []*Span{model(1, 0, 1, 2, prompt(user("q")), says("", call("c0", "f", `{}`)))}
	for i := byte(1); i < 4; i++ {
		asks := says("", call(string(rune('c'))+string(rune('0'+i)), "f", `{}`))
		spans = append(spans, model(i+1, 0, int64(i)*10, int64(i)*10+1, prompt(result("c"+string(rune('0'+i-1)), "r")), asks))
	}
	got := Assemble(spans, Options{})
	require.Equal(t, []string{"m0", "f", "m0", "f", "m0", "f", "m0"}, kinds(got))
	assert.Len(t, got.Steps[6].Model.Input, 7)
	assert.True(t, got.Trainable, got.Reasons)
}

// Nothing shows what the server held: the prompt is missing, and the calls after
// it are no better off. What the tools returned is known all the same.
func TestWhatTheServerHeldIsNotShown(t *testing.T) {
	for name, first := range map[string]*Span{
		"by the response":  held(model(1, 0, 1, 2, prompt(user("more")), says("", call("a", "f", `{}`))), "r2", "r1"),
		"by the tool call": held(model(1, 0, 1, 2, prompt(result("z", "?")), says("", call("a", "f", `{}`))), "r2", ""),
	} {
		t.Run(name, func(t *testing.T) {
			got := Assemble([]*Span{first, held(model(2, 0, 3, 4, prompt(result("a", "r")), says("done")), "r3", "r2")}, Options{})
			require.Equal(t, []string{"m0", "f", "m0"}, kinds(got))
			assert.Equal(t, "r", *got.Steps[1].Tool.Result)
			for _, i := range []int{0, 2} {
				assert.Nil(t, got.Steps[i].Model.Input)
				assert.Equal(t, []Reason{ReasonNoInput}, got.Steps[i].Reasons)
			}
			assert.False(t, got.Trainable)
		})
	}
}

// An agent goes on from the last response of an earlier run: its first call was
// sent more than is shown. An agent that names the response it ended with is
// not meant.
func TestAgentGoesOn(t *testing.T) {
	for previous, known := range map[string]bool{"r0": false, "r2": true} {
		root := agent(1, 0, 0, 9, "a")
		root.Previous = previous
		got := Assemble([]*Span{
			root,
			held(model(2, 1, 1, 2, prompt(user("more")), says("", call("a", "f", `{}`))), "r1", ""),
			held(model(3, 1, 3, 4, prompt(result("a", "r")), says("done")), "r2", "r1"),
		}, Options{})
		assert.Equal(t, known, got.Trainable, previous)
		assert.Equal(t, "more", got.Input)
	}
}

// The next turn of a conversation is another trajectory; what its first call
// was sent is known from the one before.
func TestCutKeepsWhatTheServerHeld(t *testing.T) {
	parts := Cut([]*Span{
		held(model(1, 0, 1, 2, prompt(system("s"), user("q")), says("hello")), "r1", ""),
		held(model(2, 0, 3, 4, prompt(user("more")), says("", call("a", "f", `{}`))), "r2", "r1"),
		held(model(3, 0, 5, 6, prompt(result("a", "r")), says("done")), "r3", "r2"),
	})
	require.Len(t, parts, 2)
	got := Assemble(parts[1], Options{})
	require.Equal(t, []string{"m0", "f", "m0"}, kinds(got))
	assert.Equal(t, []string{"s", "q", "hello", "more"}, sent(got, 0))
	assert.Equal(t, []string{"s", "q", "hello", "more", "", "r"}, sent(got, 2))
	assert.Equal(t, "more", got.Input)
	assert.True(t, got.Trainable, got.Reasons)
}

// Prompts that are put together cannot grow without end: each holds all before
// it, while the telemetry shows one message a call.
func TestLongHeldConversations(t *testing.T) {
	spans := []*Span{held(model(1, 0, 1, 2, prompt(user("q")), says("a0")), "r0", "")}
	for i := 1; i < 3000; i++ {
		s := held(model(0, 0, int64(i)*10, int64(i)*10+1, prompt(user("m")), says("a")), id(i), id(i-1))
		s.SpanID = SpanID{9, byte(i >> 8), byte(i)}
		spans = append(spans, s)
	}
	total := 0
	got := Assemble(spans, Options{})
	for i := range got.Steps {
		total += len(got.Steps[i].Model.Input)
	}
	assert.Less(t, total, maxResumed+4)
	assert.Equal(t, []Reason{ReasonNoInput}, got.Steps[2999].Reasons)
	assert.Len(t, got.Steps[100].Model.Input, 201)
}

func id(i int) string { return "r" + string(rune('0'+i)) }
