package genai

import (
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// claudeCode is what Claude Code, and with it the Claude Agent SDK, writes: a
// span for every message of the user (interaction), and below it one a model
// call and one a tool run. Content is in events of tool spans and in log records
// that are written below the agent's span. Prompts are shown in no place but
// whole request bodies.
// https://code.claude.com/docs/en/monitoring-usage
var claudeCode = dialect{
	name:  claudeCodeName,
	scope: "com.anthropic.claude_code.tracing",
	kind:  claudeCodeRole,
	read:  readClaudeCode,
}

const claudeCodeName = "claude-code"

func init() {
	for name, read := range map[string]readEvent{
		"user_prompt":        claudeCodePrompt,
		"api_request":        claudeCodeCall,
		"api_error":          claudeCodeCall,
		"assistant_response": claudeCodeAnswer,
		"api_request_body":   claudeCodeBody,
		"api_response_body":  claudeCodeBody,
		"tool_result":        claudeCodeTool,
	} {
		events["claude_code."+name] = read
	}
}

// claudeCodeRole is the role by the span's name. The run of a tool is shown
// twice: with the wait for the user's consent around it, and alone.
func claudeCodeRole(r *reader, name string) (trajectory.Role, bool) {
	switch strings.TrimPrefix(name, "claude_code.") {
	case "interaction":
		return trajectory.RoleAgentSpan, true
	case "llm_request":
		return trajectory.RoleModelSpan, true
	case "tool", "tool.execution":
		return trajectory.RoleToolSpan, true
	}
	return trajectory.RoleOther, true
}

// helper says whether a request is not the agent's: titles, suggestions and
// probes are asked for beside it.
func helper(source string) bool {
	switch source {
	case "prompt_suggestion", "generate_session_title", "quota":
		return true
	}
	return false
}

func readClaudeCode(d *Decoder, s *trajectory.Span, span ptrace.Span) {
	o := d.claude(s, span.Attributes())
	s.Hosts = s.Role == trajectory.RoleAgentSpan || s.Role == trajectory.RoleToolSpan
	switch s.Role {
	case trajectory.RoleAgentSpan:
		s.In = o.shown(s, o.prompt)
		s.Reports = notified(s.In)
	case trajectory.RoleModelSpan:
		if helper(o.source) {
			s.Role, s.Call = trajectory.RoleOther, nil
			return
		}
		o.call(s)
		if text := o.shown(s, o.output); text != "" {
			s.Call.Reply = d.says(trajectory.RoleAssistant, text)
		}
	case trajectory.RoleToolSpan:
		o.run(d, s)
		for _, e := range span.Events().All() {
			if e.Name() == "tool.output" {
				o.result(d, s, e.Attributes())
			}
		}
	}
	if o.failed && s.Error == "" {
		s.Error = o.err
	}
}

// claude is what Claude Code's attributes say; the names are too plain to be
// looked for on every span.
type claude struct {
	source, model, prompt, output, err string
	tool, toolID, toolInput, toolKnown string
	body                               string
	failed, cut                        bool

	input, written, read, created, duration, size *int64
}

func (d *Decoder) claude(s *trajectory.Span, attrs pcommon.Map) (o claude) {
	s.Dialect = claudeCodeName
	for k, v := range attrs.All() {
		switch k {
		case "query_source", "query_source_safe":
			if o.source == "" || k == "query_source" {
				o.source = v.AsString()
			}
			s.Part = strings.HasPrefix(o.source, "agent")
			s.Main = !s.Part && o.source != ""
		case "model":
			o.model = d.memo.name(v.AsString())
		case "user_prompt", "prompt":
			o.prompt = v.AsString()
		case "response.model_output", "response":
			o.output = v.AsString()
		case "error":
			o.err = v.AsString()
		case "success":
			o.failed = v.AsString() == "false"
		case "tool_name":
			o.tool = v.AsString()
		case "tool_use_id":
			o.toolID = v.AsString()
		case "tool_input":
			o.toolInput = v.AsString()
		case "tool_parameters":
			o.toolKnown = v.AsString()
		case "subagent_type":
			s.Starts = d.memo.name(v.AsString())
		case "agent.name":
			s.Agent = d.memo.name(v.AsString())
		case "session.id": // what semconv calls the conversation is a sub-agent's own
			s.Conversation = d.memo.name(v.AsString())
		case "agent_id":
			s.AgentID = d.memo.name(v.AsString())
		case "prompt.id":
			s.Turn = d.memo.name(v.AsString())
		case "request_id":
			s.Request = v.AsString()
		case "body":
			o.body = v.AsString()
		case "body_truncated":
			o.cut = v.AsString() == "true"
		case "input_tokens":
			o.input = counted(v)
		case "output_tokens":
			o.written = counted(v)
		case "cache_read_tokens":
			o.read = counted(v)
		case "cache_creation_tokens":
			o.created = counted(v)
		case "duration_ms":
			o.duration = counted(v)
		case "tool_input_size_bytes":
			o.size = counted(v)
		case "event.sequence":
			if n := counted(v); n != nil && *n < 1<<30 {
				s.Order = int(*n) + 1
			}
		}
	}
	return o
}

// shown is a text that is no placeholder.
func (o *claude) shown(s *trajectory.Span, text string) string {
	if redacted(text) {
		s.Missing = addReason(s.Missing, trajectory.ReasonRedacted)
		return ""
	}
	return text
}

// call reads what is said of a model call. Tokens that came from the cache are
// counted apart.
func (o *claude) call(s *trajectory.Span) {
	c := s.Call
	if c.Provider == "" {
		c.Provider = "anthropic"
	}
	if c.RequestModel == "" {
		c.RequestModel = o.model
	}
	c.OutputTokens, c.CachedTokens, c.InputTokens = o.written, o.read, nil
	if o.input != nil && o.read != nil && o.created != nil {
		c.InputTokens = new(*o.input + *o.read + *o.created)
	}
}

// used takes token counts as the API returns them.
func (o *claude) used(usage token) {
	u := parse(usage.raw)
	for _, n := range []struct {
		name string
		to   **int64
	}{{"input_tokens", &o.input}, {"output_tokens", &o.written}, {"cache_read_input_tokens", &o.read}, {"cache_creation_input_tokens", &o.created}} {
		if v := u.get(n.name); v.isNumber() && v.integer() >= 0 {
			*n.to = new(v.integer())
		}
	}
}

// run reads what is said of a tool run. The name is the one that the model
// calls.
func (o *claude) run(d *Decoder, s *trajectory.Span) {
	t := s.Tool
	if t.Name == s.Name {
		t.Name = "" // of the span, for want of another
	}
	if o.tool != "" {
		t.Name = d.memo.name(o.tool)
	}
	known := parse(o.toolKnown)
	if server := known.get("mcp_server_name").asText(); server != "" && !strings.HasPrefix(t.Name, "mcp__") {
		t.Name = d.memo.name("mcp__" + mcpName(server) + "__" + mcpName(known.get("mcp_tool_name").asText()))
	}
	if o.toolID != "" {
		t.CallID = o.toolID
	}
	if kind := known.get("subagent_type").asText(); kind != "" && s.Starts == "" {
		s.Starts = d.memo.name(kind)
	}
	if t.Arguments == "" && o.toolInput != "" {
		switch args := o.toolInput; {
		case args != "{}" && o.shown(s, args) == "":
		case object(args) == "" || o.size != nil && *o.size != int64(len(args)):
			s.Missing = addReason(s.Missing, trajectory.ReasonTruncated)
		default:
			t.Arguments = args
		}
	}
}

// mcpName is a name as it stands in the name of an MCP tool.
func mcpName(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '_'
	}, s)
}

// result reads the event that shows what a tool returned.
func (o *claude) result(d *Decoder, s *trajectory.Span, attrs pcommon.Map) {
	for _, k := range []string{"output", "content"} {
		v, ok := attrs.Get(k)
		if !ok || s.Tool.Result != nil {
			continue
		}
		if cut := attr(attrs, k+"_truncated"); cut == "true" {
			s.Missing = addReason(s.Missing, trajectory.ReasonTruncated)
		} else if text := v.AsString(); !redacted(text) {
			s.Tool.Result = new(d.memo.results.add(s.Tool.CallID, text))
		} else {
			s.Missing = addReason(s.Missing, trajectory.ReasonRedacted)
		}
	}
}

// notified is the id of the tool call of which a message of the harness tells
// the outcome: background work that outlived the turn which began it.
func notified(prompt string) string {
	rest, ok := strings.CutPrefix(strings.TrimSpace(prompt), "<task-notification>")
	if !ok {
		return ""
	}
	_, rest, ok = strings.Cut(rest, "<tool-use-id>")
	id, _, closed := strings.Cut(rest, "</tool-use-id>")
	if !ok || !closed {
		return ""
	}
	return strings.TrimSpace(id)
}

// counted is a number of things; nil for anything else.
func counted(v pcommon.Value) *int64 {
	n := v.Int()
	if v.Type() != pcommon.ValueTypeInt {
		var err error
		if n, err = strconv.ParseInt(v.AsString(), 10, 64); err != nil {
			return nil
		}
	}
	if n < 0 {
		return nil
	}
	return &n
}

// begins moves the start of a record to when what it tells of began.
func begins(s *trajectory.Span, ms *int64) {
	if ms != nil && *ms < int64(24*time.Hour/time.Millisecond) {
		s.Start = s.End - *ms*int64(time.Millisecond)
	}
}

func claudeCodePrompt(d *Decoder, e event, s *trajectory.Span) bool {
	o := d.claude(s, e.attrs)
	s.Record, s.Role, s.Call = trajectory.RecordEvent, trajectory.RoleAgentSpan, nil
	s.In = o.shown(s, o.prompt)
	s.Reports = notified(s.In)
	return true
}

func claudeCodeCall(d *Decoder, e event, s *trajectory.Span) bool {
	o := d.claude(s, e.attrs)
	s.Record = trajectory.RecordEvent
	o.call(s)
	begins(s, o.duration)
	if strings.HasSuffix(e.name, "error") {
		if s.Error = o.err; s.Error == "" {
			s.Error = "error"
		}
	}
	return !helper(o.source)
}

func claudeCodeAnswer(d *Decoder, e event, s *trajectory.Span) bool {
	o := d.claude(s, e.attrs)
	s.Record = trajectory.RecordResponse
	s.Call.RequestModel = o.model
	if text := o.shown(s, o.output); text != "" {
		s.Call.Reply = d.says(trajectory.RoleAssistant, text)
	}
	return !helper(o.source) && (len(s.Call.Reply) > 0 || len(s.Missing) > 0)
}

// claudeCodeBody reads a request or a response as it was sent. A body in a file
// is not here.
func claudeCodeBody(d *Decoder, e event, s *trajectory.Span) bool {
	o := d.claude(s, e.attrs)
	s.Call.RequestModel = o.model
	var missing trajectory.Reason
	if s.Record = trajectory.RecordEvent; strings.HasSuffix(e.name, "request_body") {
		s.Record = trajectory.RecordRequest
		s.Call.Prompt, missing = d.request(o.body, s.Call)
	} else {
		s.Call.Reply, missing = d.response(o.body, s.Call)
		s.Call.Reply = d.spokenBy(s.Call.Reply, trajectory.RoleAssistant)
		o.used(parse(o.body).get("usage"))
		o.call(s)
	}
	if o.cut {
		s.Call.Prompt, s.Call.Reply, missing = nil, nil, trajectory.ReasonTruncated
	}
	s.Missing = addReason(s.Missing, missing)
	return !helper(o.source)
}

func claudeCodeTool(d *Decoder, e event, s *trajectory.Span) bool {
	o := d.claude(s, e.attrs)
	s.Record, s.Role, s.Call, s.Tool = trajectory.RecordEvent, trajectory.RoleToolSpan, nil, &trajectory.ToolRun{}
	o.run(d, s)
	begins(s, o.duration)
	if o.failed {
		if s.Error = o.err; s.Error == "" {
			s.Error = "error"
		}
	}
	return s.Tool.CallID != "" || s.Tool.Name != ""
}
