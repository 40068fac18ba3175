package genai

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// vercel is what the Vercel AI SDK writes up to version 5 and with
// LegacyOpenTelemetry after it; version 7's own telemetry speaks semconv. An
// outer call (ai.generateText, ai.streamText) wraps one span a model call
// (.doGenerate, .doStream) and one a tool run (ai.toolCall).
// https://ai-sdk.dev/docs/ai-sdk-core/telemetry
var vercel = dialect{
	name:   "vercel-ai",
	marker: "ai.operationId",
	kind:   func(r *reader, _ string) (trajectory.Role, bool) { return vercelRole(r.text(fVercelID)) },
	rows: []row{
		{"ai.operationId", fVercelID},
		{"ai.model.provider", fProvider},
		{"ai.model.id", fRequestModel},
		{"ai.response.model", fResponseModel},
		{"ai.response.id", fResponseID},
		{"ai.response.finishReason", fFinish},
		{"ai.finishReason", fFinish},
		{"ai.usage.inputTokens", fInputTokens},
		{"ai.usage.promptTokens", fInputTokens},
		{"ai.usage.outputTokens", fOutputTokens},
		{"ai.usage.completionTokens", fOutputTokens},
		{"ai.usage.cachedInputTokens", fCachedTokens},
		{"ai.settings.temperature", fTemperature},
		{"ai.settings.topP", fTopP},
		{"ai.settings.topK", fTopK},
		{"ai.settings.maxOutputTokens", fMaxTokens},
		{"ai.settings.maxTokens", fMaxTokens},
		{"ai.settings.seed", fSeed},
		{"ai.prompt.tools", fTools},
		{"ai.prompt.messages", fVercelPrompt},
		{"ai.prompt", fVercelInput},
		{"ai.response.text", fVercelText},
		{"ai.result.text", fVercelText},
		{"ai.response.reasoning", fVercelReason},
		{"ai.response.toolCalls", fVercelCalls},
		{"ai.result.toolCalls", fVercelCalls},
		{"ai.response.object", fVercelObject},
		{"ai.result.object", fVercelObject},
		{"ai.toolCall.name", fToolName},
		{"ai.toolCall.id", fToolCallID},
		{"ai.toolCall.args", fToolArguments},
		{"ai.toolCall.result", fToolResult},
		{"ai.telemetry.functionId", fAgent},
		{"ai.telemetry.metadata.sessionId", fConversation},
		{"ai.telemetry.metadata.conversationId", fConversation},
		{"ai.settings.context.sessionId", fConversation},
		{"ai.telemetry.metadata.userId", fUser},
		{"ai.settings.context.userId", fUser},
	},
	read: readVercel,
}

// vercelScope is the scope of the AI SDK's own telemetry from version 7 on.
const vercelScope = "gen_ai"

// readVercel takes back errors that are another span's: OpenInference's
// processor gives the first error of a trace to every span that ends after it.
// What failed in this span has an exception event, and has nothing to show.
func readVercel(d *Decoder, s *trajectory.Span, span ptrace.Span) {
	if s.Error == "" || !d.r.has(fFinish) && !d.r.has(fToolResult) {
		return
	}
	for _, e := range span.Events().All() {
		if e.Name() == exceptionEvent {
			return
		}
	}
	s.Error = ""
}

// vercelRole maps ai.operationId.
func vercelRole(id string) (trajectory.Role, bool) {
	switch {
	case strings.HasSuffix(id, ".doGenerate"), strings.HasSuffix(id, ".doStream"):
		return trajectory.RoleModelSpan, true
	case id == "ai.toolCall":
		return trajectory.RoleToolSpan, true
	case id == "ai.generateText", id == "ai.streamText", id == "ai.generateObject", id == "ai.streamObject":
		return trajectory.RoleAgentSpan, true
	}
	return trajectory.RoleOther, strings.HasPrefix(id, "ai.")
}
