package trajectory

// Attribute names that tracegrad writes or reads. Everything else is OTel's.
const (
	AttrTrajectory   = "tracegrad.trajectory"    // bytes: Encode(trajectory)
	AttrID           = "tracegrad.trajectory.id" // string
	AttrRevision     = "tracegrad.trajectory.revision"
	AttrTaskKey      = "tracegrad.task.key"
	AttrCloseReason  = "tracegrad.close_reason"
	AttrTrainable    = "tracegrad.trainable"
	AttrReasons      = "tracegrad.reasons"
	AttrStatus       = "tracegrad.status"
	AttrModelCalls   = "tracegrad.model_calls"
	AttrToolCalls    = "tracegrad.tool_calls"
	AttrSpanCount    = "tracegrad.span_count"
	AttrStepIndex    = "tracegrad.step.index"
	AttrRewardPrefix = "tracegrad.reward." // + rule name: double
	AttrRolloutID    = "tracegrad.rollout.id"

	AttrSource  = "tracegrad.source"  // "gateway" on the gateway's spans
	AttrBundle  = "tracegrad.bundle"  // bundle id that was applied to a model call
	AttrAdapter = "tracegrad.adapter" // adapter that served it
	// AttrBundleLabel is the label that named the bundle, AttrAdapterMissing an
	// adapter that the server did not have, so that the base model answered.
	AttrBundleLabel    = "tracegrad.bundle.label"
	AttrAdapterMissing = "tracegrad.adapter.missing"

	AttrInjected = "tracegrad.injected" // JSON array of injected items: what the model saw beyond the agent's messages

	// What the gateway saw of the tokens of a model call. Ids and
	// log-probabilities are bytes: see [PackIDs] and [PackLogprobs].
	AttrPromptTokenIDs = "tracegrad.prompt_token_ids"
	AttrTokenIDs       = "tracegrad.token_ids"
	AttrLogprobs       = "tracegrad.logprobs"
	AttrLogprobsMode   = "tracegrad.logprobs_mode"      // string: raw or processed; absent = unknown
	AttrUntold         = "tracegrad.token_ids.missing"  // string: why there are none
	AttrConstrained    = "tracegrad.constrained"        // bool: the log-probabilities are not the policy's own
	AttrConstraints    = "tracegrad.constrained.reason" // list of strings: the members of the request that say so
	AttrMinP           = "tracegrad.request.min_p"      // double

	AttrFactID       = "tracegrad.fact.id"
	AttrFactSource   = "tracegrad.fact.source"
	AttrTrajectoryID = AttrID
)

// CallAttributes are the attributes of the gateway's spans that stand on a step
// as they are.
var CallAttributes = []string{AttrUntold, AttrConstraints, AttrMinP, AttrBundleLabel, AttrAdapterMissing}

// ScopeName is the instrumentation scope of everything tracegrad emits.
const ScopeName = "github.com/tracegrad/tracegrad"
