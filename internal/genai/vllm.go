package genai

import (
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// vLLM is the server's own span of a request: usage and latencies, no content.
// The call is the client's; where that one counted no tokens, the server did.
// https://docs.vllm.ai/en/latest/examples/online_serving/opentelemetry
var vLLM = dialect{
	name:   "vllm",
	prefix: "gen_ai.latency.",
	scope:  "vllm.llm_engine",
	kind:   func(*reader, string) (trajectory.Role, bool) { return trajectory.RoleOther, true },
	read: func(d *Decoder, s *trajectory.Span, _ ptrace.Span) {
		if s.Role != trajectory.RoleOther {
			return
		}
		n := &numbers{}
		s.Call = &trajectory.Call{ModelCall: trajectory.ModelCall{
			InputTokens: d.r.count(fInputTokens, &n.input), OutputTokens: d.r.count(fOutputTokens, &n.output),
			Temperature: d.r.number(fTemperature, &n.temperature), TopP: d.r.number(fTopP, &n.topP), MaxTokens: d.r.integer(fMaxTokens, &n.maxTokens),
		}}
	},
}
