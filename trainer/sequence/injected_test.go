package sequence

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// written notes the chats that it is asked to render, and gives each message one
// id.
type written struct{ chats []Chat }

func (w *written) Render(_ context.Context, chats []Chat) ([]Rendered, error) {
	w.chats = append(w.chats, chats...)
	out := make([]Rendered, len(chats))
	for i, c := range chats {
		for j, m := range c.Messages {
			out[i].IDs = append(out[i].IDs, int32(j+1))
			out[i].Assistant = append(out[i].Assistant, m.Role == trajectory.RoleAssistant)
		}
	}
	return out, nil
}

func said(attributes string) *trajectory.Trajectory {
	t := trajectoryOf([]recorded{{}})
	t.Messages = []trajectory.Message{{Role: "system", Text: "Be kind."}, {Role: "user", Text: "hi"}, {Role: "assistant", Text: "ho"}}
	t.Steps[0].Attributes = attributes
	t.Steps[0].Model.Input, t.Steps[0].Model.Output = []int32{0, 1}, []int32{2}
	return t
}

// What a bundle added is no message of the agent's, but the model saw it: it
// belongs to the tokens of the prompt.
func TestWhatABundleAddedIsInTheTokens(t *testing.T) {
	for name, x := range map[string]struct {
		attributes string
		want       []string // contents of the prompt; nil = the call is left out
	}{
		"nothing":       {`{"app":"tracegrad.injected"}`, []string{"Be kind.", "hi"}},
		"at the end":    {`{"tracegrad.injected":[{"bundle":"b","items":["g1"],"message":0,"placement":"append","text":"\n\nLook twice."}]}`, []string{"Be kind.\n\nLook twice.", "hi"}},
		"of its own":    {`{"tracegrad.injected":[{"message":0,"placement":"insert","text":"Look twice."}]}`, []string{"Look twice.", "Be kind.", "hi"}},
		"shown already": {`{"tracegrad.injected":[{"message":0,"placement":"append","text":" kind."}]}`, []string{"Be kind.", "hi"}},
		"as a part":     {`{"tracegrad.injected":[{"message":0,"placement":"part","text":"Look twice."}]}`, nil},
		"nowhere":       {`{"tracegrad.injected":[{"message":7,"placement":"append","text":"Look twice."}]}`, nil},
		"without text":  {`{"tracegrad.injected":[{"message":0,"placement":"append"}]}`, nil},
		"broken":        {`{"tracegrad.injected":7}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := &written{}
			got, err := Build(t.Context(), said(x.attributes), Options{Tokenizer: w})
			require.NoError(t, err)
			if x.want == nil {
				assert.Equal(t, map[string]int{LeftInjected: 1}, got.LeftOut)
				return
			}
			require.Len(t, w.chats, 2)
			var contents []string
			for _, m := range w.chats[0].Messages {
				contents = append(contents, m.Content)
			}
			assert.Equal(t, x.want, contents)
			assert.Equal(t, w.chats[0].Messages, w.chats[1].Messages[:len(x.want)], "with the reply it is the same prompt")
			assert.Equal(t, 1, got.Trained(), "only the reply is trained on")
		})
	}
}

// A call of another policy counts by its own log-probabilities, or not at all.
func TestCallsOfOtherPolicies(t *testing.T) {
	one := 1.0
	calls := []recorded{
		{Agent: "other", Prompt: []int32{1, 2}, Reply: []int32{3, 4}, Logprobs: []float32{-1, -2}, Mode: "raw"},
		{Agent: "other", Prompt: []int32{5, 6}, Reply: []int32{7}},
		{Agent: "other", Prompt: []int32{8}, Reply: []int32{9}, Logprobs: []float32{-1}, Mode: "processed", Temperature: new(0.5)},
		{Agent: "own", Prompt: []int32{10}, Reply: []int32{11}, Temperature: &one},
	}
	got, err := Build(t.Context(), trajectoryOf(calls), Options{Foreign: func(s *trajectory.Step) bool { return s.AgentName == "other" }})
	require.NoError(t, err)
	assert.Equal(t, map[string]int{LeftOtherPolicy: 2}, got.LeftOut)
	require.Len(t, got.Spans, 2)
	assert.True(t, got.Spans[0].Logprobs)
	behaviour, err := got.Behaviour([]float64{-0.5, -0.5, -0.25})
	require.NoError(t, err)
	assert.Equal(t, []float64{-1, -2, -0.25}, behaviour, "the ratio is with the policy that generated the tokens")
}
