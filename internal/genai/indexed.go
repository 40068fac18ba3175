package genai

import (
	"encoding/json"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// indexed is what came before messages were JSON: one attribute a leaf, such as
// gen_ai.prompt.3.tool_calls.0.name and gen_ai.completion.0.content. Traceloop
// wrote it up to version 0.54, AgentOps and LiteLLM still do.
// https://github.com/traceloop/openllmetry (opentelemetry-semantic-conventions-ai)
var indexed = dialect{
	name:  "semconv-indexed",
	proof: []string{"llm.request.type", "gen_ai.request.type"},
	kind:  func(r *reader, _ string) (trajectory.Role, bool) { return requestRole(r.text(fRequestType)) },
	rows: []row{
		{"llm.request.type", fRequestType},
		{"gen_ai.request.type", fRequestType},
		{"llm.request.model", fRequestModel},
		{"llm.response.model", fResponseModel},
		{"llm.response.id", fResponseID},
		{"gen_ai.openai.response.id", fResponseID},
		{"llm.response.finish_reason", fFinish},
		{"llm.response.stop_reason", fFinish},
		{"gen_ai.response.stop_reason", fFinish},
		{"llm.usage.prompt_tokens", fInputTokens},
		{"llm.usage.completion_tokens", fOutputTokens},
		{"llm.usage.cache_read_input_tokens", fCachedTokens},
		{"llm.request.temperature", fTemperature},
		{"llm.temperature", fTemperature},
		{"llm.top_p", fTopP},
		{"llm.top_k", fTopK},
		{"llm.request.max_tokens", fMaxTokens},
		{"llm.max_tokens", fMaxTokens},
	},
}

// requestRole maps llm.request.type and gen_ai.request.type.
func requestRole(kind string) (trajectory.Role, bool) {
	switch strings.ToLower(kind) {
	case "chat", "completion", "acompletion", "chat_completion", "responses", "aresponses", "anthropic_messages":
		return trajectory.RoleModelSpan, true
	case "embedding", "aembedding", "rerank", "arerank", "moderation", "amoderation", "image_generation", "aimage_generation":
		return trajectory.RoleOther, true
	}
	return trajectory.RoleOther, false
}

// isIndexed says whether a name may be one that takeIndexed files.
func isIndexed(k string) bool {
	for _, p := range [...]string{"gen_ai.prompt.", "gen_ai.completion.", "gen_ai.request.functions.", "gen_ai.request.tools.", "gen_ai.tool."} {
		if strings.HasPrefix(k, p) {
			return true
		}
	}
	return false
}

// takeIndexed files one attribute and says whether it was a message's or a
// tool's.
func (f *flat) takeIndexed(k string, v pcommon.Value) bool {
	if k == "" || k[0] != 'g' && k[0] != 'l' {
		return false // most names
	}
	if rest, ok := strings.CutPrefix(k, "llm.request.functions."); ok {
		return f.function(rest, v)
	}
	rest, ok := strings.CutPrefix(k, "gen_ai.")
	if !ok || rest == "" {
		return false
	}
	switch rest[0] {
	case 'p':
		if rest, ok = strings.CutPrefix(rest, "prompt."); ok {
			return f.indexedMessage(&f.input, rest, v)
		}
	case 'c':
		if rest, ok = strings.CutPrefix(rest, "completion."); ok {
			return f.indexedMessage(&f.output, rest, v)
		}
	case 'r':
		for _, p := range [...]string{"request.functions.", "request.tools."} {
			if rest, ok := strings.CutPrefix(rest, p); ok {
				return f.function(rest, v)
			}
		}
	case 't': // gen_ai.tool.name is the one tool of a tool's span
		if rest, ok = strings.CutPrefix(rest, "tool."); ok && rest != "" && rest[0] >= '0' && rest[0] <= '9' {
			return f.function(rest, v)
		}
	}
	return false
}

func (f *flat) indexedMessage(list *[]flatMessage, k string, v pcommon.Value) bool {
	i, leaf := index(k)
	if i < 0 || leaf == "" {
		return false
	}
	m := grow(f, list, i)
	if m == nil {
		return true
	}
	m.set, m.indexed = true, true
	switch leaf {
	case "role":
		m.role = v.AsString()
	case "content", "refusal":
		if m.content == "" && v.AsString() != `""` { // nothing, as JSON
			m.content = v.AsString()
		}
	case "name":
		m.name = v.AsString()
	case "tool_call_id":
		m.callID = v.AsString()
	case "reasoning", "reasoning_content":
		m.reasoning = v.AsString()
	case "finish_reason":
		m.finish = v.AsString()
	case "type":
		m.kind = v.AsString()
	default:
		if rest, ok := strings.CutPrefix(leaf, "tool_calls."); ok {
			return f.indexedCall(&m.calls, rest, v)
		}
		if rest, ok := strings.CutPrefix(leaf, "function_call."); ok {
			return f.indexedCall(&m.calls, "0."+rest, v)
		}
	}
	return true
}

func (f *flat) indexedCall(list *[]flatCall, k string, v pcommon.Value) bool {
	i, leaf := index(k)
	if i < 0 {
		return false
	}
	c := grow(f, list, i)
	if c == nil {
		return true
	}
	switch leaf {
	case "id":
		c.id = v.AsString()
	case "name":
		c.name = v.AsString()
	case "arguments":
		c.arg = v.AsString()
	}
	c.set = true
	return true
}

// complete sets what only gen_ai.prompt.N and gen_ai.completion.N say.
func (f *flatMessage) complete(m *trajectory.Message) {
	m.Reasoning = f.reasoning
	if f.kind == "reasoning" {
		m.Reasoning, m.Text = m.Text, ""
	}
	if m.Role == "" && f.callID != "" {
		m.Role = trajectory.RoleTool
	}
}

// flatTool is the definition of a tool in the making.
type flatTool struct{ name, description, parameters string }

func (f *flat) function(k string, v pcommon.Value) bool {
	i, leaf := index(k)
	if i < 0 {
		return false
	}
	t := grow(f, &f.functions, i)
	if t == nil {
		return true
	}
	switch leaf {
	case "name":
		keepLonger(&t.name, v.AsString())
	case "description":
		keepLonger(&t.description, v.AsString())
	case "parameters", "arguments":
		keepLonger(&t.parameters, v.AsString())
	}
	return true
}

// keepLonger keeps of two texts that should be the same the one that was not
// cut, whichever comes first.
func keepLonger(dst *string, s string) {
	if len(s) > len(*dst) || len(s) == len(*dst) && s > *dst {
		*dst = s
	}
}

// definitions are the tools as JSON objects in OpenAI's form; nil where one of
// them is not shown.
func (f *flat) definitions() []string {
	if len(f.functions) == 0 || f.cut {
		return nil
	}
	out := make([]string, 0, len(f.functions))
	for i := range f.functions {
		if f.functions[i].name == "" {
			return nil
		}
		out = append(out, f.functions[i].definition())
	}
	return out
}

// definition is a tool as JSON in OpenAI's form.
func (t *flatTool) definition() string {
	type function struct {
		Name        string          `json:"name"`
		Description string          `json:"description,omitempty"`
		Parameters  json.RawMessage `json:"parameters,omitempty"`
	}
	f := function{Name: t.name, Description: t.description}
	if object(t.parameters) != "" {
		f.Parameters = json.RawMessage(t.parameters)
	}
	raw, _ := json.Marshal(struct { // texts, and JSON that was checked: cannot fail
		Type     string   `json:"type"`
		Function function `json:"function"`
	}{"function", f})
	return string(raw)
}

// finish is why the model stopped, as the first choice says.
func (f *flat) finish() string {
	for i := range f.output {
		if f.output[i].finish != "" {
			return f.output[i].finish
		}
	}
	return ""
}

// calls are the tool calls of the reply.
func (f *flat) calls() []trajectory.ToolCall {
	var out []trajectory.ToolCall
	for i := range f.output {
		for k := range f.output[i].calls {
			if c := &f.output[i].calls[k]; c.set && c.name != "" {
				out = append(out, c.build())
			}
		}
	}
	return out
}
