package genai

import (
	"hash/fnv"
	"math/bits"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// event is an event of a span or a log record: content is in either, depending
// on the instrumentation and its version.
type event struct {
	name  string
	attrs pcommon.Map
	body  pcommon.Value // of a log record; empty for an event of a span

	loaded bool // the decoder's reader holds the attributes
}

// readEvent reads what an event says about the call that it belongs to. It
// returns false where it says nothing.
type readEvent func(d *Decoder, e event, s *trajectory.Span) bool

// events are the readers of all dialects, by the name of the event.
var events = map[string]readEvent{
	"gen_ai.system.message":                       readMessageEvent,
	"gen_ai.user.message":                         readMessageEvent,
	"gen_ai.assistant.message":                    readMessageEvent,
	"gen_ai.tool.message":                         readMessageEvent,
	"gen_ai.choice":                               readChoice,
	"gen_ai.content.prompt":                       readContentPrompt,
	"gen_ai.content.completion":                   readContentCompletion,
	"gen_ai.client.inference.operation.details":   readDetails,
	"gen_ai.client.inference.operation.exception": nil,
	"gen_ai.client.operation.exception":           nil,
}

// eventName is the name of a log record's event. It has its own field since
// OTLP 1.5; before, and still in many SDKs, it is an attribute, and where that
// is short for it the body. A name that no reader knows may stand before one
// that is known: tracing libraries put the place in the source there.
func eventName(r plog.LogRecord) string {
	name := r.EventName()
	if _, known := events[name]; known {
		return name
	}
	for _, k := range []string{"event.name", "event_name"} {
		v, ok := r.Attributes().Get(k)
		if !ok {
			continue
		}
		if _, known := events[v.AsString()]; known || name == "" {
			name = v.AsString()
		}
		break
	}
	if b := r.Body(); b.Type() == pcommon.ValueTypeStr && len(b.Str()) <= maxEventName {
		if _, known := events[b.Str()]; known {
			return b.Str()
		}
	}
	return name
}

// maxEventName bounds the texts that are looked up as names.
const maxEventName = 64

// Recorded says whether a log record may say something of an agent's call. It
// is cheap enough for every ordinary record.
func Recorded(r plog.LogRecord) bool { return events[eventName(r)] != nil }

// DecodeRecord reads one log record. The result stands for the record: its
// ParentID is the span that the record was written under, and
// [trajectory.Join] folds it into that span. nth tells records of a request
// apart that say the same at the same time. It is nil if the record says
// nothing of a call, or nothing ties it to one.
func (d *Decoder) DecodeRecord(res pcommon.Resource, scope pcommon.InstrumentationScope, rec plog.LogRecord, nth int) *trajectory.Span {
	e := event{name: eventName(rec), attrs: rec.Attributes(), body: rec.Body(), loaded: true}
	read := events[e.name]
	if read == nil {
		return nil
	}
	d.begin()
	defer d.end()
	added := d.memo.added
	r := d.r
	r.spoken = spokenIn(scope.Name())
	r.flat.room, r.indexed.room = rec.Attributes().Len()+64, rec.Attributes().Len()+64
	for k, v := range rec.Attributes().All() {
		r.take(k, v)
	}
	s := d.newRecord(e)
	s.TraceID, s.ParentID = trajectory.TraceID(rec.TraceID()), trajectory.SpanID(rec.SpanID())
	s.SpanID = RecordID(rec)
	s.SpanID[7] += byte(nth)                            //nolint:gosec // repeats of one record in one request are few
	if s.Start = int64(rec.Timestamp()); s.Start == 0 { //nolint:gosec // OTLP times fit until 2262
		s.Start = int64(rec.ObservedTimestamp()) //nolint:gosec // as above
	}
	s.End = s.Start
	if v, ok := rec.Attributes().Get("CHAT_MESSAGE_INDEX"); ok {
		if n, err := strconv.Atoi(v.AsString()); err == nil && n >= 0 && n < 1<<30 {
			s.Order = n + 1 // Semantic Kernel's own count
		}
	}
	d.identify(s, res.Attributes(), rec.Attributes())
	if !read(d, e, s) {
		return nil
	}
	if s.Previous == "" {
		s.Previous = d.r.previous
	}
	for spoken := r.spoken; spoken != 0; spoken &= spoken - 1 {
		if fix := dialects[bits.TrailingZeros64(spoken)].record; fix != nil {
			fix(d, s)
		}
	}
	if s.TraceID == (trajectory.TraceID{}) && !ofSession(s) {
		return nil
	}
	s.Size = held(s, d.memo.added-added)
	return s
}

// ofSession says whether a record that names no trace can be tied to a call by
// its session. One that shows a whole call, or its request, is an event of its
// own.
func ofSession(s *trajectory.Span) bool {
	if s.Record == trajectory.RecordDetails {
		s.Record = trajectory.RecordRequest
		if c := s.Call; len(c.Reply) > 0 || c.ResponseID != "" || c.FinishReason != "" || c.OutputTokens != nil {
			s.Record = trajectory.RecordEvent
		}
	}
	return s.Conversation != "" && s.Record >= trajectory.RecordEvent
}

// newRecord is a record that says nothing yet.
func (d *Decoder) newRecord(e event) *trajectory.Span {
	dialect := d.r.dialects()
	if strings.HasPrefix(e.name, "gen_ai.") && (dialect == "" || dialect == unknownDialect) {
		dialect = semconv.name
	}
	return &trajectory.Span{
		Name: e.name, Record: trajectory.RecordMessage, Role: trajectory.RoleModelSpan, GenAI: true, Dialect: dialect, Call: &trajectory.Call{},
	}
}

// RecordID makes an id out of what a record says: log records have none.
func RecordID(r plog.LogRecord) trajectory.SpanID {
	h := fnv.New64a()
	put := func(s string) { _, _ = h.Write([]byte(s)); _, _ = h.Write([]byte{0}) }
	span, trace := r.SpanID(), r.TraceID()
	_, _ = h.Write(span[:])
	_, _ = h.Write(trace[:])
	put(r.Timestamp().String() + r.ObservedTimestamp().String())
	put(eventName(r))
	put(r.Body().AsString())
	for k, v := range r.Attributes().All() {
		put(k)
		put(v.AsString())
	}
	sum := h.Sum(nil)
	var id trajectory.SpanID
	copy(id[:], sum)
	id[0] |= 1
	return id
}

// recorded reads the events of a span that show content. What the span's
// attributes show counts; events fill what is missing.
func (d *Decoder) recorded(s *trajectory.Span, span ptrace.Span) *trajectory.Span {
	var list []*trajectory.Span
	for i, ev := range span.Events().All() {
		read := events[ev.Name()]
		if read == nil {
			continue
		}
		e := event{name: ev.Name(), attrs: ev.Attributes(), body: eventBody(ev.Attributes())}
		r := d.newRecord(e)
		r.TraceID, r.ParentID, r.SpanID = s.TraceID, s.SpanID, trajectory.SpanID{1, byte(i >> 16), byte(i >> 8), byte(i)} //nolint:gosec // its place
		r.Order, r.Start = i+1, int64(ev.Timestamp())                                                                     //nolint:gosec // OTLP times fit until 2262
		if read(d, e, r) {
			list = append(list, r)
		}
	}
	if list == nil {
		return s
	}
	switch s.Role {
	case trajectory.RoleToolSpan:
		toolEvents(s, list)
		return s
	case trajectory.RoleModelSpan:
		whole := trajectory.Join(append(list, s))[0]
		whole.Records = 0 // what a span says itself
		return whole
	}
	agentEvents(s, list)
	return s
}

// eventBody is what a log record has as its body. Events of spans have none:
// Azure's SDKs write it as JSON into an attribute, as semconv had it up to 1.27.
func eventBody(attrs pcommon.Map) pcommon.Value {
	if v, ok := attrs.Get("gen_ai.event.content"); ok && v.Type() == pcommon.ValueTypeStr && object(v.Str()) != "" {
		return v
	}
	return pcommon.NewValueEmpty()
}

// toolEvents reads what a tool span's events show: the message that asks for
// the run, the message or choice that it returned.
func toolEvents(s *trajectory.Span, list []*trajectory.Span) {
	for _, r := range list {
		for _, m := range r.Call.Prompt {
			if s.Tool.Arguments == "" && object(m.Text) != "" {
				s.Tool.Arguments = m.Text
			}
			if s.Tool.CallID == "" {
				s.Tool.CallID = m.ToolCallID
			}
		}
		for _, m := range r.Call.Reply {
			if s.Tool.Result == nil {
				s.Tool.Result = &m.Text
			}
		}
	}
}

// agentEvents reads the plain input and output that an agent's events show.
func agentEvents(s *trajectory.Span, list []*trajectory.Span) {
	for _, r := range list {
		if in := lastText(r.Call.Prompt, trajectory.RoleUser); s.In == "" {
			s.In = in
		}
		if out := lastText(r.Call.Reply, trajectory.RoleAssistant); out != "" {
			s.Out = out
		}
	}
}

// readMessageEvent reads gen_ai.{system,user,assistant,tool}.message: a message
// in OpenAI's form whose role is in the name.
func readMessageEvent(d *Decoder, e event, s *trajectory.Span) bool {
	role := strings.TrimSuffix(strings.TrimPrefix(e.name, "gen_ai."), ".message")
	ms := d.eventMessage(e, role, "content")
	s.Call.Prompt = ms
	if hidden(ms) {
		s.Call.Prompt, s.Missing = nil, addReason(s.Missing, trajectory.ReasonRedacted)
	}
	return len(ms) > 0
}

// readChoice reads gen_ai.choice: {index, finish_reason, message}. Only the
// first choice is what the agent goes on with.
func readChoice(d *Decoder, e event, s *trajectory.Span) bool {
	o := e.members()
	if i := o.get("index").asText(); i != "" && i != "0" {
		return false
	}
	s.Call.FinishReason = d.memo.name(o.get("finish_reason").asText())
	if m := o.get("message"); m.isObject() && e.body.Type() != pcommon.ValueTypeEmpty {
		s.Call.Reply = d.spokenBy(speaking(d.message(&scanner{s: m.raw})), trajectory.RoleAssistant)
	} else {
		s.Call.Reply = speaking(d.eventMessage(e, trajectory.RoleAssistant, "message"))
	}
	if hidden(s.Call.Reply) {
		s.Call.Reply, s.Missing = nil, addReason(s.Missing, trajectory.ReasonRedacted)
	}
	return true
}

// readContentPrompt reads gen_ai.content.prompt: up to semconv 1.26.
func readContentPrompt(d *Decoder, e event, s *trajectory.Span) bool {
	ms, missing := d.request(e.text("gen_ai.prompt"), s.Call)
	s.Call.Prompt, s.Missing = ms, addReason(s.Missing, missing)
	return len(ms) > 0 || missing != ""
}

func readContentCompletion(d *Decoder, e event, s *trajectory.Span) bool {
	ms, missing := d.response(e.text("gen_ai.completion"), s.Call)
	s.Call.Reply, s.Missing = ms, addReason(s.Missing, missing)
	return len(ms) > 0 || missing != ""
}

// readDetails reads gen_ai.client.inference.operation.details: the attributes
// of the call's span, content with them. They may come in several events.
func readDetails(d *Decoder, e event, s *trajectory.Span) bool {
	s.Record = trajectory.RecordDetails
	r := d.r
	if !e.loaded {
		spoken := r.spoken
		r.reset()
		r.spoken = spoken
		for k, v := range e.attrs.All() {
			r.take(k, v)
		}
	}
	n := new(numbers)
	d.call(s, n)
	if len(s.Call.Prompt) == 0 {
		if sys := d.instructions(r.text(fSystem)); sys != nil {
			s.Call.Prompt = []*trajectory.Message{sys}
		}
	}
	return true
}

// members are the fields of an event: those of its body, else its attributes.
func (e event) members() members {
	if e.body.Type() == pcommon.ValueTypeMap || e.body.Type() == pcommon.ValueTypeStr {
		return parse(e.body.AsString())
	}
	o := make(members, 0, e.attrs.Len())
	for k, v := range e.attrs.All() {
		if v.Type() == pcommon.ValueTypeStr {
			o = append(o, member{k, asToken(v.Str())})
		} else {
			o = append(o, member{k, token{raw: v.AsString()}})
		}
	}
	return o
}

func (e event) text(attribute string) string {
	if v, ok := e.attrs.Get(attribute); ok && v.AsString() != "" {
		return v.AsString()
	}
	return e.body.AsString()
}

// eventMessage reads the message that an event is, or that one of its fields
// holds. Attributes can hold no structure: their text may be JSON.
func (d *Decoder) eventMessage(e event, role, field string) []*trajectory.Message {
	o := e.members()
	dr := d.draft()
	dr.role(quoted(role))
	if v := o.get("role"); v.isText() {
		dr.role(v)
	}
	content := o.get(field)
	if !content.exists() {
		content = o.get("content")
	}
	if v := content.member("role"); v.isText() { // Gemini's content
		dr.role(v)
	}
	if e.body.Type() == pcommon.ValueTypeEmpty && content.isText() {
		d.structured(dr, content)
	} else {
		d.content(dr, content)
	}
	dr.m.Name = d.memo.name(o.get("name").asText())
	if dr.m.Role == trajectory.RoleTool {
		dr.m.ToolCallID = dr.text(o.first("id", "tool_call_id"))
	}
	calls := o.get("tool_calls")
	if calls.isText() {
		calls = token{raw: strings.TrimSpace(calls.view())}
	}
	openAICalls(dr, calls)
	return dr.done()
}

// structured reads content that is JSON in a string: a list of parts, a
// message, or text that only looks like it.
func (d *Decoder) structured(dr *draft, v token) {
	raw := strings.TrimSpace(v.view())
	if len(raw) > 1 && raw[0] == '[' && valid(raw) {
		before := *dr
		if d.content(dr, token{raw: raw}); len(dr.parts) == 0 {
			return
		}
		*dr = before
	}
	dr.addText(dr.text(v))
}
