package trajectory

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Frameworks hand more to a tool than the model wrote: their own context.
func TestToolRunWithTheFrameworksArguments(t *testing.T) {
	hi := user("Refund it.")
	ask := says("", call("c1", "handoff", `{"to":"refunds"}`), call("c2", "handoff", `{"to":"refunds","why":"broken"}`))
	tr := Assemble([]*Span{
		agent(1, 0, 0, 100, "triage"),
		model(2, 1, 0, 10, prompt(hi), ask),
		toolSpan(3, 1, 11, 20, ToolRun{Name: "handoff", Arguments: `{"kwargs":{"to":"refunds","why":"broken","ctx":"<Context>"}}`, Result: ptr("on it")}),
		toolSpan(4, 1, 12, 20, ToolRun{Name: "handoff", Arguments: `{"kwargs":{"to":"refunds","ctx":"<Context>"}}`, Result: ptr("on it")}),
		model(5, 1, 30, 40, prompt(hi, ask, result("c1", "on it"), result("c2", "on it")), says("Done.")),
	}, Options{})
	require.Equal(t, []string{"m0", "handoff", "handoff", "m0"}, kinds(tr))
	for _, s := range tr.Steps[1:3] {
		assert.NotContains(t, s.Tool.Arguments, "ctx", "arguments are the model's")
		assert.NotEmpty(t, s.SpanID, "the run and its result are one step")
	}
}

// The same arguments are a better fit than the same and more.
func TestToolRunPrefersTheSameArguments(t *testing.T) {
	hi := user("Weather?")
	ask := says("", call("", "get", `{"city":"Oslo"}`), call("", "get", `{"city":"Oslo","days":2}`))
	tr := Assemble([]*Span{
		model(2, 0, 0, 10, prompt(hi), ask),
		toolSpan(3, 0, 11, 20, ToolRun{Name: "get", Arguments: `{"city":"Oslo","days":2}`, Result: ptr("two days")}),
		toolSpan(4, 0, 12, 20, ToolRun{Name: "get", Arguments: `{"city":"Oslo"}`, Result: ptr("today")}),
	}, Options{})
	got := map[string]string{}
	for _, s := range tr.Steps[1:] {
		got[s.Tool.Arguments] = *s.Tool.Result
		assert.NotNil(t, s.Parent)
	}
	assert.Equal(t, map[string]string{`{"city":"Oslo"}`: "today", `{"city":"Oslo","days":2}`: "two days"}, got)
}

// The caller gets what the framework took out of the last reply.
func TestOutputTakenFromTheReply(t *testing.T) {
	marked := "[[ ## reasoning ## ]]\nIt is cold.\n\n[[ ## answer ## ]]\nA coat.\n\n[[ ## completed ## ]]"
	for name, c := range map[string]struct{ said, reply, want string }{
		"between marks":           {"A coat.", marked, "A coat."},
		"a field of JSON":         {"A coat.\nGloves.", `{"reasoning": "cold", "answer": "A coat.\nGloves."}`, "A coat.\nGloves."},
		"fields of marks":         {`{"answer": "A coat.", "reason": "It is cold."}`, marked, `{"answer": "A coat.", "reason": "It is cold."}`},
		"other fields":            {`{"answer": "A boat."}`, marked, marked},
		"the beginning, cut":      {"A coat and", "A coat and gloves.", "A coat and gloves."},
		"something else entirely": {"done", "A coat.", "A coat."},
		"nothing":                 {"", "A coat.", "A coat."},
	} {
		root := agent(1, 0, 0, 100, "a")
		root.Out = c.said
		tr := Assemble([]*Span{root, model(2, 1, 1, 10, prompt(user("Hi")), says(c.reply))}, Options{})
		assert.Equal(t, c.want, tr.Output, name)
	}
}

// What only the wrapper knows is merged where its reply is one call's inside,
// even if it shows the prompt in a form that is not read.
func TestWrapperWithoutPrompt(t *testing.T) {
	outer := model(2, 1, 0, 20, nil, says("", call("c1", "get", "{}")))
	outer.Call.ResponseID = "r1"
	inner := model(3, 2, 1, 19, prompt(user("Hi")), says("", call("c1", "get", "{}")))
	tr := Assemble([]*Span{agent(1, 0, 0, 30, "a"), outer, inner}, Options{})
	require.Len(t, tr.Steps, 1)
	assert.Equal(t, "r1", tr.Steps[0].Model.ResponseID)
}

// LangGraph shows graphs and their nodes as one kind of span: a graph is what
// has nodes below it that are one graph deeper. A graph inside a node is the
// agent, not the node, and not the graph around it.
func TestGraphsAreAgents(t *testing.T) {
	hi := user("Refund it.")
	ask := says("", call("c1", "refunds", "{}"))
	chain := func(id, parent byte, name string, graph uint8) *Span {
		s := span(id, parent, RoleOther, int64(id), 100)
		s.GenAI, s.Name, s.Graph = true, name, graph
		return s
	}
	deep := func(s *Span, graph uint8) *Span { s.Graph = graph; return s }
	tr := Assemble([]*Span{
		chain(1, 0, "app", 0),
		chain(2, 1, "LangGraph", 1), // no name
		chain(3, 2, "support", 2),   // its node
		chain(4, 3, "triage", 2),    // a graph in the node
		chain(5, 4, "model", 3),
		deep(model(6, 5, 6, 7, prompt(hi), ask), 3),
		chain(8, 4, "tools", 3),
		deep(toolSpan(9, 8, 9, 40, ToolRun{Name: "refunds", Arguments: "{}"}), 3),
		chain(10, 9, "refund_specialist", 3), // a graph in a tool
		chain(11, 10, "model", 4),
		deep(model(12, 11, 12, 13, prompt(user("Look.")), says("Done.")), 4),
	}, Options{})
	require.Equal(t, []string{"m0", "refunds", "m1"}, kinds(tr))
	assert.Equal(t, []string{"triage", "triage", "refund_specialist"}, []string{tr.Steps[0].AgentName, tr.Steps[1].AgentName, tr.Steps[2].AgentName})
}
