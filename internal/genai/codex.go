package genai

import (
	"cmp"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// codex is what the Codex CLI writes. Its spans are the program's own functions,
// without content, in many traces; the span of a turn tells whose they are. What
// the agent did is in log records that name the conversation alone: what the
// user said, which calls ended with how many tokens, which tools ran. What the
// model said is shown for final answers, where that is switched on.
// https://github.com/openai/codex/blob/main/docs/config.md
var codex = dialect{
	name:   codexName,
	scope:  "codex_cli_rs",
	also:   []string{"codex_exec", "codex-app-server", "codex_app_server", "codex_mcp_server"},
	prefix: "codex.",
	kind:   codexRole,
	read:   readCodex,
}

const codexName = "codex"

func init() {
	events["codex.user_prompt"] = codexPrompt
	events["codex.api_request"] = codexRequest
	events["codex.websocket_request"] = codexRequest
	events["codex.sse_event"] = codexCall
	events["codex.tool_result"] = codexTool
	events["codex.agent_response"] = codexAnswer
}

// codexRole knows the turn; all other spans are functions of the program.
func codexRole(_ *reader, name string) (trajectory.Role, bool) {
	if name == "session_task.turn" {
		return trajectory.RoleAgentSpan, true
	}
	return trajectory.RoleOther, true
}

// readCodex reads whose turn it is. What semconv calls the conversation is the
// turn; the thread is the conversation of the records. The Rust libraries write
// the number of an operating system's thread under the same name.
func readCodex(d *Decoder, s *trajectory.Span, span ptrace.Span) {
	s.Dialect, s.Conversation, s.In, s.Out = codexName, "", "", ""
	if s.Role != trajectory.RoleAgentSpan {
		return
	}
	s.Hosts = true
	for k, v := range span.Attributes().All() {
		switch k {
		case "thread.id":
			if v.Type() == pcommon.ValueTypeStr {
				s.Conversation = d.memo.name(v.Str())
			}
		case "turn.id":
			s.Turn = v.AsString()
		}
	}
}

// codexEvent begins to read a record.
func codexEvent(d *Decoder, e event, s *trajectory.Span) {
	s.Dialect, s.Record = codexName, trajectory.RecordEvent
	for k, v := range e.attrs.All() {
		switch k {
		case "conversation.id":
			s.Conversation = d.memo.name(v.AsString())
		case "user.account_id":
			s.User = cmp.Or(d.memo.name(v.AsString()), s.User) // before the address, whichever comes first
		case "user.email":
			s.User = cmp.Or(s.User, d.memo.name(v.AsString()))
		case "model":
			if s.Call != nil {
				s.Call.RequestModel = d.memo.name(v.AsString())
			}
		}
	}
}

func codexPrompt(d *Decoder, e event, s *trajectory.Span) bool {
	s.Call = nil
	codexEvent(d, e, s)
	s.Role = trajectory.RoleAgentSpan
	if s.In = attr(e.attrs, "prompt"); redacted(s.In) {
		s.In, s.Missing = "", addReason(s.Missing, trajectory.ReasonRedacted)
	}
	return true
}

// codexRequest reads when a call began: the server had taken the request. One
// that it refused was a call that failed.
func codexRequest(d *Decoder, e event, s *trajectory.Span) bool {
	codexEvent(d, e, s)
	var took *int64
	refused := false
	for k, v := range e.attrs.All() {
		switch k {
		case "duration_ms":
			took = counted(v)
		case "http.response.status_code":
			status := counted(v)
			refused = refused || status != nil && *status >= 400
		case "error.message":
			s.Error = v.AsString()
		case "endpoint":
			if p := v.AsString(); p != "" && p != "unknown" && !strings.HasSuffix(strings.TrimSuffix(p, "/"), "responses") {
				return false // not a call of a model
			}
		}
	}
	begins(s, took)
	if refused || s.Error != "" {
		s.Error = cmp.Or(s.Error, "refused by the server")
		return true
	}
	s.Record = trajectory.RecordRequest
	return true
}

// codexCall reads the end of a call; all other events of its stream say
// nothing. Where nothing was generated the server was warmed up.
func codexCall(d *Decoder, e event, s *trajectory.Span) bool {
	kind := attr(e.attrs, "event.kind")
	if kind != "response.completed" && kind != "response.failed" {
		return false
	}
	codexEvent(d, e, s)
	c := s.Call
	c.Provider = "openai"
	for k, v := range e.attrs.All() {
		switch k {
		case "input_token_count":
			c.InputTokens = counted(v)
		case "output_token_count":
			c.OutputTokens = counted(v)
		case "cached_token_count":
			c.CachedTokens = counted(v)
		case "error.message":
			s.Error = v.AsString()
		}
	}
	if kind == "response.failed" {
		s.Error = cmp.Or(s.Error, "error")
	}
	return s.Error != "" || c.OutputTokens != nil && *c.OutputTokens > 0
}

// codexCut ends a preview of what a tool returned.
const codexCut = "[... telemetry preview truncated ...]"

func codexTool(d *Decoder, e event, s *trajectory.Span) bool {
	s.Call, s.Tool = nil, &trajectory.ToolRun{}
	codexEvent(d, e, s)
	s.Role = trajectory.RoleToolSpan
	t, failed := s.Tool, false
	for k, v := range e.attrs.All() {
		switch k {
		case "tool_name":
			t.Name = d.memo.name(v.AsString())
		case "call_id":
			t.CallID = v.AsString()
		case "arguments":
			t.Arguments = v.AsString()
		case "output":
			t.Result = new(v.AsString())
		case "success":
			failed = v.AsString() == "false"
		case "duration_ms":
			begins(s, counted(v))
		}
	}
	if failed {
		s.Error = "error"
		if t.Result != nil && *t.Result != "" {
			s.Error = *t.Result
		}
	}
	if t.Result != nil && strings.HasSuffix(strings.TrimSpace(*t.Result), codexCut) {
		t.Result, s.Missing = nil, addReason(s.Missing, trajectory.ReasonTruncated)
	}
	return t.Name != "" || t.CallID != ""
}

// codexAnswer reads a final answer.
func codexAnswer(d *Decoder, e event, s *trajectory.Span) bool {
	codexEvent(d, e, s)
	s.Record = trajectory.RecordResponse
	text := attr(e.attrs, "response")
	if attr(e.attrs, "response_truncated") == "true" {
		text, s.Missing = "", addReason(s.Missing, trajectory.ReasonTruncated)
	}
	if text != "" && !redacted(text) {
		s.Call.Reply = d.says(trajectory.RoleAssistant, text)
	}
	return len(s.Call.Reply) > 0 || len(s.Missing) > 0
}
