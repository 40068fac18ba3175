// Package engine speaks the Tinker training protocol with the servers that turn
// rows into policy updates.
package engine

// Row is one training sequence: a context thread of a rollout, prompt and reply
// in one. The lists are of one length, index by index about the same token; the
// engine shifts them by one when it sends (targets are the tokens from the
// second on).
type Row struct {
	Tokens     []int32   // the whole sequence, prompt and reply
	Mask       []bool    // generated and to be learned from; the first is false
	Logprobs   []float32 // of the policy that generated the token, nats; 0 where Mask is false
	Advantages []float32 // signed, per token, before Weight; 0 where Mask is false

	// Weight is 1/Z of the normalisation: what the row's summed token losses
	// are multiplied with, so that the batch's gradient is the plain sum over
	// rows of Weight × Σ over tokens. Rows of one rollout share a weight, or
	// have weights that add up to that of the rollout unsplit.
	Weight float64

	Rollout string // the trajectory; rows of one share it

	// For ppo only, nil otherwise.
	Values  []float32 // of the critic before the update, 0 where Mask is false
	Returns []float32 // what the critic should have said, 0 where Mask is false
}
