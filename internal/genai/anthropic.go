package genai

import (
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// anthropic is what Anthropic's SDK writes of itself: semconv with some names
// of its own. Its tool runner continues conversations that the server holds, so
// that most prompts show what is new alone.
// https://docs.claude.com/en/api/client-sdks
var anthropic = dialect{
	name:   "anthropic-sdk",
	scope:  "com.anthropic.sdk.python",
	prefix: "anthropic.",
	rows: []row{
		{"anthropic.message.stop_reason", fFinish},
		{"anthropic.tool_result.content", fToolResult},
	},
	read: readAnthropic,
}

// readAnthropic opens the content of a tool's result: the model reads its text.
func readAnthropic(d *Decoder, s *trajectory.Span, _ ptrace.Span) {
	if s.Tool != nil && s.Tool.Result != nil && textParts(*s.Tool.Result) {
		s.Tool.Result = new(d.memo.results.add(s.Tool.CallID, d.draft().blocks(token{raw: *s.Tool.Result})))
	}
}
