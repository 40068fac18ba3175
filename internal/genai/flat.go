package genai

import (
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// flat collects messages that are flattened to one attribute a leaf, such as
// llm.input_messages.3.message.tool_calls.0.tool_call.function.name.
// Attributes come in any order; gaps in an index mean dropped attributes.
type flat struct {
	input, output  []flatMessage
	tools          []string
	functions      []flatTool
	prompt, choice string // text completions

	room int  // elements that may still be made
	cut  bool // an index asked for more
}

// flatMessage is one message in the making. Unset indices stay zero.
type flatMessage struct {
	set      bool
	role     string
	content  string
	name     string
	callID   string
	contents []flatContent
	calls    []flatCall

	indexed                 bool // gen_ai.prompt.N and gen_ai.completion.N
	reasoning, finish, kind string

	// AutoGen's: results of several tools in one message, as JSON objects, and
	// what the model said beside its calls.
	results []string
	thought string
}

type flatContent struct {
	set             bool
	kind, text, raw string
	call            flatCall
}

type flatCall struct {
	set           bool
	id, name, arg string
}

func (f *flat) reset() {
	f.input, f.output, f.tools, f.functions = f.input[:0], f.output[:0], f.tools[:0], f.functions[:0]
	f.prompt, f.choice, f.cut = "", "", false
}

func (f *flat) any() bool { return len(f.input) > 0 || len(f.output) > 0 }

// take files one attribute and says whether it was a message's.
func (f *flat) take(k string, v pcommon.Value) bool {
	rest := k[len("llm."):]
	if r, ok := strings.CutPrefix(rest, "input_messages."); ok {
		return f.message(&f.input, r, v)
	}
	if r, ok := strings.CutPrefix(rest, "output_messages."); ok {
		return f.message(&f.output, r, v)
	}
	if r, ok := strings.CutPrefix(rest, "tools."); ok {
		i, leaf := index(r)
		if leaf != "tool.json_schema" {
			return false
		}
		if t := grow(f, &f.tools, i); t != nil {
			*t = v.AsString()
		}
		return true
	}
	switch {
	case strings.HasPrefix(rest, "prompts.0.") && strings.HasSuffix(rest, ".text"):
		f.prompt = v.AsString()
	case strings.HasPrefix(rest, "choices.0.") && strings.HasSuffix(rest, ".text"):
		f.choice = v.AsString()
	default:
		return false
	}
	return true
}

// index splits "12.rest".
func index(s string) (int, string) {
	num, rest, _ := strings.Cut(s, ".")
	i, err := strconv.Atoi(num)
	if err != nil || i < 0 {
		return -1, ""
	}
	return i, rest
}

// grow returns the i-th element, appending zero values up to it. An element
// takes an attribute at least: an index beyond what the span's attributes could
// fill means that most of them were dropped. It is nil then, and nothing is
// made for a hostile index.
func grow[T any](f *flat, list *[]T, i int) *T {
	if need := i + 1 - len(*list); need > f.room {
		f.cut = true
		return nil
	} else if need > 0 {
		f.room -= need
		*list = append(*list, make([]T, need)...)
	}
	return &(*list)[i]
}

// message files an attribute of a message.
func (f *flat) message(list *[]flatMessage, k string, v pcommon.Value) bool {
	i, leaf := index(k)
	leaf, ok := strings.CutPrefix(leaf, "message.")
	if i < 0 || !ok && leaf != "thought" && !strings.HasPrefix(leaf, "function.") {
		return false
	}
	m := grow(f, list, i)
	if m == nil {
		return true
	}
	m.set = true
	switch leaf {
	case "role":
		m.role = v.AsString()
	case "content":
		m.content = v.AsString()
	case "name":
		m.name = v.AsString()
	case "tool_call_id":
		m.callID = v.AsString()
	case "thought":
		m.thought = v.AsString()
	default:
		if r, ok := strings.CutPrefix(leaf, "function."); ok {
			n, _ := index(r)
			if n < 0 {
				return false
			}
			if x := grow(f, &m.results, n); x != nil {
				*x = v.AsString()
			}
			return true
		}
		if r, ok := strings.CutPrefix(leaf, "tool_calls."); ok {
			return f.call(&m.calls, r, v)
		}
		if r, ok := strings.CutPrefix(leaf, "contents."); ok {
			return f.content(m, r, v)
		}
		return false
	}
	return true
}

func (f *flat) call(list *[]flatCall, k string, v pcommon.Value) bool {
	i, leaf := index(k)
	if i < 0 {
		return false
	}
	c := grow(f, list, i)
	return c == nil || c.take(leaf, v)
}

func (c *flatCall) take(leaf string, v pcommon.Value) bool {
	switch leaf {
	case "tool_call.id":
		c.id = v.AsString()
	case "tool_call.function.name":
		c.name = v.AsString()
	case "tool_call.function.arguments":
		c.arg = v.AsString()
	default:
		return false
	}
	c.set = true
	return true
}

func (f *flat) content(m *flatMessage, k string, v pcommon.Value) bool {
	i, leaf := index(k)
	if i < 0 {
		return false
	}
	c := grow(f, &m.contents, i)
	if c == nil {
		return true
	}
	c.set = true
	switch leaf {
	case "message_content.type":
		c.kind = v.AsString()
	case "message_content.text":
		c.text = v.AsString()
	case "message.tool_call_id": // BeeAI
		m.callID = v.AsString()
	case "message_content.image.image.url", "message_content.audio.audio.url", "message_content.file.file.url":
		c.raw = v.AsString()
	default:
		return c.call.take(leaf, v)
	}
	return true
}

// shown says how much of flattened messages is there.
type shown uint8

const (
	whole   shown = iota
	partial       // a part of a message is not shown, though nothing was dropped: its kind is one that the instrumentation does not know
	broken        // an index is missing
)

// build turns the collected messages into messages, of a reply only those that
// say something. It returns nothing of broken ones.
func (d *Decoder) build(f *flat, list []flatMessage, reply bool) (out []*trajectory.Message, all shown) {
	if f.cut {
		return nil, broken
	}
	out = make([]*trajectory.Message, 0, len(list))
	for i := range list {
		if !list[i].set {
			return nil, broken
		}
		var m trajectory.Message
		all = max(all, list[i].build(&m))
		if all == broken || all == partial && d.r.dropped {
			return nil, broken
		}
		if list[i].results != nil {
			ms, ok := d.functionResults(list[i].results)
			if !ok {
				return nil, broken
			}
			out = append(out, ms...)
			continue
		}
		if m.Role == trajectory.RoleTool {
			m.Text = d.memo.results.add(m.ToolCallID, m.Text)
		}
		if inner := d.openedFlat(&list[i], &m); inner != nil {
			out = append(out, inner...)
			continue
		}
		if says(&m) || m.Role != "" && !reply {
			out = append(out, d.memo.shared(&m))
		}
	}
	if len(out) == 0 && !reply {
		return nil, all
	}
	return out, all
}

// openedFlat is what a message says whose content is a list.
func (d *Decoder) openedFlat(f *flatMessage, m *trajectory.Message) []*trajectory.Message {
	if !f.indexed {
		return nil
	}
	return d.openedText(m)
}

func (f *flatMessage) build(m *trajectory.Message) (all shown) {
	*m = trajectory.Message{Role: normalRole(f.role), Text: f.content, ToolCallID: f.callID, Name: f.name}
	var text, reasoning []string
	var parts []part
	for i := range f.contents {
		c := &f.contents[i]
		switch {
		case !c.set:
			all = partial
		case c.call.set:
			if len(f.calls) == 0 { // else they are listed a second time
				m.ToolCalls = append(m.ToolCalls, c.call.build())
			}
		case c.kind == "reasoning" || c.kind == "thinking":
			reasoning = append(reasoning, c.text)
		case c.raw != "":
			parts = append(parts, media(c.kind, "", c.raw))
		case c.text != "":
			text = append(text, c.text)
		}
	}
	if m.Text == "" {
		m.Text, parts = joined(m.Role, text, parts)
	}
	m.Reasoning = strings.Join(reasoning, "\n")
	if f.indexed {
		f.complete(m)
	}
	m.Parts = partsJSON(parts)
	f.think(m)
	for i := range f.calls {
		if !f.calls[i].set {
			return broken
		}
		m.ToolCalls = append(m.ToolCalls, f.calls[i].build())
	}
	return all
}

// think adds AutoGen's thought: the text beside calls, else the reasoning.
func (f *flatMessage) think(m *trajectory.Message) {
	switch {
	case f.thought == "":
	case len(f.calls) > 0 && m.Text == "":
		m.Text = f.thought
	case m.Reasoning == "":
		m.Reasoning = f.thought
	}
}

// functionResults are AutoGen's {name, content, call_id, is_error}, a message
// each. It returns false where one is missing.
func (d *Decoder) functionResults(list []string) ([]*trajectory.Message, bool) {
	dr := d.draft()
	for _, raw := range list {
		o := parse(raw)
		if o == nil {
			return nil, false
		}
		dr.addResult(o.get("call_id"), o.get("name"), o.get("content"))
	}
	return slices.Clone(dr.results), true
}

func (c *flatCall) build() trajectory.ToolCall {
	return trajectory.ToolCall{ID: c.id, Name: c.name, Arguments: c.arg}
}

// says is false for a message without any content.
func says(m *trajectory.Message) bool {
	return m.Text != "" || m.Reasoning != "" || len(m.ToolCalls) > 0 || m.Parts != ""
}
