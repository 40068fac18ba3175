package genai

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// langChainJS is Traceloop's instrumentation of LangChain.js. Every runnable is
// a span without a parent, called a workflow; model calls show texts only, no
// tool calls; tools show the name of their class. All that is lost stands in
// the state that graph nodes show: LangChain's messages, serialized.
// https://www.npmjs.com/package/@traceloop/instrumentation-langchain
var langChainJS = dialect{
	name:  "traceloop-langchain",
	scope: "@traceloop/instrumentation-langchain",
	read:  readLangChainJS,
}

func readLangChainJS(d *Decoder, s *trajectory.Span, _ ptrace.Span) {
	r := d.r
	switch s.Role {
	case trajectory.RoleModelSpan:
		for i, m := range s.Call.Prompt { // content that was a list, of tools too
			if m.Role == trajectory.RoleTool && listOf(m.Text) == partList {
				s.Call.Prompt = d.plainResults(s.Call.Prompt, i)
				break
			}
		}
	case trajectory.RoleToolSpan:
		d.classTool(s.Tool, r.text(fIn), r.text(fOut))
	case trajectory.RoleAgentSpan, trajectory.RoleOther:
		s.Role, s.Agent = trajectory.RoleOther, ""
		if state := d.state(r.text(fIn), r.text(fOut)); len(state) > 0 {
			s.Call = &trajectory.Call{Prompt: state}
		}
	}
}

// plainResults opens what tools returned as a list of parts.
func (d *Decoder) plainResults(prompt []*trajectory.Message, from int) []*trajectory.Message {
	out := append(make([]*trajectory.Message, 0, len(prompt)), prompt...)
	for i := from; i < len(out); i++ {
		if m := out[i]; m.Role == trajectory.RoleTool && listOf(m.Text) == partList {
			open := *m
			open.Text = d.draft().blocks(token{raw: strings.TrimSpace(m.Text)})
			out[i] = d.memo.shared(&open)
		}
	}
	return out
}

// classTool reads a tool's span: {"args": ["<JSON>"]}, and the message that
// LangChain made of what it returned, which alone names the tool.
func (d *Decoder) classTool(t *trajectory.ToolRun, in, out string) {
	t.Name, t.Arguments, t.Result = "", "", nil
	if args := parse(in).get("args"); args.exists() {
		if v := single(args); v.isText() {
			t.Arguments = given(d.memo.texts.read(v))
		}
	}
	said := d.messagesIn(out)
	if len(said) == 0 {
		return
	}
	if m := said[len(said)-1]; m.Role == trajectory.RoleTool {
		t.Name, t.CallID, t.Result = m.Name, m.ToolCallID, &m.Text
	}
}

// state is the conversation after a node ran: what it returned where that is
// the whole of it, else what it was given and what it added.
func (d *Decoder) state(in, out string) []*trajectory.Message {
	before, after := d.messagesIn(in), d.messagesIn(out)
	if len(before) > 0 && len(after) > 0 && (after[0] == before[0] || after[0].Key() == before[0].Key()) {
		return after
	}
	return append(before[:len(before):len(before)], after...)
}

// messagesIn are the messages in a state, in a command that changes it, or in a
// list of those; a message alone too.
func (d *Decoder) messagesIn(raw string) []*trajectory.Message {
	c := scanner{s: raw}
	v := c.value()
	if !c.done() {
		return nil
	}
	return d.within(v, 4)
}

func (d *Decoder) within(v token, depth int) (out []*trajectory.Message) {
	switch {
	case depth == 0:
	case v.isObject():
		o := parse(v.raw)
		switch {
		case o.get("lc").exists() && o.get("kwargs").isObject():
			return d.kept(d.message(&scanner{s: v.raw}))
		case strings.HasPrefix(o.get("messages").raw, "["):
			ms, _ := d.history(o.get("messages").raw)
			return ms
		}
		return d.within(o.first("update", "output"), depth-1)
	case strings.HasPrefix(v.raw, "["):
		c := scanner{s: v.raw}
		for more := c.enter('['); more; more = c.next(']') {
			out = append(out, d.within(c.value(), depth-1)...)
		}
	}
	return out
}
