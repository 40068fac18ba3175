package sequence

import (
	"context"
	"encoding/json"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// Tokenizer renders chats with a model's own chat template.
type Tokenizer interface {
	// Render answers one Rendered per chat, in order. An error means that nothing
	// can be rendered (the tokenizer is not reachable); what the template says
	// against one chat is in its Rendered.
	Render(ctx context.Context, chats []Chat) ([]Rendered, error)
}

// Chat is what a chat template is given, in the form of OpenAI's API.
type Chat struct {
	Messages []Message       `json:"messages"`
	Tools    json.RawMessage `json:"tools,omitempty"`                 // a JSON array of {type, function}
	Generate bool            `json:"add_generation_prompt,omitempty"` // end where the assistant would begin
}

// Message is one message of a chat.
type Message struct {
	Role       string     `json:"role"`
	Content    string     `json:"content"`
	Reasoning  string     `json:"reasoning_content,omitempty"`
	ToolCalls  []ToolCall `json:"tool_calls,omitempty"`
	ToolCallID string     `json:"tool_call_id,omitempty"`
	Name       string     `json:"name,omitempty"`
}

// ToolCall is a call that an assistant message asks for.
type ToolCall struct {
	ID       string   `json:"id,omitempty"`
	Type     string   `json:"type"` // function
	Function Function `json:"function"`
}

// Function is what is called. Arguments are a JSON object where they are one, as
// templates expect; else a JSON string with the text. They come first, as vLLM
// has them, for templates that write the whole.
type Function struct {
	Arguments json.RawMessage `json:"arguments"`
	Name      string          `json:"name"`
}

// Rendered is a chat in token ids.
type Rendered struct {
	IDs       []int32 `json:"ids"`
	Assistant []bool  `json:"assistant"`       // per id: an assistant wrote it, its end of turn included; nil = the template cannot tell
	Error     string  `json:"error,omitempty"` // why the template refuses the chat; "" = it does not
}

// chatOf is messages of a trajectory as a template wants them; "" or why they
// cannot be rendered.
func chatOf(t *trajectory.Trajectory, tools string, messages ...[]int32) (Chat, string) {
	chat := Chat{Tools: toolsOf(tools)}
	for _, list := range messages {
		for _, i := range list {
			m := &t.Messages[i]
			if m.Parts != "" {
				return Chat{}, LeftContent
			}
			chat.Messages = append(chat.Messages, messageOf(m))
		}
	}
	return chat, ""
}

func messageOf(m *trajectory.Message) Message {
	out := Message{Role: m.Role, Content: m.Text, Reasoning: m.Reasoning, ToolCallID: m.ToolCallID, Name: m.Name}
	for _, c := range m.ToolCalls {
		out.ToolCalls = append(out.ToolCalls, ToolCall{ID: c.ID, Type: "function", Function: Function{argumentsOf(c.Arguments), c.Name}})
	}
	return out
}

func argumentsOf(text string) json.RawMessage {
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &object) == nil && object != nil {
		return json.RawMessage(text)
	}
	quoted, _ := json.Marshal(text) // a text always can be
	return quoted
}

// tool is a tool definition in OpenAI's form, with the keys that vLLM gives to a
// chat template, in its order: templates write whole definitions into the prompt.
type tool struct {
	Type     string `json:"type"`
	Function struct {
		Name        string          `json:"name"`
		Description json.RawMessage `json:"description"` // null if there is none
		Parameters  json.RawMessage `json:"parameters"`  // the same
		Strict      json.RawMessage `json:"strict,omitempty"`
	} `json:"function"`
}

// toolsOf are tool definitions as templates get them; others than OpenAI use its
// parts without the {type, function} around them. What is no function stays.
func toolsOf(text string) json.RawMessage {
	var list []json.RawMessage
	if json.Unmarshal([]byte(text), &list) != nil || len(list) == 0 {
		return nil
	}
	for i, raw := range list {
		var t tool
		if json.Unmarshal(raw, &t) != nil {
			continue
		}
		if t.Function.Name == "" {
			var bare struct {
				InputSchema json.RawMessage `json:"input_schema"`
			}
			if json.Unmarshal(raw, &t.Function) != nil || json.Unmarshal(raw, &bare) != nil || t.Function.Name == "" {
				continue
			}
			if t.Function.Parameters == nil {
				t.Function.Parameters = bare.InputSchema
			}
		}
		t.Type = "function"
		if whole, err := json.Marshal(t); err == nil {
			list[i] = whole
		}
	}
	out, err := json.Marshal(list)
	if err != nil {
		return nil
	}
	return out
}
