package pack

import (
	"encoding/binary"
	"math"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// Unpack returns spans like those that were packed: messages that were shared
// are shared. Their texts are parts of one block.
func (p Spans) Unpack() []*trajectory.Span {
	if p.None() {
		return nil
	}
	r := &reader{b: p.data, s: string(p.data), large: p.large}
	r.messages = make([]*trajectory.Message, r.uint())
	for i := range r.messages {
		r.messages[i] = r.message()
	}
	spans := make([]*trajectory.Span, r.uint())
	for i := range spans {
		spans[i] = r.span()
	}
	return spans
}

// reader trusts what it reads: it was written by the writer of this process.
type reader struct {
	b        []byte
	s        string // b as text
	i        int
	large    []string
	last     trajectory.Span
	call     trajectory.ModelCall
	prompt   []*trajectory.Message
	messages []*trajectory.Message
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b[r.i:])
	r.i += n
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b[r.i:])
	r.i += n
	return v
}

func (r *reader) flag() bool {
	r.i++
	return r.b[r.i-1] != 0
}

func (r *reader) take(n int) string {
	r.i += n
	return r.s[r.i-n : r.i]
}

func (r *reader) text() string { return r.take(int(r.uint())) } //nolint:gosec // a length

func (r *reader) again(last *string) string {
	if n := int(r.uint()); n > 0 { //nolint:gosec // a length
		*last = r.take(n - 1)
	}
	return *last
}

func (r *reader) span() *trajectory.Span {
	s, l := &trajectory.Span{}, &r.last
	if !r.flag() {
		copy(l.TraceID[:], r.take(len(l.TraceID)))
	}
	s.TraceID = l.TraceID
	copy(s.SpanID[:], r.take(len(s.SpanID)))
	copy(s.ParentID[:], r.take(len(s.ParentID)))
	l.Start += r.int()
	l.End += r.int()
	s.Start, s.End = l.Start, l.End
	s.Role = trajectory.Role(r.uint()) //nolint:gosec // small
	s.GenAI, s.Remote, s.Judge, s.Gateway = r.flag(), r.flag(), r.flag(), r.flag()
	s.Size, s.Seq = int(r.int()), r.uint()
	for _, t := range [...]struct{ s, last *string }{
		{&s.Name, &l.Name}, {&s.Dialect, &l.Dialect}, {&s.Service, &l.Service}, {&s.Conversation, &l.Conversation}, {&s.User, &l.User},
		{&s.Tenant, &l.Tenant}, {&s.Rollout, &l.Rollout}, {&s.TaskKey, &l.TaskKey}, {&s.Agent, &l.Agent}, {&s.Error, &l.Error},
		{&s.Injected, &l.Injected},
	} {
		*t.s = r.again(t.last)
	}
	s.In, s.Out = r.shown(), r.shown()
	s.Missing = listOf(r, func() trajectory.Reason { return trajectory.Reason(r.text()) })
	s.Attributes = r.attributes()
	s.Facts = listOf(r, r.fact)
	if r.flag() {
		s.Call = &trajectory.Call{ModelCall: r.modelCall()}
		s.Call.Prompt, s.Call.Reply = r.list(), r.list()
		if len(s.Call.Prompt) > 0 {
			r.prompt = s.Call.Prompt
		}
	}
	if r.flag() {
		s.Tool = &trajectory.ToolRun{Name: r.text(), CallID: r.text(), Arguments: r.text()}
		if r.flag() {
			s.Tool.Result = new(r.shown())
		}
	}
	return s
}

func listOf[T any](r *reader, each func() T) []T {
	n := r.uint()
	if n == 0 {
		return nil
	}
	list := make([]T, n-1)
	for i := range list {
		list[i] = each()
	}
	return list
}

func (r *reader) attributes() map[string]string {
	if !r.flag() {
		return nil
	}
	n := r.uint()
	m := make(map[string]string, n)
	for range n {
		k := r.text()
		m[k] = r.text()
	}
	return m
}

func (r *reader) fact() (f trajectory.Fact) {
	for _, s := range [...]*string{&f.ID, &f.Name, &f.Label, &f.Explanation, &f.Source, &f.TrajectoryID, &f.TraceID, &f.SpanID, &f.ResponseID, &f.ConversationID} {
		*s = r.text()
	}
	f.Value = r.float()
	f.ObservedAt = r.int()
	return f
}

func (r *reader) whole() *int64 {
	if !r.flag() {
		return nil
	}
	return new(r.int())
}

func (r *reader) float() *float64 {
	if !r.flag() {
		return nil
	}
	r.i += 8
	return new(math.Float64frombits(binary.LittleEndian.Uint64(r.b[r.i-8:])))
}

func (r *reader) modelCall() (c trajectory.ModelCall) {
	l := &r.call
	for _, t := range [...]struct{ s, last *string }{
		{&c.Provider, &l.Provider}, {&c.RequestModel, &l.RequestModel}, {&c.ResponseModel, &l.ResponseModel}, {&c.Adapter, &l.Adapter},
		{&c.Bundle, &l.Bundle}, {&c.ResponseID, &l.ResponseID}, {&c.FinishReason, &l.FinishReason}, {&c.LogprobsMode, &l.LogprobsMode},
	} {
		*t.s = r.again(t.last)
	}
	for _, v := range [...]**int64{&c.InputTokens, &c.OutputTokens, &c.CachedTokens, &c.TopK, &c.MaxTokens, &c.Seed} {
		*v = r.whole()
	}
	c.Temperature, c.TopP = r.float(), r.float()
	if r.flag() {
		c.Constrained = new(r.flag())
	}
	if r.flag() {
		c.PromptBase = new(int32(r.int())) //nolint:gosec // was one
	}
	if !r.flag() {
		l.Tools, r.large = r.large[0], r.large[1:]
	}
	c.Tools = l.Tools
	for _, ids := range [...]*[]int32{&c.Input, &c.Output, &c.PromptTokenIDs, &c.TokenIDs} {
		*ids = listOf(r, func() int32 { return int32(r.int()) }) //nolint:gosec // was one
	}
	c.Logprobs = listOf(r, func() float32 {
		r.i += 4
		return math.Float32frombits(binary.LittleEndian.Uint32(r.b[r.i-4:]))
	})
	return c
}

func (r *reader) list() []*trajectory.Message {
	n := int(r.int())
	if n < 0 {
		return nil
	}
	ms := make([]*trajectory.Message, n)
	known := copy(ms, r.prompt[:r.uint()])
	for i := known; i < n; i++ {
		ms[i] = r.messages[r.uint()]
	}
	return ms
}

func (r *reader) message() *trajectory.Message {
	m := &trajectory.Message{}
	for _, s := range [...]*string{&m.Role, &m.Text, &m.Reasoning, &m.ToolCallID, &m.Name, &m.Injected, &m.Parts} {
		*s = r.text()
	}
	m.ToolCalls = listOf(r, func() trajectory.ToolCall {
		return trajectory.ToolCall{ID: r.text(), Name: r.text(), Arguments: r.text()}
	})
	return m
}

func (r *reader) shown() string {
	if i := r.uint(); i > 0 {
		return r.messages[i-1].Text
	}
	return r.text()
}
