package genai

import "github.com/tracegrad/tracegrad/internal/trajectory"

// semconv is OpenTelemetry's own convention, newest names first; older names
// that mean the same follow.
// https://github.com/open-telemetry/semantic-conventions-genai
var semconv = dialect{
	name:   "semconv",
	marker: "gen_ai.operation.name",
	kind:   func(r *reader, _ string) (trajectory.Role, bool) { return semconvRole(r.text(fOperation)) },
	rows: []row{
		{"logfire.scrubbed", fScrubbed},
		{"gen_ai.operation.name", fOperation},
		{"gen_ai.provider.name", fProvider},
		{"gen_ai.system", fProvider},
		{"gen_ai.request.model", fRequestModel},
		{"gen_ai.response.model", fResponseModel},
		{"gen_ai.response.id", fResponseID},
		{"gen_ai.response.finish_reasons", fFinish},
		{"gen_ai.response.finish_reason", fFinish},
		{"gen_ai.usage.input_tokens", fInputTokens},
		{"gen_ai.usage.prompt_tokens", fInputTokens},
		{"gen_ai.usage.output_tokens", fOutputTokens},
		{"gen_ai.usage.completion_tokens", fOutputTokens},
		{"gen_ai.usage.cache_read.input_tokens", fCachedTokens},
		{"gen_ai.usage.cache_read_input_tokens", fCachedTokens},
		{"gen_ai.request.temperature", fTemperature},
		{"gen_ai.request.top_p", fTopP},
		{"gen_ai.request.top_k", fTopK},
		{"gen_ai.request.max_tokens", fMaxTokens},
		{"gen_ai.request.seed", fSeed},
		{"gen_ai.request.choice.count", fChoices},
		{"gen_ai.tool.definitions", fTools},
		{"gen_ai.system_instructions", fSystem},
		{"gen_ai.input.messages", fInputParts},
		{"gen_ai.output.messages", fOutputParts},
		{"gen_ai.tool.name", fToolName},
		{"gen_ai.tool.call.id", fToolCallID},
		{"gen_ai.tool.call.arguments", fToolArguments},
		{"gen_ai.tool.call.result", fToolResult},
		{"gen_ai.agent.name", fAgent},
		{"gen_ai.conversation.id", fConversation},
		{"session.id", fConversation},
		{"gen_ai.request.previous_response.id", fPrevious},
		{"gen_ai.request.previous_response_id", fPrevious},
		{"user.id", fUser},
		{"enduser.id", fUser},
		{"error.type", fErrorType},
		{trajectory.AttrRolloutID, fRollout},
		{trajectory.AttrBundle, fBundle},
		{trajectory.AttrAdapter, fAdapter},
		{trajectory.AttrInjected, fInjected},
		{trajectory.AttrSource, fSource},
		{trajectory.AttrPromptTokenIDs, fPromptTokenIDs},
		{trajectory.AttrTokenIDs, fTokenIDs},
		{trajectory.AttrLogprobs, fLogprobs},
		{"gen_ai.response.prompt_token_ids", fPromptTokenIDs},
		{"gen_ai.response.completion_token_ids", fTokenIDs},
		{"gen_ai.response.logprobs", fLogprobs},
		{trajectory.AttrLogprobsMode, fLogprobsMode},
		{trajectory.AttrConstrained, fConstrained},
	},
}

// semconvRole maps gen_ai.operation.name.
func semconvRole(op string) (trajectory.Role, bool) {
	switch op {
	case "chat", "generate_content", "text_completion", "completion", "fetch_response":
		return trajectory.RoleModelSpan, true
	case "execute_tool":
		return trajectory.RoleToolSpan, true
	case "invoke_agent", "invoke_workflow":
		return trajectory.RoleAgentSpan, true
	}
	return trajectory.RoleOther, false
}
