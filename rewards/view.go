package rewards

// The types of this file are the environment of expressions: what a rule can
// see. The tags name the fields in rules and document them; docs/rewards.md
// lists them and a test keeps it in step. Pointers are values that can be
// missing: nil in rules.

// trajectoryView is the environment of a rule with level: trajectory, and
// `trajectory` in one with level: step.
type trajectoryView struct {
	State *state `expr:"·"` // no identifier of the language: only rewritten calls reach it

	Input        *string        `expr:"input" doc:"the user message that starts the trajectory"`
	Output       *string        `expr:"output" doc:"the final answer; empty if the agent gave none"`
	Status       string         `expr:"status" doc:"ok or error"`
	Error        string         `expr:"error" doc:"why it failed; empty without an error"`
	TaskKey      string         `expr:"task_key" doc:"what groups attempts at the same task"`
	Agents       []string       `expr:"agents" doc:"names of the agents, in order of appearance"`
	Service      string         `expr:"service" doc:"service.name of the process"`
	CloseReason  string         `expr:"close_reason" doc:"complete, idle, max_age, truncated, evicted, shutdown or late"`
	ModelCalls   int            `expr:"model_calls" doc:"number of model calls"`
	ToolCalls    int            `expr:"tool_calls" doc:"number of tool runs"`
	InputTokens  *int64         `expr:"input_tokens" doc:"sum over the model calls; missing if one lacks it"`
	OutputTokens *int64         `expr:"output_tokens" doc:"sum over the model calls; missing if one lacks it"`
	Duration     *float64       `expr:"duration" doc:"seconds from the first to the last span"`
	Attributes   map[string]any `expr:"attributes" doc:"allow-listed resource and root attributes, such as attributes[\"app.plan\"]"`
	Steps        []*step        `expr:"steps" doc:"every step, in order"`
	Tools        []*step        `expr:"tools" doc:"the steps that are tool runs"`
	Messages     []*message     `expr:"messages" doc:"every distinct message, in order of appearance"`
}

// stepView is the environment of a rule with level: step: the fields of the
// step itself, and these.
type stepView struct {
	*step
	State *state `expr:"·"`

	Step       *step           `expr:"step" doc:"the step itself, to pass it on or to name its fields in a predicate"`
	Previous   *step           `expr:"previous" doc:"the step before; missing for the first"`
	Next       *step           `expr:"next" doc:"the step after; missing for the last"`
	Trajectory *trajectoryView `expr:"trajectory" doc:"the whole trajectory, such as trajectory.error"`

	Input      *string    `expr:"input" doc:"trajectory.input"`
	Output     *string    `expr:"output" doc:"trajectory.output"`
	Status     string     `expr:"status" doc:"trajectory.status"`
	TaskKey    string     `expr:"task_key" doc:"trajectory.task_key"`
	Agents     []string   `expr:"agents" doc:"trajectory.agents"`
	ModelCalls int        `expr:"model_calls" doc:"trajectory.model_calls"`
	ToolCalls  int        `expr:"tool_calls" doc:"trajectory.tool_calls"`
	Steps      []*step    `expr:"steps" doc:"trajectory.steps"`
	Tools      []*step    `expr:"tools" doc:"trajectory.tools"`
	Messages   []*message `expr:"messages" doc:"trajectory.messages"`
}

// step is one model call or one tool run.
type step struct {
	Index      int            `expr:"index" doc:"position in the trajectory, from 0"`
	Kind       string         `expr:"kind" doc:"model or tool"`
	Agent      string         `expr:"agent" doc:"name of the agent; empty if not shown"`
	Thread     int            `expr:"thread" doc:"model calls that share one growing context have one thread"`
	Error      string         `expr:"error" doc:"why the step failed; empty without an error"`
	Duration   *float64       `expr:"duration" doc:"seconds"`
	Attributes map[string]any `expr:"attributes" doc:"allow-listed attributes of the span"`

	Name      string          `expr:"name" doc:"tool: its name"`
	Arguments *string         `expr:"arguments" doc:"tool: the arguments as the model wrote them, JSON text"`
	Args      *map[string]any `expr:"args" doc:"tool: the arguments parsed, such as args.city; missing if they are not a JSON object"`
	Result    *string         `expr:"result" doc:"tool: the result as the model saw it"`
	Repeated  *bool           `expr:"repeated" doc:"tool: the same tool already ran with the same arguments, without failing"`

	Model        string  `expr:"model" doc:"model: the model that answered, or that was asked for"`
	Text         *string `expr:"text" doc:"model: text of the reply; empty if it only calls tools"`
	FinishReason string  `expr:"finish_reason" doc:"model: why the reply ended, such as stop or tool_calls"`
	InputTokens  *int64  `expr:"input_tokens" doc:"model: tokens of the prompt"`
	OutputTokens *int64  `expr:"output_tokens" doc:"model: tokens of the reply"`

	// what the pointers point to; no name of a field above, the language would
	// find these
	seconds float64
	parsed  map[string]any
	reply   string
}

// message is one distinct message of the trajectory.
type message struct {
	Role       string     `expr:"role" doc:"system, user, assistant, tool"`
	Text       string     `expr:"text" doc:"its text"`
	Name       string     `expr:"name" doc:"name of the tool or the participant, where shown"`
	ToolCallID string     `expr:"tool_call_id" doc:"the call that a tool message answers"`
	ToolCalls  []toolCall `expr:"tool_calls" doc:"what an assistant message asks for"`
}

// toolCall is a call that the model asked for.
type toolCall struct {
	ID        string `expr:"id" doc:"id of the call"`
	Name      string `expr:"name" doc:"name of the tool"`
	Arguments string `expr:"arguments" doc:"the arguments as the model wrote them, JSON text"`
}

// evaluation is what evaluation(name) gives.
type evaluation struct {
	Score       *float64 `expr:"score" doc:"number; missing if the evaluator gave only a label"`
	Label       string   `expr:"label" doc:"such as pass or fail"`
	Explanation string   `expr:"explanation" doc:"why"`
}
