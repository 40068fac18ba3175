// Package genai turns one span of any GenAI dialect into the one shape that
// trajectories are assembled from.
//
// [Decoder.Decode] is the arrow. It is table driven: every dialect is a file
// with a table of attribute names and the fields that they fill. A span may
// speak several dialects at once (dual writing is common), so fields are merged
// one by one: of the names that fill a field the most exact one wins.
//
// Nothing is invented. What a span shows of a call is taken as it is; what it
// replaced by a placeholder, cut or dropped is missing, with the reason.
package genai

import (
	"math/bits"
	"strings"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// Options says which attributes matter beyond the dialects' own.
type Options struct {
	TaskKey    []string // attributes that name the task, the first present wins; looked up on span, then resource
	Tenant     []string // attributes that name the tenant, likewise
	Attributes []string // attributes kept on the trajectory

	Shared *Shared // what decoders that are used by one goroutine at a time may share; nil = nothing
}

// Decoder decodes the spans of one trajectory. It remembers the messages that
// it has parsed, because agents send their whole history with every call; a
// decoder for each trajectory keeps that memory bounded by the trajectory.
// It is not safe for concurrent use.
type Decoder struct {
	opt   Options
	memo  memo
	rooms rooms
	r     *reader // during Decode only
}

// readers are shared: open trajectories are many, spans are read one at a time.
var readers = sync.Pool{New: func() any { return new(reader) }}

// NewDecoder returns a decoder without memory.
func NewDecoder(opt Options) *Decoder { return &Decoder{opt: opt} }

// Forget makes the decoder like a new one, for the next trajectory. What it has
// decoded stays as it is.
func (d *Decoder) Forget() {
	d.memo.forget()
	d.memo.slab, d.rooms = slab[trajectory.Message]{}, rooms{}
}

// Recycle is Forget for an owner who is done with everything that was decoded
// since the last Forget or Recycle: the room of those spans and messages is used
// again. Texts stay as they are.
func (d *Decoder) Recycle() {
	d.memo.forget()
	d.memo.slab.reset()
	d.rooms.reset()
}

// Marked says whether a span carries a GenAI marker of any dialect. It looks at
// names only and is cheap enough for every ordinary span.
func Marked(scope pcommon.InstrumentationScope, span ptrace.Span) bool {
	if spokenIn(scope.Name()) != 0 {
		return true
	}
	for k := range span.Attributes().All() {
		if prefixOf(k) != nil {
			return true
		}
	}
	return false
}

// Decode reads one span. The result shares strings with the span and keeps no
// other reference to it. Spans without a GenAI role are structure: they keep
// the tree whole and name no step.
func (d *Decoder) Decode(res pcommon.Resource, scope pcommon.InstrumentationScope, span ptrace.Span) *trajectory.Span {
	d.begin()
	defer d.end()
	r, added := d.r, d.memo.added
	if r.spoken = spokenIn(scope.Name()); r.spoken != 0 {
		r.scoped = r.spoken
		r.marked = true
	}
	r.flat.room, r.indexed.room = span.Attributes().Len()+64, span.Attributes().Len()+64
	r.dropped = span.DroppedAttributesCount() > 0
	for k, v := range span.Attributes().All() {
		r.take(k, v)
	}
	name := again(&d.memo.before.name, span.Name())
	s, n := d.rooms.newSpan(r.role(name))
	s.TraceID, s.SpanID, s.ParentID = trajectory.TraceID(span.TraceID()), trajectory.SpanID(span.SpanID()), trajectory.SpanID(span.ParentSpanID())
	s.Name, s.Start, s.End = name, int64(span.StartTimestamp()), int64(span.EndTimestamp()) //nolint:gosec // OTLP times fit until 2262
	s.Remote = remoteParent(span)
	s.Link = goesOn(span)
	s.GenAI = r.marked
	s.Dialect = r.dialects()
	s.Judge = judges(r.text(fOIKind)) || judges(r.word())
	s.Error = failure(span, r)
	d.identify(s, res.Attributes(), span.Attributes())
	switch s.Role {
	case trajectory.RoleModelSpan:
		d.call(s, n)
	case trajectory.RoleToolSpan:
		d.tool(s)
	case trajectory.RoleAgentSpan, trajectory.RoleOther:
		if r.marked {
			s.In, s.Out = d.spoken(r, s.Role == trajectory.RoleAgentSpan || s.ParentID == trajectory.SpanID{} || s.Remote)
		}
	}
	if s.Previous == "" {
		s.Previous = r.previous
	}
	for spoken := r.spoken; spoken != 0; spoken &= spoken - 1 {
		if read := dialects[bits.TrailingZeros64(spoken)].read; read != nil {
			read(d, s, span)
		}
	}
	if s.Error != "" && scope.Name() == vercelScope && r.has(fOIKind) {
		readVercel(d, s, span)
	}
	if s.Role != trajectory.RoleOther && (span.DroppedAttributesCount() > 0 || span.DroppedEventsCount() > 0) {
		s.Missing = addReason(s.Missing, trajectory.ReasonDropped)
	}
	if span.Events().Len() > 0 {
		s = d.recorded(s, span)
	}
	s.Facts = append(s.Facts, facts(span)...)
	s.Size = held(s, d.memo.added-added)
	return s
}

// begin takes a reader, end gives it back.
func (d *Decoder) begin() {
	d.r = readers.Get().(*reader)
	d.r.reset()
}

func (d *Decoder) end() {
	readers.Put(d.r)
	d.r = nil
}

// remoteParent reads the OTLP flags: bit 8 says that bit 9 is known.
func remoteParent(span ptrace.Span) bool { return span.Flags()&0x300 == 0x300 }

// heldBy says whether what stands for a conversation is the id of a response of
// OpenAI's: with every call another one, that of the call before. The server
// holds the conversation.
func heldBy(conversation string) bool { return strings.HasPrefix(conversation, "resp_") }

// goesOn is the span of another trace that a root goes on from. A root that links
// to several traces takes up a batch of messages: it is none of their runs.
func goesOn(span ptrace.Span) *trajectory.Link {
	if span.Links().Len() == 0 || !span.ParentSpanID().IsEmpty() {
		return nil
	}
	first := span.Links().At(0)
	for _, l := range span.Links().All() {
		if l.TraceID() != first.TraceID() {
			return nil
		}
	}
	if first.TraceID() == span.TraceID() || first.TraceID().IsEmpty() {
		return nil
	}
	return &trajectory.Link{
		TraceID: trajectory.TraceID(first.TraceID()), SpanID: trajectory.SpanID(first.SpanID()),
		Message: span.Kind() == ptrace.SpanKindProducer || span.Kind() == ptrace.SpanKindConsumer,
	}
}

// identify sets who and where: service, agent, user, session, task.
func (d *Decoder) identify(s *trajectory.Span, attrs, own pcommon.Map) {
	r := d.r
	if v, ok := attrs.Get("service.name"); ok {
		s.Service = again(&d.memo.before.service, v.Str())
	}
	s.Conversation = again(&d.memo.before.conversation, r.text(fConversation))
	if s.Previous = r.text(fPrevious); heldBy(s.Conversation) {
		s.Conversation, s.Previous = "", s.Conversation
	}
	s.User = again(&d.memo.before.user, r.text(fUser))
	s.Agent = again(&d.memo.before.agent, r.agent(s.Role, s.Name))
	r.metadata(s)
	s.Gateway, s.Injected = r.text(fSource) == string(trajectory.SourceGateway), array(r.text(fInjected))
	s.Rollout = r.text(fRollout)
	if v, ok := attrs.Get(trajectory.AttrRolloutID); ok && s.Rollout == "" {
		s.Rollout = v.AsString()
	}
	if v, ok := attrs.Get("agentlightning.rollout_id"); ok && s.Rollout == "" {
		s.Rollout = v.AsString()
		if a := attr(attrs, "agentlightning.attempt_id"); a != "" {
			s.Rollout += "/" + a // a rollout is tried again after a failure
		}
	}
	s.TaskKey = lookup(d.opt.TaskKey, own, attrs)
	s.Tenant = lookup(d.opt.Tenant, own, attrs)
	allowed(s, d.opt.Attributes, attrs, own)
	if s.Gateway {
		allowed(s, trajectory.CallAttributes, attrs, own)
	}
}

// allowed keeps some attributes of a span, or of its resource, as text.
func allowed(s *trajectory.Span, names []string, attrs, own pcommon.Map) {
	for _, k := range names {
		if v := lookup([]string{k}, own, attrs); v != "" {
			if s.Attributes == nil {
				s.Attributes = make(map[string]string, len(names))
			}
			s.Attributes[k] = v
		}
	}
}

func lookup(keys []string, own, res pcommon.Map) string {
	for _, k := range keys {
		if v, ok := own.Get(k); ok {
			return v.AsString()
		}
		if v, ok := res.Get(k); ok {
			return v.AsString()
		}
	}
	return ""
}

// exceptionEvent is the event by which the OpenTelemetry SDKs record an error.
const exceptionEvent = "exception"

// handover is the exception by which LangGraph passes control to the parent
// graph: no failure.
const handover = "ParentCommand"

// failure is the error text of a span: exception type and message where there
// is an exception event, else the status message, else the error type.
func failure(span ptrace.Span, r *reader) string {
	if span.Status().Code() != ptrace.StatusCodeError && r.text(fErrorType) == "" {
		return ""
	}
	message := span.Status().Message()
	for i := range span.Events().Len() {
		e := span.Events().At(i)
		if e.Name() != exceptionEvent {
			continue
		}
		typ, text := attr(e.Attributes(), "exception.type"), attr(e.Attributes(), "exception.message")
		switch {
		case strings.Contains(typ, handover) || strings.Contains(text, handover):
			return ""
		case typ != "" && text != "" && !strings.HasPrefix(text, typ):
			return typ + ": " + text
		case text != "":
			return text
		case message == "":
			message = typ
		}
	}
	if strings.Contains(message, handover) {
		return ""
	}
	if message == "" {
		message = r.text(fErrorType)
	}
	if message == "" {
		message = "error"
	}
	return message
}

func attr(m pcommon.Map, k string) string {
	if v, ok := m.Get(k); ok {
		return v.AsString()
	}
	return ""
}

func addReason(list []trajectory.Reason, r trajectory.Reason) []trajectory.Reason {
	if r == "" {
		return list
	}
	for _, have := range list {
		if have == r {
			return list
		}
	}
	return append(list, r)
}
