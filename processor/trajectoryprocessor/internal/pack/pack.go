// Package pack keeps decoded spans in little memory: one block without
// pointers, which the garbage collector does not walk. It is for spans that
// are kept in case they are needed again, and rarely are.
//
// The form is private to a process. Everything is written in the order of the
// fields; texts that repeat those of the span before take one byte, messages
// stand once however many prompts show them.
package pack

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// Spans are packed spans. The zero value is none.
type Spans struct {
	data  []byte
	large []string // texts that are shared with others: tool definitions
}

// Packer packs spans. Its room is used again; it is not safe for concurrent use.
type Packer struct{ w writer }

// Pack packs spans. They are not changed; what they point at is not kept, but
// for tool definitions, which many trajectories share.
func (p *Packer) Pack(spans []*trajectory.Span) Spans {
	w := &p.w
	w.collect(spans)
	w.uint(uint64(len(w.messages)))
	for _, m := range w.messages {
		w.message(m)
	}
	w.uint(uint64(len(spans)))
	for _, s := range spans {
		w.span(s)
	}
	out := Spans{append([]byte(nil), w.b...), w.large}
	clear(w.messages)
	*w = writer{b: w.b[:0], lists: w.lists[:0], messages: w.messages[:0]}
	if cap(w.b) > maxRoom {
		w.b = nil
	}
	return out
}

// maxRoom is what a Packer holds between two packs.
const maxRoom = 1 << 20

// Size is about how many bytes they take.
func (p Spans) Size() int64 { return int64(len(p.data)) + 16*int64(len(p.large)) }

// None says whether nothing is packed.
func (p Spans) None() bool { return p.data == nil }

// few messages are searched one by one, more by a map.
const few = 24

type writer struct {
	b        []byte
	large    []string
	last     trajectory.Span // whose texts may repeat
	call     trajectory.ModelCall
	messages []*trajectory.Message
	index    map[*trajectory.Message]int // once there are many
	lists    []int                       // the prompts and replies of all spans: see collect
	read     int                         // how many of lists are written
}

func (w *writer) uint(v uint64)  { w.b = binary.AppendUvarint(w.b, v) }
func (w *writer) int(v int64)    { w.b = binary.AppendVarint(w.b, v) }
func (w *writer) fixed(v uint64) { w.b = binary.LittleEndian.AppendUint64(w.b, v) }

func (w *writer) flag(v bool) {
	if v {
		w.b = append(w.b, 1)
	} else {
		w.b = append(w.b, 0)
	}
}

func (w *writer) text(s string) {
	w.uint(uint64(len(s)))
	w.b = append(w.b, s...)
}

// again writes a text that is often the one before.
func (w *writer) again(s string, last *string) {
	if s == *last {
		w.b = append(w.b, 0)
		return
	}
	w.uint(uint64(len(s)) + 1)
	w.b = append(w.b, s...)
	*last = s
}

func (w *writer) span(s *trajectory.Span) {
	l := &w.last
	if w.flag(s.TraceID == l.TraceID); s.TraceID != l.TraceID {
		w.b = append(w.b, s.TraceID[:]...)
	}
	w.b = append(w.b, s.SpanID[:]...)
	w.b = append(w.b, s.ParentID[:]...)
	w.int(s.Start - l.Start)
	w.int(s.End - l.End)
	w.uint(uint64(s.Role))
	w.flag(s.GenAI)
	w.flag(s.Remote)
	w.flag(s.Judge)
	w.flag(s.Gateway)
	w.int(int64(s.Size))
	w.uint(s.Seq)
	for _, t := range [...]struct{ s, last *string }{
		{&s.Name, &l.Name}, {&s.Dialect, &l.Dialect}, {&s.Service, &l.Service}, {&s.Conversation, &l.Conversation}, {&s.User, &l.User},
		{&s.Tenant, &l.Tenant}, {&s.Rollout, &l.Rollout}, {&s.TaskKey, &l.TaskKey}, {&s.Agent, &l.Agent}, {&s.Error, &l.Error},
		{&s.Injected, &l.Injected},
	} {
		w.again(*t.s, t.last)
	}
	w.shown(s.In)
	w.shown(s.Out)
	l.TraceID, l.Start, l.End = s.TraceID, s.Start, s.End
	list(w, s.Missing, func(r trajectory.Reason) { w.text(string(r)) })
	w.attributes(s.Attributes)
	list(w, s.Facts, w.fact)
	if w.flag(s.Call != nil); s.Call != nil {
		w.modelCall(&s.Call.ModelCall)
		w.list()
		w.list()
	}
	if w.flag(s.Tool != nil); s.Tool != nil {
		w.text(s.Tool.Name)
		w.text(s.Tool.CallID)
		w.text(s.Tool.Arguments)
		if w.flag(s.Tool.Result != nil); s.Tool.Result != nil {
			w.shown(*s.Tool.Result)
		}
	}
}

// list writes a list; nil is not the empty one.
func list[T any](w *writer, list []T, each func(T)) {
	if list == nil {
		w.uint(0)
		return
	}
	w.uint(uint64(len(list)) + 1)
	for _, v := range list {
		each(v)
	}
}

func (w *writer) attributes(m map[string]string) {
	if w.flag(m != nil); m == nil {
		return
	}
	w.uint(uint64(len(m)))
	for k, v := range m {
		w.text(k)
		w.text(v)
	}
}

func (w *writer) fact(f trajectory.Fact) {
	for _, s := range [...]string{f.ID, f.Name, f.Label, f.Explanation, f.Source, f.TrajectoryID, f.TraceID, f.SpanID, f.ResponseID, f.ConversationID} {
		w.text(s)
	}
	w.float(f.Value)
	w.int(f.ObservedAt)
}

func (w *writer) whole(v *int64) {
	if w.flag(v != nil); v != nil {
		w.int(*v)
	}
}

func (w *writer) float(v *float64) {
	if w.flag(v != nil); v != nil {
		w.fixed(math.Float64bits(*v))
	}
}

func (w *writer) modelCall(c *trajectory.ModelCall) {
	l := &w.call
	for _, t := range [...]struct{ s, last *string }{
		{&c.Provider, &l.Provider}, {&c.RequestModel, &l.RequestModel}, {&c.ResponseModel, &l.ResponseModel}, {&c.Adapter, &l.Adapter},
		{&c.Bundle, &l.Bundle}, {&c.ResponseID, &l.ResponseID}, {&c.FinishReason, &l.FinishReason}, {&c.LogprobsMode, &l.LogprobsMode},
	} {
		w.again(*t.s, t.last)
	}
	for _, v := range [...]*int64{c.InputTokens, c.OutputTokens, c.CachedTokens, c.TopK, c.MaxTokens, c.Seed} {
		w.whole(v)
	}
	w.float(c.Temperature)
	w.float(c.TopP)
	if w.flag(c.Constrained != nil); c.Constrained != nil {
		w.flag(*c.Constrained)
	}
	if w.flag(c.PromptBase != nil); c.PromptBase != nil {
		w.int(int64(*c.PromptBase))
	}
	if w.flag(c.Tools == l.Tools); c.Tools != l.Tools {
		w.large = append(w.large, c.Tools)
		l.Tools = c.Tools
	}
	for _, ids := range [...][]int32{c.Input, c.Output, c.PromptTokenIDs, c.TokenIDs} {
		list(w, ids, func(v int32) { w.int(int64(v)) })
	}
	list(w, c.Logprobs, func(v float32) { w.b = binary.LittleEndian.AppendUint32(w.b, math.Float32bits(v)) })
}

// collect numbers the messages and says of every prompt and reply how many
// messages it has, how many of them are those of the prompt before, and which
// the others are. -1 messages is nil.
func (w *writer) collect(spans []*trajectory.Span) {
	var last []*trajectory.Message
	for _, s := range spans {
		if s.Call == nil {
			continue
		}
		n := 0
		for n < len(s.Call.Prompt) && n < len(last) && s.Call.Prompt[n] == last[n] {
			n++
		}
		w.number(s.Call.Prompt, n)
		w.number(s.Call.Reply, 0)
		if len(s.Call.Prompt) > 0 {
			last = s.Call.Prompt
		}
	}
}

func (w *writer) number(ms []*trajectory.Message, known int) {
	if ms == nil {
		w.lists = append(w.lists, -1)
		return
	}
	w.lists = append(w.lists, len(ms), known)
	for _, m := range ms[known:] {
		i := w.find(m)
		if i < 0 {
			i = len(w.messages)
			if w.messages = append(w.messages, m); w.index != nil {
				w.index[m] = i
			}
		}
		w.lists = append(w.lists, i)
	}
}

// list writes the next prompt or reply.
func (w *writer) list() {
	next := func() int {
		w.read++
		return w.lists[w.read-1]
	}
	n := next()
	if w.int(int64(n)); n < 0 {
		return
	}
	known := next()
	w.uint(uint64(known)) //nolint:gosec // a count
	for range n - known {
		w.uint(uint64(next())) //nolint:gosec // an index
	}
}

func (w *writer) message(m *trajectory.Message) {
	for _, s := range [...]string{m.Role, m.Text, m.Reasoning, m.ToolCallID, m.Name, m.Injected, m.Parts} {
		w.text(s)
	}
	list(w, m.ToolCalls, func(c trajectory.ToolCall) {
		w.text(c.ID)
		w.text(c.Name)
		w.text(c.Arguments)
	})
}

// shown writes a text that a message may show too: the input and the output of
// a run, the result of a tool.
func (w *writer) shown(s string) {
	if i := w.showing(s); i >= 0 {
		w.uint(uint64(i) + 1) //nolint:gosec // an index
		return
	}
	w.uint(0)
	w.text(s)
}

// showing is a message with this text; -1 for none, for short texts, and where
// there are too many to look at.
func (w *writer) showing(s string) int {
	const short, many = 24, 128
	if len(s) < short || len(w.messages) > many {
		return -1
	}
	for i, m := range w.messages {
		if len(m.Text) == len(s) && m.Text == s {
			return i
		}
	}
	return -1
}

// find is the number of a message, -1 if it has none yet.
func (w *writer) find(m *trajectory.Message) int {
	if len(w.messages) <= few {
		return slices.Index(w.messages, m)
	}
	if w.index == nil {
		w.index = make(map[*trajectory.Message]int, 4*few)
		for i, x := range w.messages {
			w.index[x] = i
		}
	}
	if i, ok := w.index[m]; ok {
		return i
	}
	return -1
}
