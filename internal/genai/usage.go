package genai

import (
	"strings"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// usage fills token counts from a JSON object of them, as client libraries
// return it: OpenAI's, Anthropic's and LangChain's names, and Langfuse's, which
// takes the details out of their sum.
func (d *Decoder) usage(c *trajectory.Call, n *numbers, raw string) {
	if raw == "" {
		return
	}
	o := parse(strings.TrimSpace(unquoted(raw)))
	fill(&c.InputTokens, &n.input, o.first("input_tokens", "prompt_tokens", "inputTokens", "promptTokens", "promptTokenCount", "prompt_token_count"), token.integer)
	fill(&c.OutputTokens, &n.output, o.first("output_tokens", "completion_tokens", "outputTokens", "completionTokens", "candidatesTokenCount", "candidates_token_count"), token.integer)
	cached := o.first("cache_read_input_tokens", "input_cached_tokens", "input_cache_read", "cachedContentTokens", "cachedContentTokenCount")
	if details := o.first("prompt_tokens_details", "input_tokens_details", "input_token_details"); !cached.exists() {
		cached = details.first("cached_tokens", "cache_read")
	}
	fill(&c.CachedTokens, &n.cached, cached, token.integer)
	if sum, ok := o.sum("input"); ok && c.InputTokens == nil {
		n.input = sum
		c.InputTokens = &n.input
	}
	if sum, ok := o.sum("output"); ok && c.OutputTokens == nil {
		n.output = sum
		c.OutputTokens = &n.output
	}
}

// sum adds the details of a count to what is left of it. Tiers are no kinds of
// tokens: theirs are counted already.
func (o members) sum(name string) (n int64, ok bool) {
	for i := range o {
		detail, is := strings.CutPrefix(o[i].name, name)
		v := o[i].value
		switch {
		case !is || !v.isNumber() || v.integer() < 0:
		case detail == "":
			n, ok = n+v.integer(), true
		case detail[0] == '_' && !strings.HasPrefix(detail, "_priority"):
			n += v.integer()
		}
	}
	return n, ok
}
