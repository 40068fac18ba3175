package openai

import (
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// constraint says whether a member of a request keeps the model from its own
// choice of tokens, so that the log-probabilities of the answer are not those
// of the policy: by a grammar, by tokens that are ruled out, by weights on
// tokens. Temperature, top_p and top_k are not among them: they are on the span,
// and who trains can apply the same.
func constraint(key string, v gjson.Result) bool {
	switch key {
	case "tool_choice": // "auto" and "none" leave the choice
		return v.IsObject() || v.Str == "required"
	case "tools":
		return anyStrict(v)
	case "response_format":
		kind := v.Get("type").Str
		return v.IsObject() && kind != "text"
	case "frequency_penalty", "presence_penalty", "min_tokens", "min_p":
		return v.Type == gjson.Number && v.Num != 0
	case "repetition_penalty":
		return v.Type == gjson.Number && v.Num != 1
	case "watermarking":
		return v.Type == gjson.True
	case "logit_bias", "allowed_token_ids", "bad_words", "structured_outputs", "structural_tag", "grammar",
		"logits_processors", "thinking_token_budget", "vllm_xargs", "repetition_detection":
		return some(v)
	}
	return strings.HasPrefix(key, "guided_") && key != "guided_decoding_backend" && key != "guided_whitespace_pattern" && some(v)
}

// anyStrict says whether a tool's arguments are held to its schema while they
// are written.
func anyStrict(tools gjson.Result) bool {
	strict := false
	tools.ForEach(func(_, t gjson.Result) bool {
		strict = t.Get("strict").Type == gjson.True || t.Get("function.strict").Type == gjson.True
		return !strict
	})
	return strict
}

// some says that a value says anything: not null, false, empty or zero.
func some(v gjson.Result) bool {
	switch v.Type {
	case gjson.String:
		return v.Str != ""
	case gjson.Number:
		return true // a budget of 0 is one
	case gjson.JSON:
		empty := true
		v.ForEach(func(_, _ gjson.Result) bool {
			empty = false
			return false
		})
		return !empty
	}
	return v.Type == gjson.True
}

// constrain notes a constraint, each once.
func (r *Request) constrain(key string, v gjson.Result) {
	if constraint(key, v) && !slices.Contains(r.Constraints, key) {
		r.Constraints = append(r.Constraints, key)
	}
}
