package genai

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// langSmith is what LangSmith's SDKs write in OTEL mode: a run's inputs and
// outputs as JSON, its metadata one attribute a key. Its "session" is the
// project (langsmith.trace.session_id and _name), never a conversation.
//
// The JavaScript SDK writes late: a streamed model call is written onto the
// span that is active, so a run's root can become one of its model calls while
// the calls after it are lost; and a prompt shows what its list of messages held
// when the span was sent.
// https://docs.langchain.com/langsmith/trace-with-opentelemetry
var langSmith = dialect{
	name:   "langsmith",
	prefix: "langsmith.",
	scope:  "langsmith",
	kind:   kindWord,
	read:   readLangSmith,
	rows: []row{
		{"langsmith.span.kind", fKind},
		{"gen_ai.prompt", fIn},
		{"gen_ai.completion", fOut},
		{"langsmith.metadata.ls_provider", fProvider},
		{"langsmith.metadata.ls_model_name", fRequestModel},
		{"langsmith.metadata.ls_temperature", fTemperature},
		{"langsmith.metadata.ls_max_tokens", fMaxTokens},
		{"langsmith.metadata.ls_invocation_params", fInvocation},
		{"langsmith.usage_metadata", fUsage},
		{"langsmith.metadata.usage_metadata", fUsage},
		{"langsmith.metadata.session_id", fConversation},
		{"langsmith.metadata.thread_id", fConversation},
		{"langsmith.metadata.conversation_id", fConversation},
		{"langsmith.metadata.user_id", fUser},
	},
}

func readLangSmith(d *Decoder, s *trajectory.Span, span ptrace.Span) {
	a := span.Attributes()
	langSmithError(s, span)
	langGraph(s, attr(a, "langsmith.metadata.lc_agent_name"), attr(a, "langsmith.metadata.langgraph_checkpoint_ns"))
	switch s.Role {
	case trajectory.RoleModelSpan:
		c, shown := s.Call, s.Call.Prompt
		c.Prompt = asSent(shown, c.Reply)
		if last := len(shown) - 1; s.ParentID == (trajectory.SpanID{}) && last > len(c.Prompt) &&
			shown[last].Role == trajectory.RoleAssistant && len(shown[last].ToolCalls) == 0 {
			s.Out = shown[last].Text // what the run came to
		}
		if provider := attr(a, "langsmith.metadata.ls_provider"); c.Provider == "langchain" && provider != "" {
			c.Provider = provider
		}
		if run := attr(a, "langsmith.trace.name"); run != "" && run != s.Name {
			s.Missing = addReason(s.Missing, trajectory.ReasonOverwritten)
		}
	case trajectory.RoleToolSpan:
		if t := s.Tool; t.Result != nil && s.Error == "" {
			if v := wrapped(*t.Result); v.exists() {
				t.Result = new(d.memo.results.add(t.CallID, d.draft().value(v)))
			}
		}
	case trajectory.RoleOther:
		if attr(a, "langsmith.metadata.ls_integration") != "" || attr(a, "langsmith.traceable") != "" || attr(a, "langsmith.metadata.ls_method") == "traceable" {
			graph(s)
		}
	}
}

// langSmithError reads a failed run: an exception event, whatever the status
// says, that ends with a trace of the stack.
func langSmithError(s *trajectory.Span, span ptrace.Span) {
	for i := range span.Events().Len() {
		e := span.Events().At(i)
		if e.Name() != "exception" {
			continue
		}
		text, _, _ := strings.Cut(attr(e.Attributes(), "exception.message"), "Traceback (most recent call last)")
		switch {
		case strings.Contains(text, handover):
			s.Error = ""
		case text != "":
			s.Error = strings.TrimSpace(text)
		}
	}
}

// wrapped is the value of a traced function that returned no object: it stands
// alone in one.
func wrapped(raw string) token {
	o := parse(raw)
	if len(o) != 1 || o[0].name != "output" && o[0].name != "outputs" {
		return token{}
	}
	return o[0].value
}

// asSent is a prompt up to the reply that it led to. A list that goes on with
// the very call ids of the reply was written down after it.
func asSent(prompt, reply []*trajectory.Message) []*trajectory.Message {
	if len(reply) == 0 {
		return prompt
	}
	last := reply[len(reply)-1]
	if n := len(prompt); len(last.ToolCalls) == 0 && last.Text != "" && n > 0 &&
		prompt[n-1].Role == trajectory.RoleAssistant && prompt[n-1].Text == last.Text {
		return prompt[: n-1 : n-1]
	}
	for i, m := range prompt {
		for k := range m.ToolCalls {
			if m.Role == trajectory.RoleAssistant && m.ToolCalls[k].ID != "" && asks(last, m.ToolCalls[k].ID) {
				return prompt[:i:i]
			}
		}
	}
	return prompt
}

// asks says whether a reply has a call of that id. Ids of calls that were merged
// stand one behind the other.
func asks(m *trajectory.Message, id string) bool {
	for k := range m.ToolCalls {
		if m.ToolCalls[k].ID == id {
			return true
		}
	}
	return false
}
