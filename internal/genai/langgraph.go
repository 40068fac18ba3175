package genai

import (
	"strings"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// langGraph names the agent of a span below LangGraph or LangChain from what
// their callbacks tell every instrumentation: the agent that was created, the
// checkpoint's name space, the integration.
func langGraph(s *trajectory.Span, agent, namespace string) {
	if s.Agent != "" {
		return
	}
	s.Agent = agent
	// A graph inside a graph: the outer node is the agent.
	if s.Agent == "" && strings.Contains(namespace, "|") {
		s.Agent, _, _ = strings.Cut(namespace, ":")
	}
}

// graph makes a root the agent that it runs as. LangGraph is the library's own
// name for a graph without one.
func graph(s *trajectory.Span) {
	if s.ParentID != (trajectory.SpanID{}) || s.Role != trajectory.RoleOther {
		return
	}
	s.Role = trajectory.RoleAgentSpan
	if s.Agent == "" && s.Name != "LangGraph" {
		s.Agent = s.Name
	}
}
