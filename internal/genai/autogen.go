package genai

// autogen is the message runtime of AutoGen, agentRuntime that of Semantic
// Kernel, which began as a copy of it. Agents of a team send each other
// messages: every message that is sent begins a trace of its own, whose root
// links to the span that made the message. What the agents do below is semconv.
// https://microsoft.github.io/autogen/stable/user-guide/core-user-guide/framework/telemetry.html
var (
	autogen      = dialect{name: "autogen", scope: "autogen "}
	agentRuntime = dialect{name: "agent-runtime", scope: "agent_runtime "}
)
