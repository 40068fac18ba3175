package load

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// openInference writes what Arize's instrumentations write: one attribute for
// every leaf of every message, and the raw request beside it. Texts are shorter
// here, so that a trace is as large as in the other conventions.
func openInference(out *spans, r *rand.Rand) {
	out.scope("@arizeai/openinference-instrumentation-openai", "4.2.7")
	c := newRun(r, out.agent, out.calls, 290)
	raw := []any{object{"role": "system", "content": out.agent.system[:200]}, object{"role": "user", "content": c.user}}
	for i := range out.calls {
		at := out.add("OpenAI Chat Completions", ptrace.SpanKindInternal, time.Duration(600+r.IntN(1500))*time.Millisecond)
		openInferenceCall(at, out, c, r, raw)
		if i == out.calls-1 {
			at.PutStr("output.value", c.answer)
			at.PutStr("llm.output_messages.0.message.role", "assistant")
			at.PutStr("llm.output_messages.0.message.content", c.answer)
			break
		}
		at.PutStr("output.value", "")
		reply, results := openAIRound(c.rounds[i])
		openInferenceMessage(at, "llm.output_messages.0.message.", reply)
		raw = append(raw, reply)
		for _, m := range results {
			raw = append(raw, m)
		}
		for _, t := range c.rounds[i] {
			openInferenceTool(out.add(t.name, ptrace.SpanKindInternal, time.Duration(20+r.IntN(300))*time.Millisecond), c, t)
		}
	}
	root := out.addRoot(out.agent.name+".run", ptrace.SpanKindInternal)
	root.PutStr("openinference.span.kind", "AGENT")
	root.PutStr("session.id", c.id)
	root.PutStr("input.value", c.user)
	root.PutStr("input.mime_type", "text/plain")
	root.PutStr("output.value", c.answer)
	root.PutStr("output.mime_type", "text/plain")
}

func openInferenceCall(at pcommon.Map, out *spans, c *run, r *rand.Rand, said []any) {
	at.PutStr("session.id", c.id)
	at.PutStr("openinference.span.kind", "LLM")
	at.PutStr("llm.model_name", "gpt-4.1-mini")
	at.PutStr("llm.system", "openai")
	at.PutStr("llm.response_id", out.response())
	at.PutStr("input.value", text(object{"model": "gpt-4.1-mini", "messages": said}))
	at.PutStr("input.mime_type", "application/json")
	at.PutStr("output.mime_type", "text/plain")
	at.PutStr("llm.invocation_parameters", `{"model":"gpt-4.1-mini","temperature":0.7,"max_tokens":2048}`)
	at.PutStr("llm.finish_reason", "stop")
	at.PutInt("llm.token_count.prompt", int64(400+r.IntN(1200)))
	at.PutInt("llm.token_count.completion", int64(20+r.IntN(200)))
	for i, m := range said {
		openInferenceMessage(at, fmt.Sprintf("llm.input_messages.%d.message.", i), m.(object))
	}
	for i, t := range out.agent.tools {
		at.PutStr(fmt.Sprintf("llm.tools.%d.tool.json_schema", i), text(object{
			"type": "function", "function": object{"name": t.name, "description": t.description, "parameters": json.RawMessage(t.schema)},
		}))
	}
}

func openInferenceMessage(at pcommon.Map, prefix string, m object) {
	at.PutStr(prefix+"role", m["role"].(string))
	if s, ok := m["content"].(string); ok {
		at.PutStr(prefix+"content", s)
	}
	if s, ok := m["tool_call_id"].(string); ok {
		at.PutStr(prefix+"tool_call_id", s)
	}
	calls, _ := m["tool_calls"].([]object)
	for i, c := range calls {
		call := fmt.Sprintf("%stool_calls.%d.tool_call.", prefix, i)
		at.PutStr(call+"id", c["id"].(string))
		at.PutStr(call+"function.name", c["function"].(object)["name"].(string))
		at.PutStr(call+"function.arguments", c["function"].(object)["arguments"].(string))
	}
}

func openInferenceTool(at pcommon.Map, c *run, t toolCall) {
	at.PutStr("session.id", c.id)
	at.PutStr("openinference.span.kind", "TOOL")
	at.PutStr("tool.name", t.name)
	at.PutStr("input.value", t.arguments)
	at.PutStr("input.mime_type", "application/json")
	at.PutStr("output.value", t.result)
	at.PutStr("output.mime_type", "application/json")
}

// openAIRound is a round in OpenAI's form.
func openAIRound(calls []toolCall) (reply object, results []object) {
	var asked []object
	for _, t := range calls {
		asked = append(asked, object{"id": t.id, "type": "function", "function": object{"name": t.name, "arguments": t.arguments}})
		results = append(results, object{"role": "tool", "tool_call_id": t.id, "content": t.result})
	}
	return object{"role": "assistant", "tool_calls": asked}, results
}
