package pack

import (
	"encoding/binary"
	"math"
	"unsafe"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// Unpack returns spans like those that were packed: messages that were shared
// are shared. Their texts are parts of the packed block, and they are
// allocated together: keeping one of them keeps them all.
func (p Spans) Unpack() []*trajectory.Span {
	if p.None() {
		return nil
	}
	r := &reader{b: p.data, s: unsafe.String(unsafe.SliceData(p.data), len(p.data)), large: p.large}
	n := r.count()
	r.messages = make([]trajectory.Message, r.count())
	r.calls = make([]callRoom, r.count())
	r.tools = make([]toolRoom, r.count())
	r.shown = make([]*trajectory.Message, r.count())
	r.toolCalls = make([]trajectory.ToolCall, r.count())
	for i := range r.messages {
		r.message(&r.messages[i])
	}
	room, spans := make([]trajectory.Span, n), make([]*trajectory.Span, n)
	for i := range spans {
		spans[i] = &room[i]
		r.span(&room[i])
	}
	return spans
}

type callRoom struct {
	call                                         trajectory.Call
	input, output, cached, topK, maxTokens, seed int64
	temperature, topP                            float64
}

type toolRoom struct {
	run    trajectory.ToolRun
	result string
}

// reader trusts what it reads: it was written by the writer of this process.
type reader struct {
	b     []byte
	s     string // b as text
	i     int
	large []string
	last  trajectory.Span
	call  trajectory.ModelCall

	prompt    []*trajectory.Message // the last
	messages  []trajectory.Message
	calls     []callRoom // to be used
	tools     []toolRoom
	shown     []*trajectory.Message
	toolCalls []trajectory.ToolCall
}

func (r *reader) uint() uint64 {
	if v := r.b[r.i]; v < 0x80 {
		r.i++
		return uint64(v)
	}
	v, n := binary.Uvarint(r.b[r.i:])
	r.i += n
	return v
}

func (r *reader) count() int { return int(r.uint()) } //nolint:gosec // was one

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b[r.i:])
	r.i += n
	return v
}

func (r *reader) fixed() uint64 {
	r.i += 8
	return binary.LittleEndian.Uint64(r.b[r.i-8:])
}

func (r *reader) mask() uint32 {
	r.i += 4
	return binary.LittleEndian.Uint32(r.b[r.i-4:])
}

func (r *reader) take(n int) string {
	r.i += n
	return r.s[r.i-n : r.i]
}

func (r *reader) text() string { return r.take(r.count()) }

// other reads a text that is not the one before.
func (r *reader) other(is uint32, last *string) string {
	if is != 0 {
		*last = r.text()
	}
	return *last
}

func (r *reader) some(is uint32) string {
	if is == 0 {
		return ""
	}
	return r.text()
}

func (r *reader) span(s *trajectory.Span) {
	l, m := &r.last, r.mask()
	if m&bitTrace != 0 {
		copy(l.TraceID[:], r.take(len(l.TraceID)))
	}
	s.TraceID = l.TraceID
	copy(s.SpanID[:], r.take(len(s.SpanID)))
	copy(s.ParentID[:], r.take(len(s.ParentID)))
	s.Role = trajectory.Role(r.b[r.i])
	r.i++
	l.Start += r.int()
	l.End += r.int()
	s.Start, s.End = l.Start, l.End
	s.Size, s.Seq = int(r.int()), r.uint()
	s.GenAI, s.Remote, s.Judge, s.Gateway = m&bitGenAI != 0, m&bitRemote != 0, m&bitJudge != 0, m&bitGateway != 0
	if m&bitRecords != 0 {
		s.Records = r.fixed()
	}
	if m&bitRecord != 0 {
		s.Record = trajectory.Record(r.b[r.i])
		r.i++
	}
	if m&bitGraph != 0 {
		s.Graph = r.b[r.i]
		r.i++
	}
	if m&bitOrder != 0 {
		s.Order = int(r.int())
	}
	if m&bitLink != 0 {
		s.Link = &trajectory.Link{}
		copy(s.Link.TraceID[:], r.take(len(s.Link.TraceID)))
		copy(s.Link.SpanID[:], r.take(len(s.Link.SpanID)))
		s.Link.Message = r.take(1) != "\x00"
	}
	s.Name = r.other(m&bitName, &l.Name)
	s.Dialect = r.other(m&bitDialect, &l.Dialect)
	s.Service = r.other(m&bitService, &l.Service)
	s.Conversation = r.other(m&bitConversation, &l.Conversation)
	s.User = r.other(m&bitUser, &l.User)
	s.Tenant = r.other(m&bitTenant, &l.Tenant)
	s.Rollout = r.other(m&bitRollout, &l.Rollout)
	s.Previous = r.some(m & bitPrevious)
	s.TaskKey = r.other(m&bitTaskKey, &l.TaskKey)
	s.Agent = r.other(m&bitAgent, &l.Agent)
	s.Error = r.other(m&bitError, &l.Error)
	s.Injected = r.other(m&bitInjected, &l.Injected)
	if m&bitIn != 0 {
		s.In = r.showing()
	}
	if m&bitOut != 0 {
		s.Out = r.showing()
	}
	if m&(bitMissing|bitAttributes|bitFacts) != 0 {
		r.rare(s, m)
	}
	if m&bitHarness != 0 {
		r.harness(&s.Harness)
	}
	if m&bitCall != 0 {
		room := &r.calls[0]
		r.calls, s.Call = r.calls[1:], &room.call
		is := uint32(r.take(1)[0])
		s.Call.Apart, s.Call.Fetched = is&callApart != 0, is&callFetched != 0
		s.Call.Unordered, s.Call.Outline = is&callUnordered != 0, is&callOutline != 0
		r.modelCall(&room.call.ModelCall, room)
		s.Call.Prompt = r.list()
		s.Call.Reply = r.list()
		if len(s.Call.Prompt) > 0 {
			r.prompt = s.Call.Prompt
		}
	}
	if m&bitTool != 0 {
		room := &r.tools[0]
		r.tools, s.Tool = r.tools[1:], &room.run
		r.toolRun(room)
	}
}

func (r *reader) harness(h *trajectory.Harness) {
	l, m := &r.last.Harness, r.mask()
	h.Turn = r.other(m&bitTurn, &l.Turn)
	h.AgentID = r.other(m&bitAgentID, &l.AgentID)
	h.Request = r.some(m & bitRequest)
	h.Starts = r.some(m & bitStarts)
	h.Reports = r.some(m & bitReports)
	h.Main, h.Part = m&bitMain != 0, m&bitPart != 0
	h.Hosts, h.Told = m&bitHosts != 0, m&bitTold != 0
	h.Relay, h.Piece, h.Session = m&bitRelay != 0, m&bitPiece != 0, m&bitSession != 0
}

func (r *reader) rare(s *trajectory.Span, m uint32) {
	if m&bitMissing != 0 {
		s.Missing = listOf(r, func() trajectory.Reason { return trajectory.Reason(r.text()) })
	}
	if m&bitAttributes != 0 {
		n := r.count()
		s.Attributes = make(map[string]string, n)
		for range n {
			k := r.text()
			s.Attributes[k] = r.text()
		}
	}
	if m&bitFacts != 0 {
		s.Facts = listOf(r, r.fact)
	}
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

func (r *reader) fact() (f trajectory.Fact) {
	for _, s := range [...]*string{&f.ID, &f.Name, &f.Label, &f.Explanation, &f.Source, &f.TrajectoryID, &f.TraceID, &f.SpanID, &f.ResponseID, &f.ConversationID} {
		*s = r.text()
	}
	f.ObservedAt = r.int()
	if r.uint() != 0 {
		f.Value = new(math.Float64frombits(r.fixed()))
	}
	return f
}

func (r *reader) toolRun(t *toolRoom) {
	m := r.mask()
	t.run.Name, t.run.CallID, t.run.Arguments = r.some(m&bitToolName), r.some(m&bitCallID), r.some(m&bitArguments)
	if m&bitResult != 0 {
		t.result = r.showing()
		t.run.Result = &t.result
	}
}

func (r *reader) modelCall(c *trajectory.ModelCall, room *callRoom) {
	l, m := &r.call, r.mask()
	c.Provider = r.other(m&bitProvider, &l.Provider)
	c.RequestModel = r.other(m&bitRequestModel, &l.RequestModel)
	c.ResponseModel = r.other(m&bitResponseModel, &l.ResponseModel)
	c.Adapter = r.other(m&bitAdapter, &l.Adapter)
	c.Bundle = r.other(m&bitBundle, &l.Bundle)
	c.ResponseID = r.other(m&bitResponseID, &l.ResponseID)
	c.FinishReason = r.other(m&bitFinish, &l.FinishReason)
	c.LogprobsMode = r.other(m&bitLogprobsMode, &l.LogprobsMode)
	r.whole(m&bitInputTokens, &c.InputTokens, &room.input)
	r.whole(m&bitOutputTokens, &c.OutputTokens, &room.output)
	r.whole(m&bitCachedTokens, &c.CachedTokens, &room.cached)
	r.whole(m&bitTopK, &c.TopK, &room.topK)
	r.whole(m&bitMaxTokens, &c.MaxTokens, &room.maxTokens)
	r.whole(m&bitSeed, &c.Seed, &room.seed)
	r.double(m&bitTemperature, &c.Temperature, &room.temperature)
	r.double(m&bitTopP, &c.TopP, &room.topP)
	if m&bitConstrained != 0 {
		c.Constrained = new(m&bitIsConstrained != 0)
	}
	if m&bitPromptBase != 0 {
		c.PromptBase = new(int32(r.int())) //nolint:gosec // was one
	}
	if m&bitTools != 0 {
		l.Tools, r.large = r.large[0], r.large[1:]
	}
	c.Tools = l.Tools
	if m&bitLists == 0 {
		return
	}
	for _, ids := range [...]*[]int32{&c.Input, &c.Output, &c.PromptTokenIDs, &c.TokenIDs} {
		*ids = listOf(r, func() int32 { return int32(r.int()) }) //nolint:gosec // was one
	}
	c.Logprobs = listOf(r, func() float32 {
		r.i += 4
		return math.Float32frombits(binary.LittleEndian.Uint32(r.b[r.i-4:]))
	})
}

func (r *reader) whole(is uint32, dst **int64, room *int64) {
	if is != 0 {
		*room = r.int()
		*dst = room
	}
}

func (r *reader) double(is uint32, dst **float64, room *float64) {
	if is != 0 {
		*room = math.Float64frombits(r.fixed())
		*dst = room
	}
}

// list reads a prompt or a reply.
func (r *reader) list() []*trajectory.Message {
	n := int(r.int())
	if n < 0 {
		return nil
	}
	ms := r.shown[:n:n]
	r.shown = r.shown[n:]
	known := copy(ms, r.prompt[:r.count()])
	for i := known; i < n; i++ {
		ms[i] = &r.messages[r.count()]
	}
	return ms
}

func (r *reader) message(m *trajectory.Message) {
	bits := r.mask()
	m.Role = r.some(bits & bitRole)
	m.Text = r.some(bits & bitText)
	m.Reasoning = r.some(bits & bitReasoning)
	m.ToolCallID = r.some(bits & bitAnswers)
	m.Name = r.some(bits & bitSpeaker)
	m.Injected = r.some(bits & bitInjectedBy)
	m.Parts = r.some(bits & bitParts)
	if bits&bitToolCalls == 0 {
		return
	}
	n := r.count()
	m.ToolCalls, r.toolCalls = r.toolCalls[:n:n], r.toolCalls[n:]
	for i := range m.ToolCalls {
		m.ToolCalls[i] = trajectory.ToolCall{ID: r.text(), Name: r.text(), Arguments: r.text()}
	}
}

func (r *reader) showing() string {
	if i := r.count(); i > 0 {
		return r.messages[i-1].Text
	}
	return r.text()
}
