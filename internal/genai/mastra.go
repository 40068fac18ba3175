package genai

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// mastra is what Mastra's OTel exporter and bridge write. An agent run holds a
// model_generation, the loop; in it one model_step a call, with a preview of
// what was sent and the whole answer; in that a model_inference, the call
// itself, whose pieces are model_chunk spans. Which of them is called chat, and
// has the standard attributes, depends on the version.
// https://mastra.ai/docs/observability/tracing/exporters/otel
var mastra = dialect{
	name:   "mastra",
	prefix: "mastra.",
	kind:   func(r *reader, _ string) (trajectory.Role, bool) { return mastraRole(r.text(fMastraType)) },
	read:   mastraRead,
	rows: []row{
		{"mastra.span.type", fMastraType},
		{"mastra.model_inference.input", fRequest},
		{"mastra.model_inference.output", fResponse},
		{"mastra.model_step.input", fRequest},
		{"mastra.model_step.output", fResponse},
		{"mastra.model_generation.input", fRequest},
		{"mastra.model_generation.output", fResponse},
		{"mastra.model_chunk.output", fResponse},
		{"mastra.agent_run.input", fRequest},
		{"mastra.metadata.threadId", fConversation},
		{"mastra.metadata.sessionId", fConversation},
		{"mastra.metadata.userId", fUser},
		{"mastra.metadata.resourceId", fUser},
	},
}

func mastraRole(kind string) (trajectory.Role, bool) {
	switch kind {
	case "agent_run", "workflow_run":
		return trajectory.RoleAgentSpan, true
	case "model_generation", "model_step", "model_inference":
		return trajectory.RoleModelSpan, true
	case "tool_call", "mcp_tool_call", "provider_tool_call":
		return trajectory.RoleToolSpan, true
	}
	return trajectory.RoleOther, kind != ""
}

func mastraRead(d *Decoder, s *trajectory.Span, _ ptrace.Span) {
	switch kind := d.r.text(fMastraType); {
	case s.Role == trajectory.RoleModelSpan:
		d.mastraCut(s)
		if kind == "model_generation" {
			s.Role = trajectory.RoleAgentSpan // its reply and its usage are those of all calls together
		} else {
			s.Call.Prompt, s.Call.Outline = d.outline(s.Call.Prompt)
		}
	case s.Role == trajectory.RoleOther && kind == "model_chunk":
		s.Call = d.mastraPiece(d.r.text(fResponse))
	case kind == "agent_run":
		// The output joins what all calls said; it is no answer.
		ms, _ := d.request(d.r.text(fRequest), nil)
		if in := lastText(ms, trajectory.RoleUser); in != "" {
			s.In = in
		}
	case s.Role == trajectory.RoleToolSpan:
		if mastraCut(s.Tool.Arguments) {
			s.Tool.Arguments, s.Missing = "", addReason(s.Missing, trajectory.ReasonTruncated)
		}
		if s.Tool.Result != nil && mastraCut(*s.Tool.Result) {
			s.Tool.Result, s.Missing = nil, addReason(s.Missing, trajectory.ReasonTruncated)
		}
	}
}

// mastraCut drops a prompt or a reply that was cut to the exporter's limits.
func (d *Decoder) mastraCut(s *trajectory.Span) {
	if mastraCut(d.r.text(fRequest)) || mastraCut(d.r.text(fInputParts)) {
		s.Call.Prompt, s.Missing = nil, addReason(s.Missing, trajectory.ReasonTruncated)
	}
	if mastraCut(d.r.text(fResponse)) || mastraCut(d.r.text(fOutputParts)) {
		s.Call.Reply, s.Missing = nil, addReason(s.Missing, trajectory.ReasonTruncated)
	}
}

// mastraCut says whether JSON has marks of what was left out: deep values, long
// texts, lists and objects.
func mastraCut(raw string) bool {
	for _, mark := range []string{`"[MaxDepth]"`, `…[truncated]"`, ` more items]"`, `"__truncated":`, `"[Circular]"`} {
		if strings.Contains(raw, mark) {
			return true
		}
	}
	return false
}

// mastraPiece is a piece of a reply: a tool call as it was streamed, or text,
// said or thought. Pieces of tools' results have a type.
func (d *Decoder) mastraPiece(raw string) *trajectory.Call {
	o := parse(raw)
	dr := d.draft()
	dr.m.Role = trajectory.RoleAssistant
	switch {
	case o.get("toolCallId").isText() && o.get("toolInput").exists():
		dr.addCall(o.get("toolCallId"), o.get("toolName"), dr.value(o.get("toolInput")))
	case o.get("text").isText() && !o.get("type").exists():
		dr.addText(dr.text(o.get("text")))
	}
	if ms := dr.done(); len(ms) > 0 {
		return &trajectory.Call{Reply: ms}
	}
	return nil
}

// outline reads the previews in which only names stand for tool calls and their
// results, thoughts and files. It returns whether any does.
func (d *Decoder) outline(ms []*trajectory.Message) (out []*trajectory.Message, outlined bool) {
	for _, m := range ms {
		x := *m
		var names []string
		switch m.Role {
		case trajectory.RoleTool:
			outlined = true
			if x.Text, names = marks(m.Text, "[tool-result: "); x.Text == "" && len(names) > 0 {
				for _, n := range names {
					out = append(out, d.memo.shared(&trajectory.Message{Role: m.Role, Name: d.memo.name(n)}))
				}
				continue
			}
			x.Text = m.Text
		case trajectory.RoleAssistant:
			for strings.HasPrefix(x.Text, "[reasoning]") {
				x.Text, outlined = strings.TrimPrefix(x.Text, "[reasoning]"), true
			}
			x.Text, names = marks(x.Text, "[tool: ")
			for _, n := range names {
				x.ToolCalls, outlined = append(x.ToolCalls, trajectory.ToolCall{Name: d.memo.name(n)}), true
			}
		default:
			outlined = outlined || strings.Contains(m.Text, "[image]") || strings.Contains(m.Text, "[file]")
		}
		out = append(out, d.memo.shared(&x))
	}
	return out, outlined
}

// marks cuts the marks at the end of a text, "[tool: a][tool: b]", and returns
// their names.
func marks(text, open string) (rest string, names []string) {
	for {
		end, found := strings.CutSuffix(strings.TrimRight(text, " "), "]")
		i := strings.LastIndex(end, open)
		if !found || i < 0 || strings.ContainsAny(end[i+len(open):], "[]") {
			return text, names
		}
		names = append([]string{end[i+len(open):]}, names...)
		text = end[:i]
	}
}
