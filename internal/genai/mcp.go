package genai

import (
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// mcp is what clients and servers of the Model Context Protocol write of a
// tool's call: how a run is reached, which an agent may show itself too.
// https://opentelemetry.io/docs/specs/semconv/gen-ai/mcp/
var mcp = dialect{
	name:   "mcp",
	marker: "mcp.method.name",
	kind:   func(r *reader, _ string) (trajectory.Role, bool) { return mcpRole(r.text(fMCPMethod)) },
	rows: []row{
		{"mcp.method.name", fMCPMethod},
		{"mcp.tool.name", fToolName},
	},
	read: readMCP,
}

func mcpRole(method string) (trajectory.Role, bool) {
	if method == "tools/call" {
		return trajectory.RoleToolSpan, true
	}
	return trajectory.RoleOther, method != ""
}

func readMCP(_ *Decoder, s *trajectory.Span, _ ptrace.Span) {
	s.Relay = s.Role == trajectory.RoleToolSpan
}
