package reroll

import (
	"encoding/json"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// Sampling says how a reply is generated; nil = as the server does without it.
type Sampling struct {
	Temperature *float64 `json:"temperature,omitempty"`
	TopP        *float64 `json:"top_p,omitempty"`
	TopK        *int64   `json:"top_k,omitempty"`
	MaxTokens   *int64   `json:"max_tokens,omitempty"`
}

// over are the values of s, and those of logged where s has none.
func (s Sampling) over(logged *trajectory.ModelCall) Sampling {
	or := func(a, b *float64) *float64 {
		if a != nil {
			return a
		}
		return b
	}
	out := Sampling{Temperature: or(s.Temperature, logged.Temperature), TopP: or(s.TopP, logged.TopP), TopK: s.TopK, MaxTokens: s.MaxTokens}
	if out.TopK == nil {
		out.TopK = logged.TopK
	}
	if out.MaxTokens == nil {
		out.MaxTokens = logged.MaxTokens
	}
	return out
}

// request is the body of a chat completion. What is beyond OpenAI's protocol is
// vLLM's.
type request struct {
	Model    string          `json:"model"`
	Messages []message       `json:"messages"`
	Tools    json.RawMessage `json:"tools,omitempty"`
	Sampling
	Seed           *int64 `json:"seed,omitempty"`
	Logprobs       bool   `json:"logprobs,omitempty"`
	ReturnTokenIDs bool   `json:"return_token_ids,omitempty"`
}

type message struct {
	Role       string     `json:"role"`
	Content    *string    `json:"content"`
	Reasoning  string     `json:"reasoning,omitempty"`
	ToolCalls  []toolCall `json:"tool_calls,omitempty"`
	ToolCallID string     `json:"tool_call_id,omitempty"`
	Name       string     `json:"name,omitempty"`
}

type toolCall struct {
	ID       string   `json:"id"`
	Type     string   `json:"type"`
	Function function `json:"function"`
}

type function struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

func wire(m *trajectory.Message) message {
	out := message{Role: m.Role, Content: &m.Text, Reasoning: m.Reasoning, ToolCallID: m.ToolCallID, Name: m.Name}
	if m.Text == "" && len(m.ToolCalls) > 0 {
		out.Content = nil
	}
	for _, c := range m.ToolCalls {
		out.ToolCalls = append(out.ToolCalls, toolCall{c.ID, "function", function{c.Name, c.Arguments}})
	}
	return out
}

// toolsOf are tool definitions in OpenAI's form; others use its parts without
// the {type, function} around them. nil = none, or not understood.
func toolsOf(text string) json.RawMessage {
	var list []json.RawMessage
	if json.Unmarshal([]byte(text), &list) != nil || len(list) == 0 {
		return nil
	}
	for i, raw := range list {
		var bare struct {
			Function    json.RawMessage `json:"function"`
			Name        string          `json:"name"`
			Description string          `json:"description,omitempty"`
			Parameters  json.RawMessage `json:"parameters"`
			Schema      json.RawMessage `json:"input_schema"`
		}
		if json.Unmarshal(raw, &bare) != nil {
			return nil
		}
		if bare.Function == nil {
			if bare.Parameters == nil {
				bare.Parameters = bare.Schema
			}
			if bare.Name == "" {
				return nil
			}
			def := map[string]any{"name": bare.Name}
			if bare.Description != "" {
				def["description"] = bare.Description
			}
			if bare.Parameters != nil {
				def["parameters"] = bare.Parameters
			}
			bare.Function, _ = json.Marshal(def) // texts and JSON that was read
		}
		whole, err := json.Marshal(map[string]any{"type": "function", "function": bare.Function})
		if err != nil {
			return nil
		}
		list[i] = whole
	}
	out, err := json.Marshal(list)
	if err != nil {
		return nil
	}
	return out
}
