package genai

import (
	"cmp"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// geminiCLI is what the Gemini CLI writes: semconv's names with operations of
// its own and Gemini's contents. Every model call and every batch of tool calls
// is a trace, tied to the others by the session alone.
// https://github.com/google-gemini/gemini-cli/blob/main/docs/cli/telemetry.md
var geminiCLI = dialect{
	name:  geminiCLIName,
	scope: "gemini-cli",
	kind:  func(r *reader, _ string) (trajectory.Role, bool) { return geminiCLIRole(r.text(fOperation)) },
	rows: []row{
		{"gen_ai.tool.call_id", fToolCallID},
	},
	read:   readGeminiCLI,
	record: geminiRecord,
}

func init() {
	events["gemini_cli.user_prompt"] = geminiPrompt
	events["gemini_cli.api_request"] = geminiRequest
	events["gemini_cli.api_response"] = geminiResponse
	events["gemini_cli.api_error"] = geminiResponse
	events["gemini_cli.tool_call"] = geminiTool
}

const geminiCLIName = "gemini-cli"

// geminiCLIRole maps gen_ai.operation.name.
func geminiCLIRole(op string) (trajectory.Role, bool) {
	switch op {
	case "llm_call":
		return trajectory.RoleModelSpan, true
	case "tool_call":
		return trajectory.RoleToolSpan, true
	case "agent_call":
		return trajectory.RoleAgentSpan, true
	}
	return trajectory.RoleOther, op != ""
}

func readGeminiCLI(d *Decoder, s *trajectory.Span, span ptrace.Span) {
	s.Dialect, s.Piece = geminiCLIName, true
	if s.Agent == geminiCLIName {
		s.Agent = "" // of the program, on every span
	}
	s.Turn = attr(span.Attributes(), "gen_ai.prompt.name")
	switch s.Role {
	case trajectory.RoleModelSpan:
		if raw := strings.TrimSpace(d.r.text(fOutputParts)); strings.HasPrefix(raw, "{") {
			var missing trajectory.Reason
			s.Call.Reply, missing = d.said("[" + raw + "]")
			s.Missing = slices.DeleteFunc(s.Missing, func(r trajectory.Reason) bool { return r == trajectory.ReasonTruncated && missing == "" })
		}
		s.Call.Reply = d.geminiReply(s.Call.Reply)
	case trajectory.RoleToolSpan:
		d.geminiRun(s, parse(d.r.text(fInputParts)), parse(d.r.text(fOutputParts)))
	case trajectory.RoleAgentSpan:
		s.In, s.Out = "", "" // parameters and result of the tool that runs the agent
	}
}

// geminiReply puts a streamed reply together: its chunks are shown as messages.
func (d *Decoder) geminiReply(ms []*trajectory.Message) []*trajectory.Message {
	if len(ms) == 0 {
		return nil
	}
	whole := trajectory.Message{Role: trajectory.RoleAssistant}
	for _, m := range ms {
		whole.Text += m.Text
		whole.Reasoning += m.Reasoning
		whole.Parts += m.Parts
		for _, c := range m.ToolCalls {
			c.ID = geminiID(c.Name, c.ID)
			whole.ToolCalls = append(whole.ToolCalls, c)
		}
	}
	if len(ms) > 1 && whole.Parts != "" {
		return ms
	}
	if !says(&whole) {
		return nil
	}
	return []*trajectory.Message{d.memo.shared(&whole)}
}

// geminiRecord corrects what other readers made of the program's records.
func geminiRecord(d *Decoder, s *trajectory.Span) {
	s.Dialect = geminiCLIName
	if s.Call != nil {
		s.Call.Reply = d.geminiReply(s.Call.Reply)
	}
}

func geminiPrompt(_ *Decoder, e event, s *trajectory.Span) bool {
	s.Record, s.Role, s.Call = trajectory.RecordEvent, trajectory.RoleAgentSpan, nil
	s.Turn = attr(e.attrs, "prompt_id")
	if s.In = attr(e.attrs, "prompt"); redacted(s.In) {
		s.In = ""
	}
	return true
}

func geminiRequest(d *Decoder, e event, s *trajectory.Span) bool {
	s.Record = trajectory.RecordRequest
	s.Turn = attr(e.attrs, "prompt_id")
	s.Call.RequestModel = d.memo.name(attr(e.attrs, "model"))
	var missing trajectory.Reason
	s.Call.Prompt, missing = d.request(attr(e.attrs, "request_text"), nil)
	s.Missing = addReason(s.Missing, missing)
	return len(s.Call.Prompt) > 0
}

// geminiResponse reads a call that ended. The response is a list of its chunks.
func geminiResponse(d *Decoder, e event, s *trajectory.Span) bool {
	c := s.Call
	s.Record = trajectory.RecordEvent
	c.RequestModel = d.memo.name(attr(e.attrs, "model"))
	for k, v := range e.attrs.All() {
		switch k {
		case "prompt_id":
			s.Turn = v.AsString()
		case "input_token_count":
			c.InputTokens = counted(v)
		case "output_token_count":
			c.OutputTokens = counted(v)
		case "cached_content_token_count":
			c.CachedTokens = counted(v)
		case "duration_ms":
			begins(s, counted(v))
		case "error", "error.message":
			s.Error = cmp.Or(s.Error, v.AsString())
		case "response_text":
			d.geminiChunks(s, v.AsString())
		}
	}
	if strings.HasSuffix(e.name, "error") {
		s.Error = cmp.Or(s.Error, "error")
	} else {
		s.Error = ""
	}
	return true
}

func (d *Decoder) geminiChunks(s *trajectory.Span, raw string) {
	list := scanner{s: raw}
	if list.peek() != '[' {
		return
	}
	for more := list.enter('['); more; more = list.next(']') {
		chunk := list.value()
		if s.Call.ResponseID == "" {
			s.Call.ResponseID = chunk.member("responseId").asText()
		}
		ms, _ := d.response(chunk.raw, s.Call)
		s.Call.Reply = append(s.Call.Reply, ms...)
	}
	if !list.done() {
		s.Call.Reply, s.Missing = nil, addReason(s.Missing, trajectory.ReasonTruncated)
	}
}

// geminiTool reads a tool run; one that the user refused never ran.
func geminiTool(d *Decoder, e event, s *trajectory.Span) bool {
	s.Record, s.Role, s.Call, s.Tool = trajectory.RecordEvent, trajectory.RoleToolSpan, nil, &trajectory.ToolRun{}
	ran := true
	for k, v := range e.attrs.All() {
		switch k {
		case "prompt_id":
			s.Turn = v.AsString()
		case "function_name":
			s.Tool.Name = d.memo.name(v.AsString())
		case "function_args":
			s.Tool.Arguments = object(v.AsString())
		case "duration_ms":
			begins(s, counted(v))
		case "decision":
			ran = ran && v.AsString() != "reject"
		case "success":
			if v.AsString() == "false" {
				s.Error = cmp.Or(s.Error, "error")
			}
		case "error", "error.message":
			if text := v.AsString(); text != "" {
				s.Error = text
			}
		}
	}
	return ran && s.Tool.Name != ""
}

// geminiID is the id of a tool call as the history shows it: the client makes
// ids up and puts the tool's name before them once more.
func geminiID(name, id string) string {
	if rest, ok := strings.CutPrefix(id, name+"__"); ok && name != "" && strings.HasPrefix(rest, name+"_") {
		return rest
	}
	return id
}

// geminiRun reads a tool run: the scheduler's request and what became of it.
func (d *Decoder) geminiRun(s *trajectory.Span, request, outcome members) {
	t := s.Tool
	if name := request.get("name"); t.Name == "" || t.Name == s.Name {
		t.Name = d.memo.name(name.asText())
	}
	if t.CallID == "" {
		t.CallID = request.get("callId").asText()
	}
	t.CallID = geminiID(t.Name, t.CallID)
	if args := request.get("args"); args.isObject() {
		t.Arguments = d.draft().value(args)
	}
	part := firstOf(outcome.get("response").member("responseParts"))
	response := part.get("functionResponse").member("response")
	if response.isObject() {
		t.Result = new(d.memo.results.add(t.CallID, d.draft().value(response)))
	}
	switch status := outcome.get("status").view(); {
	case status == "error" || status == "cancelled":
		if s.Error = response.member("error").asText(); s.Error == "" {
			s.Error = status
		}
	}
}
