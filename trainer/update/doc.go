// Package update moves a policy along the advantages of a night's rollouts.
//
// [Run] is the arrow. Every optimizer step is the same four moves, whatever the
// algorithm and whatever the server: a forward pass says what the policy is now;
// [grpo.Rule] turns that into one coefficient per token; one forward_backward
// with the loss importance_sampling gives exactly the gradient of the rule; the
// optimizer steps. So a loss, an off-policy weight or a penalty is computed in
// one place, and the stop rules can speak before a step is taken.
//
// A step that is done is written to a [Journal] with the checkpoint that holds
// the policy and the optimizer after it. A run that was killed goes on from
// there and does what it would have done.
package update
