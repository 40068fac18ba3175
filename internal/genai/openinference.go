package genai

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// openInference is Arize's convention: messages are flattened to one attribute
// a leaf (see flat.go), the raw request and response are repeated in
// input.value and output.value.
// https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md
var openInference = dialect{
	name:   "openinference",
	marker: "openinference.span.kind",
	kind:   func(r *reader, _ string) (trajectory.Role, bool) { return openInferenceRole(r.text(fOIKind)) },
	rows: []row{
		{"openinference.span.kind", fOIKind},
		{"llm.provider", fProvider},
		{"llm.system", fProvider},
		{"llm.request.model_name", fRequestModel},
		{"llm.response.model_name", fResponseModel},
		{"llm.model_name", fResponseModel},
		{"llm.finish_reason", fFinish},
		{"llm.token_count.prompt", fInputTokens},
		{"llm.token_count.completion", fOutputTokens},
		{"llm.token_count.prompt_details.cache_read", fCachedTokens},
		{"llm.invocation_parameters", fInvocation},
		{"input.value", fValueIn},
		{"output.value", fValueOut},
		{"tool.name", fToolName},
		{"tool.id", fToolCallID},
		{"tool_call.id", fToolCallID},
		{"tool.parameters", fToolParameters},
		{"agent.name", fAgent},
		{"graph.node.name", fNodeName},
		{"metadata", fMetadata},
	},
	read: readOpenInference,
}

func readOpenInference(_ *Decoder, s *trajectory.Span, _ ptrace.Span) {
	if s.Role == trajectory.RoleModelSpan && helps(s) {
		s.Role, s.Call, s.Missing = trajectory.RoleOther, nil, nil
	}
}

// helps says whether a span is of a private method of a model's class in
// Python, such as LlamaIndex's OpenAI._prepare_chat_with_tools, which is
// instrumented like its calls and shows no answer.
func helps(s *trajectory.Span) bool {
	_, method, ok := strings.Cut(s.Name, ".")
	c := s.Call
	return ok && strings.HasPrefix(method, "_") && len(c.Reply) == 0 && c.ResponseID == "" && c.OutputTokens == nil && s.Error == ""
}

// openInferenceRole maps openinference.span.kind. Chains are structure: graph
// nodes, runnables, workflows.
func openInferenceRole(kind string) (trajectory.Role, bool) {
	switch strings.ToUpper(kind) {
	case "LLM":
		return trajectory.RoleModelSpan, true
	case "TOOL":
		return trajectory.RoleToolSpan, true
	case "AGENT":
		return trajectory.RoleAgentSpan, true
	}
	return trajectory.RoleOther, true
}

// judges says whether the kind is of spans that judge the agent: the model
// calls below them are not the agent's.
func judges(kind string) bool {
	return strings.EqualFold(kind, "EVALUATOR") || strings.EqualFold(kind, "GUARDRAIL")
}

// metadata reads what frameworks put into the JSON of the metadata attribute:
// session ids, and where in LangGraph's graphs a span runs.
func (r *reader) metadata(s *trajectory.Span) {
	raw := r.text(fMetadata)
	if !strings.HasPrefix(raw, "{") {
		return
	}
	o := parse(raw)
	if s.Conversation == "" {
		s.Conversation = strings.Clone(o.first("session_id", "thread_id", "conversation_id").asText()) // the JSON is long
	}
	if s.User == "" {
		s.User = strings.Clone(o.get("user_id").asText())
	}
	if !o.get("ls_integration").exists() {
		return
	}
	ns := o.get("langgraph_checkpoint_ns").asText()
	if s.Graph = 1; ns != "" {
		s.Graph = uint8(min(2+strings.Count(ns, "|"), 255)) //nolint:gosec // at most 255
	}
	if s.Agent == "" {
		s.Agent = strings.Clone(o.get("lc_agent_name").asText())
	}
	if r.marked && s.ParentID == (trajectory.SpanID{}) && s.Graph == 1 && s.Role == trajectory.RoleOther {
		s.Role = trajectory.RoleAgentSpan // the graph itself
		if s.Agent == "" && s.Name != "LangGraph" {
			s.Agent = s.Name
		}
	}
}
