// Package sequence turns trajectories into the rows that an engine trains on.
//
// [Build] is the arrow. A row is one context thread: a later model call whose
// prompt's token ids begin with an earlier call's prompt and reply, id by id,
// extends the row; any other call starts a row of its own. Only generated tokens
// are trained on, each in one row only, however often later prompts repeat them.
//
// Ids that were captured when the call was served are the truth. Where they are
// missing, a [Tokenizer] renders the messages with the model's chat template, if
// there is one, and the call is marked: text encoded again is seldom what was
// generated. Nothing is guessed: a call that cannot be rendered is left out with
// a reason, a trajectory whose ids cannot be right is skipped with a reason, and
// [Tally] counts both.
package sequence
