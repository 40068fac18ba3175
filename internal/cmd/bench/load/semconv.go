package load

import (
	"encoding/json"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// semconv writes what OpenTelemetry's own instrumentations write: messages as
// JSON in string attributes.
func semconv(out *spans, r *rand.Rand) {
	out.scope("opentelemetry.instrumentation.genai.openai", "1.3b0")
	c := newRun(r, out.agent, out.calls, 820)
	said := []any{semconvSaid("system", out.agent.system), semconvSaid("user", c.user)}
	for i := range out.calls {
		at := out.add("chat gpt-4.1-mini", ptrace.SpanKindClient, time.Duration(600+r.IntN(1500))*time.Millisecond)
		semconvCall(at, out, c, r)
		at.PutStr("gen_ai.input.messages", text(said))
		if i == out.calls-1 {
			at.PutStr("gen_ai.output.messages", text([]any{semconvSaid("assistant", c.answer)}))
			break
		}
		reply, results := semconvRound(c.rounds[i])
		at.PutStr("gen_ai.output.messages", text([]any{reply}))
		said = append(append(said, reply), results...)
		for _, t := range c.rounds[i] {
			semconvTool(out.add("execute_tool "+t.name, ptrace.SpanKindInternal, time.Duration(20+r.IntN(300))*time.Millisecond), t)
		}
	}
	root := out.addRoot("invoke_agent "+out.agent.name, ptrace.SpanKindInternal)
	root.PutStr("gen_ai.operation.name", "invoke_agent")
	root.PutStr("gen_ai.request.model", "gpt-4.1-mini")
	root.PutStr("gen_ai.agent.name", out.agent.name)
	root.PutStr("gen_ai.conversation.id", c.id)
	root.PutStr("gen_ai.input.messages", text([]any{semconvSaid("user", c.user)}))
	root.PutStr("gen_ai.output.messages", text([]any{semconvSaid("assistant", c.answer)}))
}

func semconvCall(at pcommon.Map, out *spans, c *run, r *rand.Rand) {
	at.PutStr("gen_ai.operation.name", "chat")
	at.PutStr("gen_ai.provider.name", "openai")
	at.PutStr("gen_ai.request.model", "gpt-4.1-mini")
	at.PutStr("server.address", "api.openai.com")
	at.PutInt("server.port", 443)
	at.PutStr("gen_ai.conversation.id", c.id)
	at.PutDouble("gen_ai.request.temperature", 0.7)
	at.PutInt("gen_ai.request.max_tokens", 2048)
	at.PutEmptySlice("gen_ai.response.finish_reasons").AppendEmpty().SetStr("stop")
	at.PutStr("gen_ai.response.model", "gpt-4.1-mini-2025-04-14")
	at.PutStr("gen_ai.response.id", out.response())
	at.PutInt("gen_ai.usage.input_tokens", int64(400+r.IntN(1200)))
	at.PutInt("gen_ai.usage.output_tokens", int64(20+r.IntN(200)))
	var tools []any
	for _, t := range out.agent.tools {
		tools = append(tools, object{"type": "function", "name": t.name, "description": t.description, "parameters": json.RawMessage(t.schema)})
	}
	at.PutStr("gen_ai.tool.definitions", text(tools))
}

func semconvTool(at pcommon.Map, t toolCall) {
	at.PutStr("gen_ai.operation.name", "execute_tool")
	at.PutStr("gen_ai.tool.name", t.name)
	at.PutStr("gen_ai.tool.type", "function")
	at.PutStr("gen_ai.tool.call.id", t.id)
	at.PutStr("gen_ai.tool.call.arguments", t.arguments)
	at.PutStr("gen_ai.tool.call.result", t.result)
}

func semconvSaid(role, said string) any {
	return object{"role": role, "parts": []any{object{"type": "text", "content": said}}}
}

// semconvRound is the message that asks for tools and the messages that answer.
func semconvRound(calls []toolCall) (reply any, results []any) {
	var parts []any
	for _, t := range calls {
		parts = append(parts, object{"type": "tool_call", "id": t.id, "name": t.name, "arguments": json.RawMessage(t.arguments)})
		results = append(results, object{"role": "tool", "parts": []any{object{"type": "tool_call_response", "id": t.id, "response": t.result}}})
	}
	return object{"role": "assistant", "parts": parts, "finish_reason": "tool_call"}, results
}

type object = map[string]any

func text(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // of maps, lists and strings: cannot be
	}
	return string(raw)
}
