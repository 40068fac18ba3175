package gatewayreceiver

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/receiver/gatewayreceiver/internal/metadata"
	"github.com/tracegrad/tracegrad/receiver/gatewayreceiver/internal/openai"
)

const (
	serviceName = "tracegrad-gateway"
	schemaURL   = "https://opentelemetry.io/schemas/gen-ai/1.42.0"
)

// spanWriter writes calls as spans of the GenAI semantic conventions.
type spanWriter struct {
	provider string
	content  bool
	// logprobsMode is what the server's log-probabilities are of; "" = unknown.
	logprobsMode string
	limit        int // bytes of content, for the request and for the answer
	address      string
	port         int64
	version      string
}

func newSpanWriter(cfg *Config, upstream *url.URL, version string) spanWriter {
	w := spanWriter{
		provider: cfg.Provider, content: cfg.CaptureContent, logprobsMode: cfg.LogprobsMode, limit: cfg.MaxCaptureBytes,
		address: upstream.Hostname(), version: version,
	}
	port := upstream.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[upstream.Scheme]
	}
	w.port, _ = strconv.ParseInt(port, 10, 64) // url.Parse took it
	return w
}

// write makes one span of each call.
func (w spanWriter) write(calls []*call) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", serviceName)
	ss := rs.ScopeSpans().AppendEmpty()
	ss.SetSchemaUrl(schemaURL)
	ss.Scope().SetName(metadata.ScopeName)
	ss.Scope().SetVersion(w.version)
	ss.Spans().EnsureCapacity(len(calls))
	for _, c := range calls {
		w.span(ss.Spans().AppendEmpty(), c)
	}
	return td
}

func (w spanWriter) span(s ptrace.Span, c *call) {
	s.SetTraceID(c.trace.trace)
	s.SetSpanID(c.trace.span)
	s.SetParentSpanID(c.trace.parent)
	s.SetFlags(c.trace.otlpFlags())
	s.TraceState().FromRaw(c.trace.state)
	s.SetKind(ptrace.SpanKindClient)
	s.SetStartTimestamp(pcommon.NewTimestampFromTime(c.start))
	s.SetEndTimestamp(pcommon.NewTimestampFromTime(c.end))

	a := s.Attributes()
	a.EnsureCapacity(32)
	a.PutStr("gen_ai.operation.name", "chat")
	a.PutStr("gen_ai.provider.name", w.provider)
	a.PutStr("server.address", w.address)
	a.PutInt("server.port", w.port)
	putText(a, "gen_ai.agent.name", c.agent)
	putText(a, "gen_ai.conversation.id", c.conversation)
	w.request(s, c)
	w.answer(s, c)
	w.tracegrad(a, c)
	w.tokens(a, c)
	w.status(s, c)
}

func (w spanWriter) request(s ptrace.Span, c *call) {
	a := s.Attributes()
	fits := len(c.request) <= w.limit
	r, _ := openai.ParseRequest(c.request, w.content && fits) // a broken request has no attributes; the status says why it failed
	s.SetName("chat")
	if r.Model != "" {
		s.SetName("chat " + r.Model)
	}
	putText(a, "gen_ai.request.model", r.Model)
	if r.Stream {
		a.PutBool("gen_ai.request.stream", true)
	}
	putNumber(a, "gen_ai.request.temperature", r.Temperature)
	putNumber(a, "gen_ai.request.top_p", r.TopP)
	putInteger(a, "gen_ai.request.top_k", r.TopK)
	putInteger(a, "gen_ai.request.max_tokens", r.MaxTokens)
	putInteger(a, "gen_ai.request.seed", r.Seed)
	putNumber(a, trajectory.AttrMinP, r.MinP)
	putNumber(a, "gen_ai.request.frequency_penalty", r.FrequencyPenalty)
	putNumber(a, "gen_ai.request.presence_penalty", r.PresencePenalty)
	if r.Choices != nil && *r.Choices != 1 {
		a.PutInt("gen_ai.request.choice.count", *r.Choices)
	}
	putTexts(a, "gen_ai.request.stop_sequences", r.Stop)
	if len(r.Constraints) > 0 {
		a.PutBool(trajectory.AttrConstrained, true)
		putTexts(a, trajectory.AttrConstraints, r.Constraints)
	} else if len(c.tokens.IDs) > 0 {
		a.PutBool(trajectory.AttrConstrained, false)
	}
	if r.JSON {
		a.PutStr("gen_ai.output.type", "json")
	}
	putText(a, "gen_ai.tool.definitions", r.Tools)
	putText(a, "gen_ai.input.messages", r.Messages)
	if w.content && !fits {
		dropOne(s)
	}
}

func (w spanWriter) answer(s ptrace.Span, c *call) {
	a, r := s.Attributes(), c.answer
	putText(a, "gen_ai.response.id", r.ID)
	putText(a, "gen_ai.response.model", r.Model)
	putTexts(a, "gen_ai.response.finish_reasons", r.Finishes())
	putInteger(a, "gen_ai.usage.input_tokens", r.Usage.Input)
	putInteger(a, "gen_ai.usage.output_tokens", r.Usage.Output)
	putInteger(a, "gen_ai.usage.cache_read.input_tokens", r.Usage.Cached)
	putInteger(a, "gen_ai.usage.reasoning.output_tokens", r.Usage.Reasoning)
	if c.streamed && !c.firstByte.IsZero() {
		a.PutDouble("gen_ai.response.time_to_first_chunk", c.firstByte.Sub(c.start).Seconds())
	}
	switch {
	case !w.content:
	case r.Truncated:
		dropOne(s)
	default:
		putText(a, "gen_ai.output.messages", r.Messages())
	}
}

func (w spanWriter) tracegrad(a pcommon.Map, c *call) {
	a.PutStr(trajectory.AttrSource, string(trajectory.SourceGateway))
	w.served(a, c)
	if len(c.injected) == 0 {
		return
	}
	raw, err := json.Marshal(c.injected)
	if err != nil { // strings and numbers always marshal
		panic("internal error: " + err.Error())
	}
	a.PutStr(trajectory.AttrInjected, string(raw))
}

// served says which policy answered.
func (w spanWriter) served(a pcommon.Map, c *call) {
	if s := c.bundle(); s.bundle != nil {
		a.PutStr(trajectory.AttrBundle, s.bundle.ID())
		putText(a, trajectory.AttrBundleLabel, s.label)
	}
	putText(a, trajectory.AttrAdapter, c.adapter())
	if c.routing != nil && c.routing.unknown {
		a.PutStr(trajectory.AttrAdapterMissing, c.routing.adapter)
	}
}

// tokens puts the ids of the call on its span, packed: 4 bytes each, little
// endian. A list of OTLP values would be three times as long, and an object each
// for whoever reads it.
func (w spanWriter) tokens(a pcommon.Map, c *call) {
	if len(c.tokens.IDs) == 0 {
		putText(a, trajectory.AttrUntold, c.untold)
		return
	}
	a.PutEmptyBytes(trajectory.AttrPromptTokenIDs).FromRaw(trajectory.PackIDs(c.tokens.Prompt))
	a.PutEmptyBytes(trajectory.AttrTokenIDs).FromRaw(trajectory.PackIDs(c.tokens.IDs))
	a.PutEmptyBytes(trajectory.AttrLogprobs).FromRaw(trajectory.PackLogprobs(c.tokens.Logprobs))
	putText(a, trajectory.AttrLogprobsMode, w.logprobsMode)
}

// status says how the call ended. The upstream's own words are content.
func (w spanWriter) status(s ptrace.Span, c *call) {
	if c.outcome == outcomeOK {
		return
	}
	kind, message := string(c.outcome), ""
	switch c.outcome {
	case outcomeUpstream:
		kind, message = w.upstreamError(c)
	case outcomeUnreachable:
		message = "the model server did not answer"
	case outcomeTimeout:
		message = "the model server did not answer in time"
	case outcomeCut:
		message = "the answer ended before it was complete"
	case outcomeCanceled:
		message = "the agent ended the call before the answer was complete"
	}
	s.Attributes().PutStr("error.type", kind)
	s.Status().SetCode(ptrace.StatusCodeError)
	s.Status().SetMessage(message)
}

func (w spanWriter) upstreamError(c *call) (kind, message string) {
	kind = strconv.Itoa(c.status)
	message = http.StatusText(c.status)
	if c.status < http.StatusBadRequest {
		kind, message = string(outcomeUpstream), "the model server reported an error in its answer"
	}
	if f := c.answer.Failure; f != nil {
		if c.status < http.StatusBadRequest && f.Type != "" {
			kind = f.Type
		}
		if w.content && f.Message != "" {
			message = f.Message
		}
	}
	return kind, message
}

// dropOne counts an attribute that was left out because it is too large: a
// reader must not take it for absent.
func dropOne(s ptrace.Span) { s.SetDroppedAttributesCount(s.DroppedAttributesCount() + 1) }

func putText(a pcommon.Map, key, v string) {
	if v != "" {
		a.PutStr(key, strings.ToValidUTF8(v, "\ufffd")) // OTLP strings are UTF-8
	}
}

func putTexts(a pcommon.Map, key string, vs []string) {
	if len(vs) == 0 {
		return
	}
	list := a.PutEmptySlice(key)
	for _, v := range vs {
		list.AppendEmpty().SetStr(strings.ToValidUTF8(v, "\ufffd"))
	}
}

func putNumber(a pcommon.Map, key string, v *float64) {
	if v != nil {
		a.PutDouble(key, *v)
	}
}

func putInteger(a pcommon.Map, key string, v *int64) {
	if v != nil {
		a.PutInt(key, *v)
	}
}
