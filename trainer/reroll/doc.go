// Package reroll lets a model answer logged prompts again.
//
// [PromptOf] reads the prompt of a logged trajectory: what its first model call
// was sent, without what a bundle had added. [Run] asks a server that speaks
// OpenAI's protocol for rollouts of such prompts and writes them as trajectories
// into a dataset of their own.
//
// Nothing is invented. A tool call of the model is answered with the result that
// was recorded for the same call, by name and arguments; without one the rollout
// ends there and says so. Seeds follow from the prompt and the index of the
// rollout alone, so that two policies are asked under the same chance, and a run
// can be done again.
package reroll
