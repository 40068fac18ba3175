package dataset

// The row structs are the columns. In their tags:
//
//   - parquet: the column's name and type. What may be NULL is a pointer or a
//     list, with nil for NULL, and never an "optional" plain value: of those
//     parquet-go writes some zeros as NULL and some as zero (v0.32, its issue 154).
//   - store:"body": long or random texts and numbers, for which page
//     statistics cost bytes and a dictionary is useless.
//
// JSON stands in plain text columns: readers of Parquet's JSON type refuse a
// whole file for one value that is not JSON.

// TrajectoryRow is a trajectory and revision. Its presence commits the rows
// with the same trajectory, revision and batch in steps, messages and rewards.
type TrajectoryRow struct {
	TrajectoryID   string   `parquet:"trajectory_id"`
	Revision       int64    `parquet:"revision"`
	Batch          string   `parquet:"batch,dict"`
	Writer         *string  `parquet:"writer,optional,dict"`
	TaskKey        *string  `parquet:"task_key,optional,dict"`
	TaskKeySource  *string  `parquet:"task_key_source,optional,dict"`
	TraceIDs       []string `parquet:"trace_ids,list"`
	ConversationID *string  `parquet:"conversation_id,optional"`
	UserID         *string  `parquet:"user_id,optional,dict"`
	Tenant         *string  `parquet:"tenant,optional,dict"`
	ServiceName    *string  `parquet:"service_name,optional,dict"`
	AgentNames     []string `parquet:"agent_names,list" parquet-element:",dict"`
	Dialects       []string `parquet:"dialects,list" parquet-element:",dict"`
	Source         *string  `parquet:"source,optional,dict"`
	Input          *string  `parquet:"input,optional" store:"body"`
	Output         *string  `parquet:"output,optional" store:"body"`
	Status         *string  `parquet:"status,optional,dict"`
	Error          *string  `parquet:"error,optional" store:"body"`
	CloseReason    *string  `parquet:"close_reason,optional,dict"`
	Continues      *string  `parquet:"continues,optional"`
	StartedAt      *int64   `parquet:"started_at,optional,timestamp(microsecond:local)"`
	EndedAt        *int64   `parquet:"ended_at,optional,timestamp(microsecond:local)"`
	FirstSeenAt    *int64   `parquet:"first_seen_at,optional,timestamp(microsecond:local)"`
	ExportedAt     *int64   `parquet:"exported_at,optional,timestamp(microsecond:local)"`
	SpanCount      int32    `parquet:"span_count"`
	ModelCalls     int32    `parquet:"model_calls"`
	ToolCalls      int32    `parquet:"tool_calls"`
	InputTokens    *int64   `parquet:"input_tokens,optional"`
	OutputTokens   *int64   `parquet:"output_tokens,optional"`
	Bundle         *string  `parquet:"bundle,optional,dict"`
	Tokens         *string  `parquet:"tokens,optional,dict"`
	Trainable      bool     `parquet:"trainable"`
	Reasons        []string `parquet:"reasons,list" parquet-element:",dict"`
	Attributes     *string  `parquet:"attributes,optional" store:"body"`
}

// StepRow is a model call or a tool run.
type StepRow struct {
	TrajectoryID string   `parquet:"trajectory_id,dict"`
	Revision     int64    `parquet:"revision"`
	Batch        string   `parquet:"batch,dict"`
	StepIndex    int32    `parquet:"step_index"`
	Thread       int32    `parquet:"thread"`
	ParentStep   *int32   `parquet:"parent_step,optional"`
	Kind         string   `parquet:"kind,dict"`
	AgentName    *string  `parquet:"agent_name,optional,dict"`
	TraceID      *string  `parquet:"trace_id,optional,dict"`
	SpanID       *string  `parquet:"span_id,optional"`
	StartedAt    *int64   `parquet:"started_at,optional,timestamp(microsecond:local)"`
	EndedAt      *int64   `parquet:"ended_at,optional,timestamp(microsecond:local)"`
	Error        *string  `parquet:"error,optional" store:"body"`
	Trainable    bool     `parquet:"trainable"`
	Reasons      []string `parquet:"reasons,list" parquet-element:",dict"`
	Attributes   *string  `parquet:"attributes,optional" store:"body"`

	Provider       *string   `parquet:"provider,optional,dict"`
	RequestModel   *string   `parquet:"request_model,optional,dict"`
	ResponseModel  *string   `parquet:"response_model,optional,dict"`
	Adapter        *string   `parquet:"adapter,optional,dict"`
	Bundle         *string   `parquet:"bundle,optional,dict"`
	ResponseID     *string   `parquet:"response_id,optional"`
	FinishReason   *string   `parquet:"finish_reason,optional,dict"`
	InputTokens    *int64    `parquet:"input_tokens,optional"`
	OutputTokens   *int64    `parquet:"output_tokens,optional"`
	CachedTokens   *int64    `parquet:"cached_tokens,optional"`
	Temperature    *float64  `parquet:"temperature,optional,dict"`
	TopP           *float64  `parquet:"top_p,optional,dict"`
	TopK           *int64    `parquet:"top_k,optional"`
	MaxTokens      *int64    `parquet:"max_tokens,optional"`
	Seed           *int64    `parquet:"seed,optional"`
	Constrained    *bool     `parquet:"constrained,optional"`
	LogprobsMode   *string   `parquet:"logprobs_mode,optional,dict"`
	Tools          *string   `parquet:"tools,optional" store:"body"`
	ToolsStep      *int32    `parquet:"tools_step,optional"`
	InputMessages  []int32   `parquet:"input_messages,optional,list" parquet-element:"" store:"body"`
	OutputMessages []int32   `parquet:"output_messages,optional,list" parquet-element:"" store:"body"`
	PromptBase     *int32    `parquet:"prompt_base,optional"`
	PromptTokenIDs []int32   `parquet:"prompt_token_ids,optional,list" store:"body"`
	TokenIDs       []int32   `parquet:"token_ids,optional,list" store:"body"`
	Logprobs       []float32 `parquet:"logprobs,optional,list" store:"body"`

	ToolName      *string `parquet:"tool_name,optional,dict"`
	ToolCallID    *string `parquet:"tool_call_id,optional"`
	ToolArguments *string `parquet:"tool_arguments,optional" store:"body"`
	ToolResult    *string `parquet:"tool_result,optional" store:"body"`
}

// MessageRow is a distinct message of a trajectory.
type MessageRow struct {
	TrajectoryID string  `parquet:"trajectory_id,dict"`
	Revision     int64   `parquet:"revision"`
	Batch        string  `parquet:"batch,dict"`
	MessageIndex int32   `parquet:"message_index"`
	Role         *string `parquet:"role,optional,dict"`
	Text         *string `parquet:"text,optional" store:"body"`
	Reasoning    *string `parquet:"reasoning,optional" store:"body"`
	ToolCalls    *string `parquet:"tool_calls,optional" store:"body"`
	ToolCallID   *string `parquet:"tool_call_id,optional"`
	Name         *string `parquet:"name,optional,dict"`
	Injected     *string `parquet:"injected,optional,dict"`
	Parts        *string `parquet:"parts,optional" store:"body"`
}

// RewardRow is one computed value. See [NewRewardRow].
type RewardRow struct {
	TrajectoryID string   `parquet:"trajectory_id,dict"`
	Revision     int64    `parquet:"revision"`
	Batch        string   `parquet:"batch,dict"` // set by the Writer
	StepIndex    *int32   `parquet:"step_index,optional"`
	Name         string   `parquet:"name,dict"`
	Value        *float64 `parquet:"value,optional"`
	Reason       *string  `parquet:"reason,optional,dict"`
	Explanation  *string  `parquet:"explanation,optional" store:"body"`
	Source       *string  `parquet:"source,optional,dict"`
	RuleHash     *string  `parquet:"rule_hash,optional,dict"`
	Provisional  bool     `parquet:"provisional"`
	EvaluatedAt  *int64   `parquet:"evaluated_at,optional,timestamp(microsecond:local)"`

	// FirstSeenAt is the trajectory's, in µs: its day names the folder. It is
	// not a column; 0 = the day of EvaluatedAt.
	FirstSeenAt int64 `parquet:"-"`
}

// FactRow is an observation after the fact.
type FactRow struct {
	FactID         string   `parquet:"fact_id"`
	Batch          string   `parquet:"batch,dict"`
	Name           string   `parquet:"name,dict"`
	Value          *float64 `parquet:"value,optional"`
	Label          *string  `parquet:"label,optional,dict"`
	Explanation    *string  `parquet:"explanation,optional" store:"body"`
	Source         *string  `parquet:"source,optional,dict"`
	ObservedAt     *int64   `parquet:"observed_at,optional,timestamp(microsecond:local)"`
	TrajectoryID   *string  `parquet:"trajectory_id,optional"`
	TraceID        *string  `parquet:"trace_id,optional"`
	SpanID         *string  `parquet:"span_id,optional"`
	ResponseID     *string  `parquet:"response_id,optional"`
	ConversationID *string  `parquet:"conversation_id,optional"`
}
