// Package pack keeps decoded spans in little memory: one block without
// pointers, which the garbage collector does not walk. It is for spans that
// wait, and for those that are kept in case they are needed again.
//
// The form is private to a process. What repeats the span before takes no
// room, messages stand once however many prompts show them, and so do their
// texts.
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
	for _, n := range [...]int{len(spans), len(w.messages), w.calls, w.tools, w.shownMessages, w.toolCalls} {
		w.uint(uint64(n)) //nolint:gosec // counts
	}
	for _, m := range w.messages {
		w.message(m)
	}
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

	calls, tools, shownMessages, toolCalls int
}

func (w *writer) uint(v uint64)  { w.b = binary.AppendUvarint(w.b, v) }
func (w *writer) int(v int64)    { w.b = binary.AppendVarint(w.b, v) }
func (w *writer) fixed(v uint64) { w.b = binary.LittleEndian.AppendUint64(w.b, v) }

func (w *writer) text(s string) {
	w.uint(uint64(len(s)))
	w.b = append(w.b, s...)
}

// mask is bits that say which fields follow; it is written when they are known.
func (w *writer) mask() (at int) {
	w.b = append(w.b, 0, 0, 0, 0)
	return len(w.b) - 4
}

func (w *writer) set(at int, m uint32) { binary.LittleEndian.PutUint32(w.b[at:], m) }

// other writes a text that is not the one before, and returns bit; else 0.
func (w *writer) other(bit uint32, s string, last *string) uint32 {
	if s == *last {
		return 0
	}
	*last = s
	w.text(s)
	return bit
}

// some writes a text that is not empty, and returns bit; else 0.
func (w *writer) some(bit uint32, s string) uint32 {
	if s == "" {
		return 0
	}
	w.text(s)
	return bit
}

// The bits of a span.
const (
	bitTrace uint32 = 1 << iota
	bitGenAI
	bitRemote
	bitJudge
	bitGateway
	bitRecord
	bitOrder
	bitGraph
	bitRecords
	bitCall
	bitTool
	bitMissing
	bitAttributes
	bitFacts
	bitName
	bitDialect
	bitService
	bitConversation
	bitUser
	bitTenant
	bitRollout
	bitTaskKey
	bitAgent
	bitError
	bitInjected
	bitIn
	bitOut
	bitLink
	bitHarness
	bitPrevious
)

// The bits of what a call shows of its prompt.
const (
	callApart uint32 = 1 << iota
	callFetched
	callUnordered
	callOutline
)

func when(is bool, bit uint32) uint32 {
	if is {
		return bit
	}
	return 0
}

func (w *writer) span(s *trajectory.Span) {
	l, at := &w.last, w.mask()
	m := when(s.TraceID != l.TraceID, bitTrace) | when(s.GenAI, bitGenAI) | when(s.Remote, bitRemote) | when(s.Judge, bitJudge) |
		when(s.Gateway, bitGateway) | when(s.Call != nil, bitCall) |
		when(s.Tool != nil, bitTool) | when(s.Missing != nil, bitMissing) |
		when(s.Attributes != nil, bitAttributes) | when(s.Facts != nil, bitFacts) | when(s.In != "", bitIn) | when(s.Out != "", bitOut) |
		when(s.Harness != trajectory.Harness{}, bitHarness)
	if m&bitTrace != 0 {
		w.b = append(w.b, s.TraceID[:]...)
	}
	w.b = append(w.b, s.SpanID[:]...)
	w.b = append(w.b, s.ParentID[:]...)
	w.b = append(w.b, byte(s.Role))
	w.int(s.Start - l.Start)
	w.int(s.End - l.End)
	w.int(int64(s.Size))
	w.uint(s.Seq)
	if s.Records != 0 {
		m |= bitRecords
		w.fixed(s.Records)
	}
	if s.Record != 0 {
		m |= bitRecord
		w.b = append(w.b, byte(s.Record))
	}
	if s.Graph != 0 {
		m |= bitGraph
		w.b = append(w.b, s.Graph)
	}
	if s.Order != 0 {
		m |= bitOrder
		w.int(int64(s.Order))
	}
	if s.Link != nil {
		m |= bitLink
		w.b = append(w.b, s.Link.TraceID[:]...)
		w.b = append(w.b, s.Link.SpanID[:]...)
		w.b = append(w.b, byte(when(s.Link.Message, 1))) //nolint:gosec // 0 or 1
	}
	m |= w.other(bitName, s.Name, &l.Name)
	m |= w.other(bitDialect, s.Dialect, &l.Dialect)
	m |= w.other(bitService, s.Service, &l.Service)
	m |= w.other(bitConversation, s.Conversation, &l.Conversation)
	m |= w.other(bitUser, s.User, &l.User)
	m |= w.other(bitTenant, s.Tenant, &l.Tenant)
	m |= w.other(bitRollout, s.Rollout, &l.Rollout)
	m |= w.some(bitPrevious, s.Previous)
	m |= w.other(bitTaskKey, s.TaskKey, &l.TaskKey)
	m |= w.other(bitAgent, s.Agent, &l.Agent)
	m |= w.other(bitError, s.Error, &l.Error)
	m |= w.other(bitInjected, s.Injected, &l.Injected)
	l.TraceID, l.Start, l.End = s.TraceID, s.Start, s.End
	w.set(at, m)
	if s.In != "" {
		w.shown(s.In)
	}
	if s.Out != "" {
		w.shown(s.Out)
	}
	if m&(bitMissing|bitAttributes|bitFacts) != 0 {
		w.rare(s)
	}
	if m&bitHarness != 0 {
		w.harness(&s.Harness)
	}
	if s.Call != nil {
		c := s.Call
		w.b = append(w.b, byte(when(c.Apart, callApart)|when(c.Fetched, callFetched)|when(c.Unordered, callUnordered)|when(c.Outline, callOutline))) //nolint:gosec // four bits
		w.modelCall(&c.ModelCall)
		w.list()
		w.list()
	}
	if s.Tool != nil {
		w.toolRun(s.Tool)
	}
}

// The bits of a harness.
const (
	bitTurn uint32 = 1 << iota
	bitAgentID
	bitRequest
	bitStarts
	bitReports
	bitRelay
	bitPiece
	bitHosts
	bitTold
	bitSession
	bitMain
	bitPart
)

func (w *writer) harness(h *trajectory.Harness) {
	l, at := &w.last.Harness, w.mask()
	m := when(h.Relay, bitRelay) | when(h.Piece, bitPiece) | when(h.Hosts, bitHosts) | when(h.Told, bitTold) | when(h.Session, bitSession) | when(h.Main, bitMain) | when(h.Part, bitPart)
	m |= w.other(bitTurn, h.Turn, &l.Turn)
	m |= w.other(bitAgentID, h.AgentID, &l.AgentID)
	m |= w.some(bitRequest, h.Request)
	m |= w.some(bitStarts, h.Starts)
	m |= w.some(bitReports, h.Reports)
	w.set(at, m)
}

func (w *writer) rare(s *trajectory.Span) {
	if s.Missing != nil {
		list(w, s.Missing, func(r trajectory.Reason) { w.text(string(r)) })
	}
	if s.Attributes != nil {
		w.uint(uint64(len(s.Attributes)))
		for k, v := range s.Attributes {
			w.text(k)
			w.text(v)
		}
	}
	if s.Facts != nil {
		list(w, s.Facts, w.fact)
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

func (w *writer) fact(f trajectory.Fact) {
	for _, s := range [...]string{f.ID, f.Name, f.Label, f.Explanation, f.Source, f.TrajectoryID, f.TraceID, f.SpanID, f.ResponseID, f.ConversationID} {
		w.text(s)
	}
	w.int(f.ObservedAt)
	if f.Value == nil {
		w.uint(0)
		return
	}
	w.uint(1)
	w.fixed(math.Float64bits(*f.Value))
}

// The bits of a tool run.
const (
	bitToolName uint32 = 1 << iota
	bitCallID
	bitArguments
	bitResult
)

func (w *writer) toolRun(t *trajectory.ToolRun) {
	at := w.mask()
	w.set(at, w.some(bitToolName, t.Name)|w.some(bitCallID, t.CallID)|w.some(bitArguments, t.Arguments)|when(t.Result != nil, bitResult))
	if t.Result != nil {
		w.shown(*t.Result)
	}
}

// The bits of a model call.
const (
	bitProvider uint32 = 1 << iota
	bitRequestModel
	bitResponseModel
	bitAdapter
	bitBundle
	bitResponseID
	bitFinish
	bitLogprobsMode
	bitInputTokens
	bitOutputTokens
	bitCachedTokens
	bitTopK
	bitMaxTokens
	bitSeed
	bitTemperature
	bitTopP
	bitConstrained // known
	bitIsConstrained
	bitPromptBase
	bitTools
	bitLists // of numbers: any
)

func (w *writer) modelCall(c *trajectory.ModelCall) {
	l, at := &w.call, w.mask()
	m := w.other(bitProvider, c.Provider, &l.Provider)
	m |= w.other(bitRequestModel, c.RequestModel, &l.RequestModel)
	m |= w.other(bitResponseModel, c.ResponseModel, &l.ResponseModel)
	m |= w.other(bitAdapter, c.Adapter, &l.Adapter)
	m |= w.other(bitBundle, c.Bundle, &l.Bundle)
	m |= w.other(bitResponseID, c.ResponseID, &l.ResponseID)
	m |= w.other(bitFinish, c.FinishReason, &l.FinishReason)
	m |= w.other(bitLogprobsMode, c.LogprobsMode, &l.LogprobsMode)
	m |= w.whole(bitInputTokens, c.InputTokens) | w.whole(bitOutputTokens, c.OutputTokens) | w.whole(bitCachedTokens, c.CachedTokens) |
		w.whole(bitTopK, c.TopK) | w.whole(bitMaxTokens, c.MaxTokens) | w.whole(bitSeed, c.Seed)
	m |= w.double(bitTemperature, c.Temperature) | w.double(bitTopP, c.TopP)
	if c.Constrained != nil {
		m |= bitConstrained | when(*c.Constrained, bitIsConstrained)
	}
	if c.PromptBase != nil {
		m |= bitPromptBase
		w.int(int64(*c.PromptBase))
	}
	if c.Tools != l.Tools {
		m |= bitTools
		w.large = append(w.large, c.Tools)
		l.Tools = c.Tools
	}
	if c.Input != nil || c.Output != nil || c.PromptTokenIDs != nil || c.TokenIDs != nil || c.Logprobs != nil {
		m |= bitLists
		for _, ids := range [...][]int32{c.Input, c.Output, c.PromptTokenIDs, c.TokenIDs} {
			list(w, ids, func(v int32) { w.int(int64(v)) })
		}
		list(w, c.Logprobs, func(v float32) { w.b = binary.LittleEndian.AppendUint32(w.b, math.Float32bits(v)) })
	}
	w.set(at, m)
}

func (w *writer) whole(bit uint32, v *int64) uint32 {
	if v == nil {
		return 0
	}
	w.int(*v)
	return bit
}

func (w *writer) double(bit uint32, v *float64) uint32 {
	if v == nil {
		return 0
	}
	w.fixed(math.Float64bits(*v))
	return bit
}

// The bits of a message.
const (
	bitRole uint32 = 1 << iota
	bitText
	bitReasoning
	bitAnswers
	bitSpeaker
	bitInjectedBy
	bitParts
	bitToolCalls
)

func (w *writer) message(m *trajectory.Message) {
	at := w.mask()
	bits := w.some(bitRole, m.Role)
	bits |= w.some(bitText, m.Text)
	bits |= w.some(bitReasoning, m.Reasoning)
	bits |= w.some(bitAnswers, m.ToolCallID)
	bits |= w.some(bitSpeaker, m.Name)
	bits |= w.some(bitInjectedBy, m.Injected)
	bits |= w.some(bitParts, m.Parts)
	if m.ToolCalls != nil {
		bits |= bitToolCalls
		w.uint(uint64(len(m.ToolCalls)))
		for i := range m.ToolCalls {
			c := &m.ToolCalls[i]
			w.text(c.ID)
			w.text(c.Name)
			w.text(c.Arguments)
		}
	}
	w.set(at, bits)
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

// list writes the next prompt or reply.
func (w *writer) list() {
	l := w.lists[w.read:]
	n := l[0]
	w.read++
	if w.int(int64(n)); n < 0 {
		return
	}
	known := l[1]
	w.read += 1 + n - known
	for _, v := range l[1 : 2+n-known] {
		w.uint(uint64(v)) //nolint:gosec // a count or an index
	}
}

// collect numbers the messages and says of every prompt and reply how many
// messages it has, how many of them are those of the prompt before, and which
// the others are. -1 messages is nil.
func (w *writer) collect(spans []*trajectory.Span) {
	var last []*trajectory.Message
	for _, s := range spans {
		if s.Tool != nil {
			w.tools++
		}
		if s.Call == nil {
			continue
		}
		w.calls++
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
	w.shownMessages += len(ms)
	for _, m := range ms[known:] {
		i := w.find(m)
		if i < 0 {
			i = len(w.messages)
			w.toolCalls += len(m.ToolCalls)
			if w.messages = append(w.messages, m); w.index != nil {
				w.index[m] = i
			}
		}
		w.lists = append(w.lists, i)
	}
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
