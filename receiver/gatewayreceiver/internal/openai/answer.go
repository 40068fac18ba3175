package openai

import (
	"cmp"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// Answer is an answer to a chat-completions request, whole or as far as it
// came. Absent numbers are nil.
type Answer struct {
	ID      string
	Model   string
	Choices []*Choice // in order of their index
	Usage   Usage
	Failure *Failure // an error object in place of, or in the middle of, an answer
	// Truncated says that content beyond the limit was thrown away.
	Truncated bool

	done  bool // the end mark of a stream was seen
	limit int  // bytes of content that may still be kept

	tokens     Tokens // of the one choice
	manyTokens bool   // more than are kept
	oddTokens  bool   // what came is not what was understood
}

// Choice is one of the answers. Its texts grow as chunks come.
type Choice struct {
	Index     int64
	Role      string
	Finish    string // the server's finish_reason; "" = not given
	Content   strings.Builder
	Reasoning strings.Builder
	Refusal   strings.Builder
	Calls     []*Call
}

// Call is a tool call of a choice.
type Call struct {
	Index     int64
	ID        string
	Name      string
	Arguments strings.Builder
}

// Usage counts tokens.
type Usage struct {
	Input, Output, Cached, Reasoning *int64
}

// Failure is an error object of a server.
type Failure struct {
	Type, Message string
}

// Choices and calls in one answer beyond these are ignored: an index comes from
// outside and must not decide how much memory is used.
const (
	maxChoices = 128
	maxCalls   = 256
)

// ParseAnswer reads the body of an answer that was not streamed. Up to limit
// bytes of content are kept; ok is false if the body is not an answer.
func ParseAnswer(body []byte, limit int) (a *Answer, ok bool) {
	a = &Answer{limit: limit}
	if !gjson.ValidBytes(body) {
		return a, false
	}
	doc := gjson.ParseBytes(body)
	if !doc.IsObject() {
		return a, false
	}
	a.add(doc, "message")
	a.sort()
	return a, len(a.Choices) > 0 || a.Failure != nil
}

func (a *Answer) sort() {
	slices.SortStableFunc(a.Choices, func(x, y *Choice) int { return cmp.Compare(x.Index, y.Index) })
}

// Whole says that the answer came to its end: the end mark, or a finish reason
// for every choice.
func (a *Answer) Whole() bool {
	if a.done {
		return true
	}
	for _, c := range a.Choices {
		if c.Finish == "" {
			return false
		}
	}
	return len(a.Choices) > 0
}

// Finishes are the finish reasons as the server named them, in order of the
// choices; nil = none was given.
func (a *Answer) Finishes() []string {
	var out []string
	for _, c := range a.Choices {
		if c.Finish != "" {
			out = append(out, c.Finish)
		}
	}
	return out
}

// add merges a chunk, or a whole answer, whose choices hold their content in
// the member named part: "delta" or "message".
func (a *Answer) add(doc gjson.Result, part string) {
	doc.ForEach(func(key, v gjson.Result) bool {
		switch key.String() {
		case "id":
			a.ID = orOld(v, a.ID)
		case "model":
			a.Model = orOld(v, a.Model)
		case "usage":
			a.usage(v)
		case "prompt_token_ids":
			a.promptIDs(v)
		case "error":
			if v.IsObject() || v.Type == gjson.String {
				a.fail(v)
			}
		case "choices":
			v.ForEach(func(_, c gjson.Result) bool {
				a.choice(c, part)
				return true
			})
		}
		return true
	})
}

func (a *Answer) usage(v gjson.Result) {
	if !v.IsObject() {
		return
	}
	a.Usage = Usage{
		Input:     integer(v.Get("prompt_tokens")),
		Output:    integer(v.Get("completion_tokens")),
		Cached:    integer(v.Get("prompt_tokens_details.cached_tokens")),
		Reasoning: integer(v.Get("completion_tokens_details.reasoning_tokens")),
	}
}

func (a *Answer) fail(v gjson.Result) {
	if v.Type == gjson.String {
		a.Failure = &Failure{Message: v.Str}
		return
	}
	kind := text(v.Get("type"))
	if kind == "" {
		kind = v.Get("code").String()
	}
	a.Failure = &Failure{Type: kind, Message: text(v.Get("message"))}
}

func (a *Answer) choice(v gjson.Result, part string) {
	c := a.at(v.Get("index").Int())
	if c == nil {
		return
	}
	c.Finish = orOld(v.Get("finish_reason"), c.Finish)
	a.generated(v.Get("token_ids"), v.Get("logprobs"))
	m := readMessage(v.Get(part))
	c.Role = orOld(m.role, c.Role)
	a.keep(&c.Reasoning, m.reasoning)
	a.keep(&c.Refusal, m.refusal)
	if m.content.IsArray() {
		m.content.ForEach(func(_, p gjson.Result) bool {
			a.keep(&c.Content, p.Get("text"))
			return true
		})
	} else {
		a.keep(&c.Content, m.content)
	}
	m.calls.ForEach(func(_, t gjson.Result) bool {
		a.call(c, t)
		return true
	})
	if f := m.function; f.IsObject() {
		if call := c.at(0, ""); call != nil {
			call.Name = orOld(f.Get("name"), call.Name)
			a.keep(&call.Arguments, f.Get("arguments"))
		}
	}
}

func (a *Answer) call(c *Choice, t gjson.Result) {
	id := text(t.Get("id"))
	index := t.Get("index").Int()
	if !t.Get("index").Exists() && len(c.Calls) > 0 { // some servers send none: a new id is a new call
		index = c.Calls[len(c.Calls)-1].Index
	}
	call := c.at(index, id)
	if call == nil {
		a.Truncated = true
		return
	}
	fn, args := t.Get("function"), "arguments"
	if custom := t.Get("custom"); custom.IsObject() {
		fn, args = custom, "input"
	}
	call.Name = orOld(fn.Get("name"), call.Name)
	if v := fn.Get(args); v.IsObject() { // not a string as specified, but what is meant is plain
		a.keepText(&call.Arguments, v.Raw)
	} else {
		a.keep(&call.Arguments, v)
	}
}

// at finds or makes the choice with an index; nil if there are too many.
func (a *Answer) at(index int64) *Choice {
	for _, c := range a.Choices {
		if c.Index == index {
			return c
		}
	}
	if len(a.Choices) == maxChoices {
		a.Truncated = true
		return nil
	}
	c := &Choice{Index: index}
	a.Choices = append(a.Choices, c)
	return c
}

// at finds or makes the call that a piece belongs to: the last one with its
// index, unless that has another id (some servers give every call index 0). It
// is nil if there are too many.
func (c *Choice) at(index int64, id string) *Call {
	for _, call := range slices.Backward(c.Calls) {
		if call.Index != index {
			continue
		}
		if id != "" && call.ID != "" && call.ID != id {
			break
		}
		if id != "" {
			call.ID = id
		}
		return call
	}
	if len(c.Calls) == maxCalls {
		return nil
	}
	call := &Call{Index: index, ID: id}
	c.Calls = append(c.Calls, call)
	return call
}

func (a *Answer) keep(b *strings.Builder, v gjson.Result) {
	if v.Type == gjson.String {
		a.keepText(b, v.Str)
	}
}

// keepText keeps a text whole or not at all: a cut text must not pass for what
// the model wrote.
func (a *Answer) keepText(b *strings.Builder, s string) {
	if a.Truncated || len(s) > a.limit {
		a.Truncated = a.Truncated || s != ""
		return
	}
	a.limit -= len(s)
	b.WriteString(s)
}

func orOld(v gjson.Result, old string) string {
	if s := text(v); s != "" {
		return s
	}
	return old
}

// Messages writes the choices as semconv output messages:
// [{"role","parts":[…],"finish_reason"?}]; "" if there are none.
func (a *Answer) Messages() string {
	if len(a.Choices) == 0 {
		return ""
	}
	dst := []byte{'['}
	for _, c := range a.Choices {
		dst = c.append(comma(dst))
	}
	return valid(append(dst, ']'))
}

func (c *Choice) append(dst []byte) []byte {
	role := c.Role
	if role == "" {
		role = "assistant"
	}
	dst = append(dst, `{"role":`...)
	dst = gjson.AppendJSONString(dst, role)
	dst = append(dst, `,"parts":[`...)
	for _, p := range []struct {
		kind string
		text *strings.Builder
	}{{"reasoning", &c.Reasoning}, {"text", &c.Content}, {"refusal", &c.Refusal}} {
		if p.text.Len() > 0 {
			dst = append(append(append(comma(dst), `{"type":"`...), p.kind...), `","content":`...)
			dst = append(gjson.AppendJSONString(dst, p.text.String()), '}')
		}
	}
	for _, call := range c.Calls {
		dst = call.append(comma(dst))
	}
	dst = append(dst, ']')
	if c.Finish != "" {
		dst = append(dst, `,"finish_reason":`...)
		dst = gjson.AppendJSONString(dst, semconvFinish(c.Finish))
	}
	return append(dst, '}')
}

func (c *Call) append(dst []byte) []byte {
	dst = append(dst, `{"type":"tool_call"`...)
	if c.ID != "" {
		dst = gjson.AppendJSONString(append(dst, `,"id":`...), c.ID)
	}
	dst = gjson.AppendJSONString(append(dst, `,"name":`...), c.Name)
	dst = appendArguments(append(dst, `,"arguments":`...), c.Arguments.String())
	return append(dst, '}')
}

// semconvFinish is the conventions' name of a finish reason.
func semconvFinish(reason string) string {
	switch reason {
	case "tool_calls", "function_call":
		return "tool_call"
	}
	return reason
}
