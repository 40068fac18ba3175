// Package trajectory turns the decoded spans of one attempt at one task into a
// trajectory: ordered steps, the messages they refer to, and what is missing.
//
// [Assemble] is the arrow. [Encode] and [Decode] carry a finished trajectory
// through a collector pipeline in one span attribute (docs/trajectory.proto is
// the format). The package knows the standard library only: no collector, no
// clock, no randomness.
//
// Missing is never zero: optional numbers and results are pointers, optional
// texts are empty, and the reason stands in Reasons.
package trajectory

// Source says which witness a trajectory was read from.
type Source string

// The sources of a trajectory.
const (
	SourceSpans   Source = "spans"   // spans of an agent
	SourceGateway Source = "gateway" // spans of our gateway without a matching agent span
	SourceImport  Source = "import"  // files of another system
	SourceReroll  Source = "reroll"  // a model that was asked a logged prompt again
)

// Status says how the attempt ended.
type Status string

// The two outcomes of an attempt.
const (
	StatusOK    Status = "ok"
	StatusError Status = "error" // the root or the last step failed; Trajectory.Error has the text
)

// CloseReason says why the assembler stopped waiting for spans.
type CloseReason string

// The close reasons.
const (
	CloseComplete  CloseReason = "complete"  // the root ended, no child was open, the grace passed
	CloseIdle      CloseReason = "idle"      // no span for the idle time
	CloseMaxAge    CloseReason = "max_age"   // open for too long
	CloseTruncated CloseReason = "truncated" // a byte cap was hit; spans are missing
	CloseEvicted   CloseReason = "evicted"   // closed early to make room
	CloseShutdown  CloseReason = "shutdown"  // the collector stopped
	CloseLate      CloseReason = "late"      // spans that came after the late window; see Continues
)

// Reason says why something is missing or must not be trained on. The values
// are part of the dataset's contract (docs/dataset.md).
type Reason string

// The reasons.
const (
	ReasonNoInput       Reason = "input_missing"      // the telemetry does not show what the model was sent
	ReasonNoOutput      Reason = "output_missing"     // the telemetry does not show what the model answered
	ReasonNoResult      Reason = "result_missing"     // a tool ran and no result is shown
	ReasonNoArguments   Reason = "arguments_missing"  // a tool ran and no arguments are shown
	ReasonTruncated     Reason = "content_truncated"  // content was cut: invalid JSON, index gaps
	ReasonDropped       Reason = "attributes_dropped" // the SDK dropped attributes or events
	ReasonRedacted      Reason = "content_redacted"   // a placeholder stands for the content
	ReasonMerged        Reason = "reply_merged"       // parallel tool calls were merged into one and nothing shows them apart
	ReasonOverwritten   Reason = "span_overwritten"   // a span of another kind was overwritten by this call; calls after it may be lost
	ReasonFailed        Reason = "call_failed"        // the call answered with an error
	ReasonNoModelCall   Reason = "no_model_call"      // nothing was generated
	ReasonOrphans       Reason = "spans_missing"      // parents are missing: head sampling or loss
	ReasonAmbiguous     Reason = "ambiguous"          // a fragment fits several open trajectories
	ReasonClosedEarly   Reason = "closed_early"       // max_age, truncated, evicted
	ReasonLate          Reason = "late"               // came after the late window
	ReasonSplit         Reason = "split_across_collectors"
	ReasonDuplicate     Reason = "possible_duplicate"
	ReasonRewardMissing Reason = "reward_missing"           // a rule with missing: mask gave null
	ReasonNotRecorded   Reason = "tool_result_not_recorded" // a rollout called a tool otherwise than the logged attempts
	ReasonTooManyCalls  Reason = "too_many_calls"           // a rollout went on for too long
)

// Tokens says what is known of the token ids.
type Tokens string

// The states of token ids.
const (
	TokensCaptured    Tokens = "captured"    // every answered model call has ids and logprobs
	TokensNone        Tokens = "none"        // some or all have none
	TokensConstrained Tokens = "constrained" // captured, but logprobs are not the policy's own
)

// Trajectory is the ordered steps of one attempt at one task.
//
// It is owned by whoever assembled or decoded it and is not safe for
// concurrent mutation. Times are µs since the Unix epoch, UTC; 0 = unknown.
type Trajectory struct {
	ID       string // 32 hex digits
	Revision int64  // close time in µs, forced to rise per ID
	Writer   string // the collector instance that assembled it

	TaskKey       string // groups attempts at the same task
	TaskKeySource string // "attribute" or "input"

	TraceIDs       []string // lower-case hex, ordered by first step
	ConversationID string
	UserID         string
	Tenant         string
	ServiceName    string
	AgentNames     []string // in order of first appearance
	Dialects       []string // sorted
	Source         Source

	Input  string // the user message that starts it
	Output string // the final answer
	Status Status
	Error  string

	CloseReason CloseReason
	Continues   string // the trajectory ID that this late remainder belongs to
	StartedAt   int64
	EndedAt     int64
	FirstSeenAt int64 // arrival of the first span; its day is the dataset's date

	SpanCount    int
	ModelCalls   int
	ToolCalls    int
	InputTokens  *int64 // sum over model steps; nil if any answered step lacks it
	OutputTokens *int64

	Bundle    string // bundle id that served it, if one did for all calls
	Tokens    Tokens
	Trainable bool
	Reasons   []Reason // why not trainable, each once

	Attributes string // JSON object of allow-listed resource and root attributes, "" = none

	Messages []Message
	Steps    []Step
	Rewards  []Reward
	Facts    []Fact // evaluations that arrived inside the trace
}

// Kind is the kind of a step.
type Kind string

// The kinds of steps.
const (
	KindModel Kind = "model"
	KindTool  Kind = "tool"
)

// Step is one model call or one tool run.
type Step struct {
	Index     int
	Thread    int  // model calls that share one growing context have one thread
	Parent    *int // the step that caused this one (call → tool, tool → sub-agent's first call)
	Kind      Kind
	AgentName string

	TraceID string
	SpanID  string // "" when the step has no span of its own (a result seen only in the next input)

	StartedAt int64
	EndedAt   int64
	Error     string
	Trainable bool
	Reasons   []Reason

	Attributes string // JSON object, "" = none

	Model *ModelCall // Kind == KindModel
	Tool  *ToolRun   // Kind == KindTool
}

// ModelCall is what a model step adds. Indices point into Trajectory.Messages.
type ModelCall struct {
	Provider      string
	RequestModel  string
	ResponseModel string
	Adapter       string
	Bundle        string
	ResponseID    string
	FinishReason  string

	InputTokens  *int64
	OutputTokens *int64
	CachedTokens *int64

	Temperature *float64
	TopP        *float64
	TopK        *int64
	MaxTokens   *int64
	Seed        *int64

	Constrained  *bool  // nil = unknown; true = logprobs are not the policy's own
	LogprobsMode string // "raw", "processed", "" = unknown

	Tools string // JSON array of tool definitions as sent, "" = none shown

	Input  []int32 // message indices of the prompt, in order
	Output []int32 // message indices of the reply

	PromptBase     *int32 // step whose prompt + reply this prompt begins with
	PromptTokenIDs []int32
	TokenIDs       []int32
	Logprobs       []float32
}

// ToolRun is what a tool step adds.
type ToolRun struct {
	Name      string
	CallID    string
	Arguments string  // JSON text as the model wrote it; "" = unknown
	Result    *string // as the model saw it where the next call shows it; nil = unknown
}

// Role values used by messages. Other roles are kept as they came.
const (
	RoleSystem    = "system"
	RoleUser      = "user"
	RoleAssistant = "assistant"
	RoleTool      = "tool"
)

// Message is one distinct message of a trajectory.
type Message struct {
	Role       string
	Text       string
	Reasoning  string
	ToolCalls  []ToolCall
	ToolCallID string // the call a tool message answers
	Name       string // of the tool or the participant, where shown
	Injected   string // bundle item that put it there; "" = the agent's own
	Parts      string // JSON array of parts when it is more than text, reasoning and tool calls
}

// ToolCall is a call that the model asked for.
type ToolCall struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Arguments string `json:"arguments"` // JSON text
}

// Reward is one number computed by one rule.
type Reward struct {
	Step        int // index of the step; -1 = the trajectory
	Name        string
	Value       *float64 // nil = missing, Reason says why
	Reason      string
	Explanation string
	Source      string // expr, judge, command, http
	RuleHash    string
	Provisional bool // the rule reads facts, which may still come
	EvaluatedAt int64
}

// Fact is something observed about a trajectory, often hours later.
type Fact struct {
	ID          string
	Name        string
	Value       *float64
	Label       string
	Explanation string
	Source      string // feedback, evaluation, annotation
	ObservedAt  int64

	// What it is about; at least one is set.
	TrajectoryID   string
	TraceID        string
	SpanID         string
	ResponseID     string
	ConversationID string
}
