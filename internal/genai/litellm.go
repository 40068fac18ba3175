package genai

import (
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// liteLLM is LiteLLM's own OpenTelemetry callback: litellm_request is the call,
// raw_gen_ai_request below it shows what went over the wire, as str() of Python
// values: the same call once more. Below a span of the application's there is no
// litellm_request: its attributes are written onto that span, by every call
// anew, and the raw spans are the calls. Spans of the proxy and of its caches
// are structure.
// https://docs.litellm.ai/docs/observability/opentelemetry_integration
var liteLLM = dialect{
	name:   "litellm",
	scope:  "litellm",
	prefix: "litellm.",
	kind:   liteLLMRole,
	read:   readLiteLLM,
	rows: []row{
		{"metadata.user_api_key_end_user_id", fUser},
	},
}

const rawRequest = "raw_gen_ai_request"

// liteLLMRole: the name of a call's span is the application's where it gives
// one.
func liteLLMRole(r *reader, name string) (trajectory.Role, bool) {
	switch {
	case name == rawRequest:
		return trajectory.RoleModelSpan, true
	case foreign(r) && strings.HasPrefix(name, "invoke_agent "):
		return trajectory.RoleAgentSpan, true
	case foreign(r):
		return trajectory.RoleOther, true
	}
	for _, f := range [...]field{fOperation, fRequestType} {
		if role, known := requestRole(r.text(f)); known {
			return role, true
		}
	}
	return trajectory.RoleOther, true
}

// foreign says whether the span is not LiteLLM's own.
func foreign(r *reader) bool { return r.scoped&scopes["litellm"] == 0 }

func readLiteLLM(d *Decoder, s *trajectory.Span, span ptrace.Span) {
	switch {
	case foreign(d.r):
		s.In, s.Out = "", "" // of some call
	case s.Name == rawRequest:
		d.rawCall(s, span)
	case s.Role == trajectory.RoleModelSpan:
		if n, ok := number(span.Attributes().Get("litellm.request.tools.declared")); ok && int(n) > len(d.r.indexed.functions) {
			s.Call.Tools = "" // some are left out, to save attributes
		}
		if attr(span.Attributes(), "litellm.call_id") == s.Call.ResponseID {
			s.Call.ResponseID = "" // LiteLLM's own, for a call that got no response
		}
	}
}

// Names of what clients send and of what they get, in any provider's API.
var (
	rawSent     = []string{"messages", "input", "contents", "system", "instructions", "system_instruction", "tools"}
	rawReceived = []string{"choices", "candidates", "content", "output", "stop_reason"}
)

// rawCall reads what went over the wire. The attributes are
// llm.<provider>.<name>, of the request and of the response together.
func (d *Decoder) rawCall(s *trajectory.Span, span ptrace.Span) {
	c, n := s.Call, d.r.numbers
	var sent, received members
	for k, v := range span.Attributes().All() {
		_, name, ok := strings.Cut(strings.TrimPrefix(k, "llm."), ".")
		if !ok || !strings.HasPrefix(k, "llm.") {
			continue
		}
		switch {
		case slices.Contains(rawSent, name):
			sent = appendJSON(sent, name, v)
		case slices.Contains(rawReceived, name):
			received = appendJSON(received, name, v)
		}
		switch name {
		case "id":
			c.ResponseID = v.AsString()
		case "prompt_token_ids":
			c.PromptTokenIDs = tokenIDs(v)
		case "response_token_ids":
			c.TokenIDs = tokenIDs(v)
		case "usage":
			if raw, ok := jsonOf(v); ok {
				d.usage(c, n, raw)
			}
		case "temperature":
			fill(&c.Temperature, &n.temperature, token{raw: v.AsString()}, token.float)
		case "top_p":
			fill(&c.TopP, &n.topP, token{raw: v.AsString()}, token.float)
		case "seed":
			c.Seed = wholeNumber(v, &n.seed)
		case "top_k":
			c.TopK = wholeNumber(v, &n.topK)
		case "max_tokens", "max_completion_tokens", "max_output_tokens":
			c.MaxTokens = wholeNumber(v, &n.maxTokens)
		}
	}
	if sent != nil {
		ms, missing := d.request(sent.json(), c)
		c.Prompt, s.Missing = ms, addReason(s.Missing, missing)
	}
	if received != nil {
		c.Reply, _ = d.response(received.json(), c)
		d.rawTokens(c, received.get("choices"))
	}
}

func appendJSON(o members, name string, v pcommon.Value) members {
	raw, ok := jsonOf(v)
	switch text := v.AsString(); {
	case ok:
		return append(o, member{name, token{raw: raw}})
	case text != "" && strings.IndexByte("[{(<", text[0]) < 0:
		return append(o, member{name, asToken(text)}) // str() of a text is the text
	}
	return o
}

// json is the object of some members.
func (o members) json() string {
	b := []byte("{")
	for i := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, jsonText(o[i].name)...), ':')
		b = append(b, o[i].value.raw...)
	}
	return string(append(b, '}'))
}

// rawTokens reads the token ids of the first choice and their log
// probabilities. Ids of vLLM come with the choice or with what its provider
// adds to it.
func (d *Decoder) rawTokens(c *trajectory.Call, choices token) {
	choice := firstOf(choices)
	ids := choice.get("token_ids")
	if !strings.HasPrefix(ids.raw, "[") {
		ids = choice.get("provider_specific_fields").member("token_ids")
	}
	if c.TokenIDs == nil {
		c.TokenIDs = idsIn(ids.raw)
	}
	c.Logprobs = logprobsIn(choice.get("logprobs").member("content").raw)
}

// jsonOf is a value as JSON: as it is, or what str() made of a Python value.
func jsonOf(v pcommon.Value) (string, bool) {
	raw := v.AsString()
	if valid(raw) {
		return raw, true
	}
	return pyJSON(raw)
}

// wholeNumber is a number without a fraction.
func wholeNumber(v pcommon.Value, room *int64) *int64 {
	if v.Type() != pcommon.ValueTypeInt {
		return nil
	}
	*room = v.Int()
	return room
}
