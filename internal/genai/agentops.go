package genai

import (
	"strings"

	"github.com/tidwall/gjson"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// agentOps writes indexed attributes on model calls and its own kind on spans
// that the application decorates. A tool call that a model asked for is a span
// tool_call.<name> below the call: nothing ran there.
// https://docs.agentops.ai/v2/concepts/core-concepts
var agentOps = dialect{
	name:   "agentops",
	prefix: "agentops.",
	scope:  agentOpsChat,
	kind:   agentOpsRole,
	read:   readAgentOps,
	rows: []row{
		{"agentops.span.kind", fKind},
		{"agentops.entity.name", fToolName},
		{"tool.call.id", fToolCallID},
		{"tool.result", fToolResult},
		{"agentops.entity.input", fIn},
		{"agentops.tool.input", fIn},
		{"agentops.operation.input", fIn},
		{"agentops.task.input", fIn},
		{"agentops.agent.input", fIn},
		{"agentops.workflow.input", fIn},
		{"agentops.session.input", fIn},
		{"agentops.entity.output", fOut},
		{"agentops.agent.output", fOut},
		{"agentops.workflow.output", fOut},
		{"agentops.session.output", fOut},
		{"agentops.tool.output", fOut},
		{"agentops.operation.output", fOut},
		{"agentops.task.output", fOut},
		{"prompt_token_ids", fPromptTokenIDs},
		{"response_token_ids", fTokenIDs},
		{"logprobs.content", fLogprobs},
		{"agentops.session.id", fConversation},
	},
}

const agentOpsChat = "agentops.instrumentation.providers.openai.wrappers.chat"

// agentOpsRole maps agentops.span.kind.
func agentOpsRole(r *reader, name string) (trajectory.Role, bool) {
	if strings.HasPrefix(name, "tool_call.") && r.has(fToolCallID) {
		return trajectory.RoleOther, true
	}
	switch r.word() {
	case "session":
		return trajectory.RoleAgentSpan, true
	case "operation", "text", "http", "unknown":
		return trajectory.RoleOther, true
	}
	return kindWord(r, name)
}

func readAgentOps(d *Decoder, s *trajectory.Span, span ptrace.Span) {
	r := d.r
	switch s.Role {
	case trajectory.RoleAgentSpan:
		if s.Agent == "" {
			s.Agent = again(&d.memo.before.agent, attr(span.Attributes(), "operation.name"))
		}
	case trajectory.RoleModelSpan:
	case trajectory.RoleToolSpan:
		if !r.has(fToolName) {
			s.Tool.Name = d.memo.name(decorated(s.Name, "tool", span))
		}
	case trajectory.RoleOther:
		switch kind := r.word(); {
		case strings.HasPrefix(s.Name, "tool_call.") && r.has(fToolCallID):
			s.Call = d.askedBy()
		case kind == "operation" || kind == "task":
			d.function(s, decorated(s.Name, kind, span))
		}
	}
	s.Facts = append(s.Facts, legacyReward(s, r.text(fOut))...)
}

// decorated is the name of a decorated function: <name>.<kind> is its span.
func decorated(name, kind string, span ptrace.Span) string {
	if n := attr(span.Attributes(), "operation.name"); n != "" {
		return n
	}
	return strings.TrimSuffix(name, "."+kind)
}

// function makes a span of a traced function what may have been a tool run.
func (d *Decoder) function(s *trajectory.Span, name string) {
	s.Tool = &trajectory.ToolRun{}
	d.tool(s)
	s.Tool.Name = d.memo.name(name)
}

// askedBy is a reply that asks for the one tool that the span names.
func (d *Decoder) askedBy() *trajectory.Call {
	r := d.r
	call := trajectory.ToolCall{ID: r.text(fToolCallID), Name: d.memo.name(r.text(fToolName)), Arguments: r.text(fToolParameters)}
	return &trajectory.Call{Reply: []*trajectory.Message{d.memo.shared(&trajectory.Message{Role: trajectory.RoleAssistant, ToolCalls: []trajectory.ToolCall{call}})}}
}

// legacyReward reads {"type": "reward", "value": 1.0}, which Agent Lightning's
// first reward functions returned to AgentOps.
func legacyReward(s *trajectory.Span, out string) []trajectory.Fact {
	if !strings.Contains(out, `"reward"`) {
		return nil
	}
	o := gjson.Parse(out)
	if o.Get("type").Str != "reward" || o.Get("value").Type != gjson.Number {
		return nil
	}
	return []trajectory.Fact{annotation(s, "reward", o.Get("value").Num)}
}
