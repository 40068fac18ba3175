package sequence

import (
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// Options say what is trained on. The zero value trains on every captured call.
type Options struct {
	// Vocabulary is the number of token ids that the model knows; 0 = unknown,
	// and only negative ids are refused.
	Vocabulary int

	// MaxLength bounds a row, in tokens; 0 = no bound. Calls that would make a row
	// longer are left out.
	MaxLength int

	// Temperature at which the engine computes log-probabilities; 0 = 1.
	// Recorded ones of another distribution are not used.
	Temperature float64

	// Constrained trains also on calls whose reply a grammar or a forced tool
	// choice bent: right for imitation (sft), wrong for losses with a ratio.
	Constrained bool

	// Use says why a model call is not of the policy that is trained, or ""; nil =
	// all are. Calls not used still are context.
	Use func(*trajectory.Step) string

	// Foreign reports a model call that another policy generated than the one that
	// the update starts from. It is trained on only with log-probabilities of its
	// own, which weigh it; nil = there is none.
	Foreign func(*trajectory.Step) bool

	// Tokenizer renders calls whose ids were not captured; nil = they are left out.
	Tokenizer Tokenizer
}

// Reasons why a trajectory has no rows (Rollout.Skipped).
const (
	SkipInvalid      = "invalid"                  // its parts do not fit together
	SkipNotTrainable = "not_trainable"            // the telemetry does not show everything
	SkipVocabulary   = "token_outside_vocabulary" // recorded with another tokenizer
	SkipLengths      = "lengths_differ"           // token ids and log-probabilities are not one each
	SkipLogprobs     = "logprob_not_finite"       // a log-probability is no number, or above 0
	SkipTooLarge     = "too_large"                // its rows would hold more tokens than maxTokens
	SkipNothing      = "nothing_to_train"         // no call is left; LeftOut says why
)

// Reasons why a model call is not trained on (Rollout.LeftOut), beside those of
// the step itself and of Options.Use.
const (
	LeftNoReply      = "no_reply"            // it was not answered
	LeftNoTokens     = "tokens_missing"      // its ids were not captured, and there is no tokenizer
	LeftNoBase       = "prompt_base_missing" // the call that its prompt begins with has no ids
	LeftConstrained  = "constrained"         // see Options.Constrained
	LeftTooLong      = "too_long"            // see Options.MaxLength
	LeftInjected     = "injected_not_known"  // what a bundle added to its prompt cannot be rendered
	LeftOtherPolicy  = "other_policy"        // see Options.Foreign
	LeftContent      = "content_not_text"    // images and the like cannot be rendered
	LeftTemplate     = "template_failed"     // the chat template refuses the messages
	LeftNotPrefix    = "template_not_prefix" // the template writes the prompt anew once it is answered
	LeftNoMask       = "template_no_mask"    // the template does not say what the assistant wrote
	LeftStepNoReason = "step_not_trainable"  // the step says so, without a reason
)

// maxTokens bounds the rows of one trajectory: prompts that branch off a long
// one are copied, so rows can be many times as long as what was recorded.
const maxTokens = 1 << 22
