package genai

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// dify is what Dify writes for the nodes of a workflow: semconv's names, with a
// kind of its own that Alibaba's instrumentations use, too. An LLM node shows
// the texts of its messages only: tool calls and their results are left out.
//
// Unverified: built from Dify's documentation and its published attribute names;
// no telemetry of a running Dify was seen.
// https://docs.dify.ai
var dify = dialect{
	name:   "dify",
	marker: "gen_ai.framework",
	prefix: "dify.",
	kind:   kindWord,
	read:   readDify,
	rows: []row{
		{"gen_ai.span.kind", fKind},
		{"gen_ai.framework", fFramework},
		{"gen_ai.session.id", fConversation},
		{"gen_ai.user.id", fUser},
	},
}

func readDify(d *Decoder, s *trajectory.Span, _ ptrace.Span) {
	if f := d.r.text(fFramework); f != "" && f != "dify" {
		if s.Dialect = strings.Trim(strings.ReplaceAll(","+s.Dialect, ",dify", ""), ","); s.Dialect == "" {
			s.Dialect = "unknown"
		}
	}
}
