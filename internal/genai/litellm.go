package genai

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// liteLLM is LiteLLM's own OpenTelemetry callback: litellm_request is the call,
// raw_gen_ai_request below it is what went over the wire, as str() of Python
// values. The raw span is no call of its own; it carries what the other lacks.
// Spans of the proxy and of its caches are structure.
// https://docs.litellm.ai/docs/observability/opentelemetry_integration
var liteLLM = dialect{
	name:  "litellm",
	scope: "litellm",
	kind:  liteLLMRole,
	read:  readLiteLLM,
	rows: []row{
		{"metadata.user_api_key_end_user_id", fUser},
	},
}

const rawRequest = "raw_gen_ai_request"

// liteLLMRole: the name of a call's span is the application's where it gives
// one.
func liteLLMRole(r *reader, name string) (trajectory.Role, bool) {
	if name == rawRequest {
		return trajectory.RoleOther, true
	}
	for _, f := range [...]field{fOperation, fRequestType} {
		if role, known := requestRole(r.text(f)); known {
			return role, true
		}
	}
	return trajectory.RoleOther, true
}

func readLiteLLM(d *Decoder, s *trajectory.Span, span ptrace.Span) {
	switch {
	case s.Role == trajectory.RoleModelSpan:
		if v, ok := span.Attributes().Get("litellm.call_id"); ok && v.AsString() == s.Call.ResponseID {
			s.Call.ResponseID = "" // LiteLLM's own, for a call that got no response
		}
	case s.Role == trajectory.RoleOther && s.Name == rawRequest:
		s.Call = d.rawCall(span)
	}
}

// rawCall is what raw_gen_ai_request says beside litellm_request: the reply as
// it came, token ids, parameters. Its attributes are llm.<provider>.<name>.
func (d *Decoder) rawCall(span ptrace.Span) *trajectory.Call {
	c, room := &trajectory.Call{}, &numbers{}
	for k, v := range span.Attributes().All() {
		name, ok := strings.CutPrefix(k, "llm.")
		if _, name, ok = cutProvider(name, ok); !ok {
			continue
		}
		switch name {
		case "id":
			c.ResponseID = v.AsString()
		case "choices":
			d.rawChoices(c, v)
		case "prompt_token_ids":
			c.PromptTokenIDs = tokenIDs(v)
		case "response_token_ids":
			if ids := tokenIDs(v); ids != nil {
				c.TokenIDs = ids
			}
		case "seed":
			c.Seed = wholeNumber(v, &room.seed)
		case "top_k":
			c.TopK = wholeNumber(v, &room.topK)
		case "max_tokens", "max_completion_tokens":
			c.MaxTokens = wholeNumber(v, &room.maxTokens)
		}
	}
	return c
}

// cutProvider takes the provider off a name; names of providers hold no dot.
func cutProvider(name string, ok bool) (string, string, bool) {
	if !ok {
		return "", "", false
	}
	return strings.Cut(name, ".")
}

// rawChoices reads the first choice: the reply, its token ids and their log
// probabilities. Ids of vLLM come with the choice or with what its provider
// adds to it.
func (d *Decoder) rawChoices(c *trajectory.Call, v pcommon.Value) {
	raw, ok := jsonOf(v)
	if !ok {
		return
	}
	c.Reply, _ = d.response(`{"choices":`+raw+`}`, nil)
	choice := firstOf(token{raw: raw})
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
