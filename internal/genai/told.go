package genai

import (
	"encoding/json"
	"strings"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// Dialects that show a function as it was called have one attribute for what it
// was given and one for what it returned, whatever it is: a model call's are
// read in raw.go, an agent's and a tool's here.

// toldIn is what the user asked an agent: text, the last message of a list, or
// the one text among a function's arguments.
func (d *Decoder) toldIn(raw string) string {
	raw = strings.TrimSpace(unquoted(raw))
	switch {
	case raw == "" || redacted(raw):
		return ""
	case raw[0] == '[':
		ms, _ := d.said(opened(raw))
		return lastText(ms, trajectory.RoleUser)
	case raw[0] != '{':
		return raw
	}
	o := parse(raw)
	if list := o.first("messages", "input"); strings.HasPrefix(list.raw, "[") {
		ms, _ := d.said(opened(list.raw))
		return lastText(ms, trajectory.RoleUser)
	}
	return d.memo.texts.read(o.only(3))
}

// toldOut is what an agent answered: text, the answer that a list of messages
// ends with, or the one text that a function returned. A list that ends with
// anything else is no answer.
func (d *Decoder) toldOut(raw string) string {
	raw = strings.TrimSpace(unquoted(raw))
	if raw == "" || redacted(raw) {
		return ""
	}
	ms, _ := d.response(raw, nil)
	if len(ms) == 0 {
		return d.memo.texts.read(parse(raw).only(3))
	}
	if last := ms[len(ms)-1]; last.Role == trajectory.RoleAssistant && len(last.ToolCalls) == 0 {
		return last.Text
	}
	return ""
}

// only is the one text among values, what is empty aside; the zero token where
// there is more.
func (o members) only(depth int) token {
	var one token
	for i := range o {
		v := o[i].value
		switch {
		case v.isNull() || v.raw == "[]" || v.raw == "{}" || v.raw == `""`:
			continue
		case one.exists() || depth == 0:
			return token{}
		case v.isObject():
			v = parse(v.raw).only(depth - 1)
		case v.raw[0] == '[':
			v = single(v)
		}
		if !v.isText() {
			return token{}
		}
		one = v
	}
	return one
}

// single is the element of a list of one.
func single(list token) token {
	c := scanner{s: list.raw}
	if !c.enter('[') {
		return token{}
	}
	v := c.value()
	if c.next(']') {
		return token{}
	}
	return v
}

// given is what a tool was given, as JSON: the object of its arguments, or the
// bare value of the only one. "" for text that only looks like JSON.
func given(raw string) string {
	raw = strings.TrimSpace(unquoted(raw))
	switch {
	case raw == "" || raw == "null" || redacted(raw) && raw != "{}":
		return ""
	case raw[0] == '{' || raw[0] == '[':
		return object(raw)
	case valid(raw):
		return raw
	}
	text, err := json.Marshal(raw)
	if err != nil {
		return ""
	}
	return string(text)
}

// returned opens the message that LangChain makes of what a tool returned, in
// any of the forms in which it is written down. It returns false for anything
// else: most tools return what they return.
func (d *Decoder) returned(raw string) (text, call string, ok bool) {
	if !strings.HasPrefix(raw, "{") || !strings.Contains(raw, `"tool`) && !strings.Contains(raw, `"Tool`) {
		return "", "", false
	}
	o := parse(raw)
	for range 4 {
		switch inner := o.first("output", "kwargs", "data"); {
		case o.isResult():
			dr := d.draft()
			return dr.blocks(o.get("content")), dr.text(o.get("tool_call_id")), true
		case inner.isObject() && (len(o) == 1 || o.get("lc").exists() || o.get("type").exists()):
			if class := className(o.get("id")); class != "" && inner.member("type").view() == "" {
				o = append(parse(inner.raw), member{"type", quoted(class)})
			} else {
				o = parse(inner.raw)
			}
		default:
			return "", "", false
		}
	}
	return "", "", false
}

// isResult says whether an object is a message that holds a tool's result.
func (o members) isResult() bool {
	switch kind := o.first("type", "role"); kind.view() {
	case "tool", "ToolMessage":
		return o.get("content").exists() && o.get("tool_call_id").exists()
	}
	return false
}
