package reroll

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// answer is what a server generated for a request.
type answer struct {
	ID, Model, Finish       string
	Text, Reasoning         string
	Calls                   []trajectory.ToolCall
	Prompt, Tokens          []int32   // ids; nil = the server gave none
	Logprobs                []float32 // one per id of Tokens, or nil
	InputTokens, OutputSize *int64
}

// parseAnswer reads the body of a chat completion.
func parseAnswer(body []byte) (answer, error) {
	var wire struct {
		ID      string  `json:"id"`
		Model   string  `json:"model"`
		Prompt  []int32 `json:"prompt_token_ids"`
		Choices []struct {
			Message struct {
				Content   *string    `json:"content"`
				Reasoning *string    `json:"reasoning"`
				Older     *string    `json:"reasoning_content"`
				ToolCalls []toolCall `json:"tool_calls"`
			} `json:"message"`
			Finish   *string `json:"finish_reason"`
			Tokens   []int32 `json:"token_ids"`
			Logprobs *struct {
				Content []struct {
					Logprob float32 `json:"logprob"`
				} `json:"content"`
			} `json:"logprobs"`
		} `json:"choices"`
		Usage *struct {
			Prompt     *int64 `json:"prompt_tokens"`
			Completion *int64 `json:"completion_tokens"`
		} `json:"usage"`
	}
	if err := json.Unmarshal(body, &wire); err != nil {
		return answer{}, fmt.Errorf("read answer: %w", err)
	}
	if len(wire.Choices) == 0 {
		return answer{}, errors.New("read answer: it has no choices")
	}
	c := wire.Choices[0]
	out := answer{ID: wire.ID, Model: wire.Model, Prompt: wire.Prompt, Tokens: c.Tokens}
	for into, from := range map[*string]*string{&out.Finish: c.Finish, &out.Text: c.Message.Content, &out.Reasoning: c.Message.Reasoning} {
		if from != nil {
			*into = *from
		}
	}
	if out.Reasoning == "" && c.Message.Older != nil {
		out.Reasoning = *c.Message.Older
	}
	for _, call := range c.Message.ToolCalls {
		out.Calls = append(out.Calls, trajectory.ToolCall{ID: call.ID, Name: call.Function.Name, Arguments: call.Function.Arguments})
	}
	if wire.Usage != nil {
		out.InputTokens, out.OutputSize = wire.Usage.Prompt, wire.Usage.Completion
	}
	if len(out.Prompt) == 0 || len(out.Tokens) == 0 {
		out.Prompt, out.Tokens = nil, nil
	} else if l := c.Logprobs; l != nil && len(l.Content) == len(out.Tokens) {
		for _, t := range l.Content {
			out.Logprobs = append(out.Logprobs, t.Logprob)
		}
	}
	return out, nil
}
