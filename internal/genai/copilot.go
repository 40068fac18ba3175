package genai

import (
	"strconv"

	"github.com/tidwall/gjson"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// copilot is the GitHub Copilot CLI: semconv, of which every call shows only
// the messages that are new. An agent's events say how many messages its calls
// sent; one that sent more than it shows goes on from an earlier run.
// https://docs.github.com/copilot/how-tos/copilot-cli
var copilot = dialect{
	name:   "copilot",
	prefix: "github.copilot.",
	scope:  "github.copilot",
	read:   readCopilot,
}

const (
	copilotUsage  = "github.copilot.session.usage_info"
	copilotLength = "github.copilot.messages_length"
)

func readCopilot(d *Decoder, s *trajectory.Span, span ptrace.Span) {
	if s.Role != trajectory.RoleAgentSpan || s.Previous != "" {
		return
	}
	for _, e := range span.Events().All() {
		if e.Name() != copilotUsage {
			continue
		}
		sent, err := strconv.Atoi(attr(e.Attributes(), copilotLength))
		shown := int(gjson.Get(d.r.text(fInputParts), "#").Int())
		if d.r.has(fSystem) {
			shown++
		}
		if err == nil && d.r.has(fInputParts) && sent > shown {
			s.Previous = s.Conversation
		}
		return // what the first call sent
	}
}
