package genai

import (
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// strands is what Strands Agents writes: semconv, with Bedrock's blocks in the
// events of its spans, and the name of the framework or of the service where
// semconv has the provider's. A cycle repeats what its calls show.
// https://strandsagents.com/latest/documentation/docs/user-guide/observability-evaluation/traces/
var strands = dialect{
	name:   "strands",
	marker: "gen_ai.event.start_time",
	scope:  "strands.telemetry.tracer",
	rows:   []row{{"gen_ai.event.start_time", fMark}},
	read:   strandsRead,
}

// blocky are the bits of the dialects whose tools return Bedrock's blocks.
var blocky uint64

func init() { blocky = bitOf("strands") }

func strandsRead(d *Decoder, s *trajectory.Span, _ ptrace.Span) {
	if c := s.Call; c != nil && (c.Provider == "strands-agents" || c.Provider == s.Service) {
		c.Provider = ""
	}
	if s.Tool != nil && s.Tool.Result != nil && bedrockBlocks(*s.Tool.Result) {
		s.Tool.Result = new(d.memo.results.add(s.Tool.CallID, d.draft().blocks(token{raw: *s.Tool.Result})))
	}
}
