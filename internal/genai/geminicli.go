package genai

import (
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
	read: readGeminiCLI,
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
