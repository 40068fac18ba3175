package load

import (
	"encoding/json"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// vercel writes what the Vercel AI SDK writes with experimental_telemetry:
// ai.* attributes with the prompt as JSON, some gen_ai.* beside them.
func vercel(out *spans, r *rand.Rand) {
	out.scope("ai", "")
	c := newRun(r, out.agent, out.calls, 580)
	said := []any{
		object{"role": "system", "content": out.agent.system},
		object{"role": "user", "content": []any{object{"type": "text", "text": c.user}}},
	}
	for i := range out.calls {
		at := out.add("ai.generateText.doGenerate", ptrace.SpanKindInternal, time.Duration(600+r.IntN(1500))*time.Millisecond)
		vercelCommon(at, out, c, "ai.generateText.doGenerate")
		vercelModel(at, out, r)
		at.PutStr("ai.prompt.messages", text(said))
		if i == out.calls-1 {
			at.PutStr("ai.response.text", c.answer)
			break
		}
		reply, results, asked := vercelRound(c.rounds[i])
		at.PutStr("ai.response.toolCalls", text(asked))
		said = append(append(said, reply), results)
		for _, t := range c.rounds[i] {
			tool := out.add("ai.toolCall", ptrace.SpanKindInternal, time.Duration(20+r.IntN(300))*time.Millisecond)
			vercelCommon(tool, out, c, "ai.toolCall")
			tool.PutStr("ai.toolCall.name", t.name)
			tool.PutStr("ai.toolCall.id", t.id)
			tool.PutStr("ai.toolCall.args", t.arguments)
			tool.PutStr("ai.toolCall.result", t.result)
		}
	}
	root := out.addRoot("ai.generateText", ptrace.SpanKindInternal)
	vercelCommon(root, out, c, "ai.generateText")
	root.PutStr("ai.prompt", text(object{"system": out.agent.system, "prompt": c.user}))
	root.PutStr("ai.response.finishReason", "stop")
	root.PutStr("ai.response.text", c.answer)
}

func vercelCommon(at pcommon.Map, out *spans, c *run, operation string) {
	at.PutStr("operation.name", operation+" "+out.agent.name)
	at.PutStr("resource.name", out.agent.name)
	at.PutStr("ai.operationId", operation)
	at.PutStr("ai.telemetry.functionId", out.agent.name)
	at.PutStr("ai.telemetry.metadata.sessionId", c.id)
	tags := at.PutEmptySlice("ai.telemetry.metadata.tags")
	tags.AppendEmpty().SetStr("rollout")
	tags.AppendEmpty().SetStr("shop")
}

func vercelModel(at pcommon.Map, out *spans, r *rand.Rand) {
	id, in, replied := out.response(), int64(400+r.IntN(1200)), int64(20+r.IntN(200))
	at.PutStr("ai.model.provider", "openai.chat")
	at.PutStr("ai.model.id", "gpt-4.1-mini")
	at.PutDouble("ai.settings.temperature", 0.7)
	at.PutInt("ai.settings.maxRetries", 2)
	at.PutStr("ai.request.headers.user-agent", "ai/5.0.277")
	tools := at.PutEmptySlice("ai.prompt.tools")
	for _, t := range out.agent.tools {
		tools.AppendEmpty().SetStr(text(object{"type": "function", "name": t.name, "description": t.description, "inputSchema": json.RawMessage(t.schema)}))
	}
	at.PutStr("ai.prompt.toolChoice", `{"type":"auto"}`)
	at.PutStr("gen_ai.system", "openai.chat")
	at.PutStr("gen_ai.request.model", "gpt-4.1-mini")
	at.PutDouble("gen_ai.request.temperature", 0.7)
	at.PutStr("ai.response.finishReason", "stop")
	at.PutStr("ai.response.id", id)
	out.texts++ // it stands here twice
	at.PutStr("ai.response.model", "gpt-4.1-mini-2025-04-14")
	at.PutInt("ai.usage.promptTokens", in)
	at.PutInt("ai.usage.completionTokens", replied)
	at.PutEmptySlice("gen_ai.response.finish_reasons").AppendEmpty().SetStr("stop")
	at.PutStr("gen_ai.response.id", id)
	at.PutStr("gen_ai.response.model", "gpt-4.1-mini-2025-04-14")
	at.PutInt("gen_ai.usage.input_tokens", in)
	at.PutInt("gen_ai.usage.output_tokens", replied)
}

// vercelRound is a round in the SDK's form, and the calls as the response
// lists them.
func vercelRound(calls []toolCall) (reply, results any, asked []any) {
	var parts, answers []any
	for _, t := range calls {
		parts = append(parts, object{"type": "tool-call", "toolCallId": t.id, "toolName": t.name, "input": json.RawMessage(t.arguments)})
		answers = append(answers, object{
			"type": "tool-result", "toolCallId": t.id, "toolName": t.name,
			"output": object{"type": "text", "value": t.result},
		})
		asked = append(asked, object{"toolCallId": t.id, "toolName": t.name, "input": t.arguments})
	}
	return object{"role": "assistant", "content": parts}, object{"role": "tool", "content": answers}, asked
}
