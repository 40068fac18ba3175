package engine

import (
	"fmt"
	"math"
	"slices"
)

// Row is one training sequence: a context thread of a rollout, prompt and reply
// in one. The lists are of one length, index by index about the same token; the
// engine shifts them by one when it sends (targets are the tokens from the
// second on).
type Row struct {
	Tokens     []int32   // the whole sequence, prompt and reply
	Mask       []bool    // generated and to be learned from; the first is false
	Logprobs   []float32 // of the policy that generated the token, nats; 0 where Mask is false
	Advantages []float32 // signed, per token, before Weight; 0 where Mask is false. For cross_entropy, how much a token counts

	// Weight is 1/Z of the normalisation: what the row's summed token losses
	// are multiplied with, so that the batch's gradient is the plain sum over
	// rows of Weight × Σ over tokens. Rows of one rollout share it, unless rows
	// are what the batch is normalised by.
	Weight float64

	Rollout string // the trajectory; rows of one share it

	// For ppo only, nil otherwise.
	Values  []float32 // of the critic before the update, 0 where Mask is false
	Returns []float32 // what the critic should have said, 0 where Mask is false
}

// Valid says whether a server can be sent the row: its lists are of one length,
// its ids below vocabulary (0 = not known), its numbers finite, and what was not
// generated carries nothing. The error names the first misfit. Servers take most
// of these without a word and train on something else.
func (r *Row) Valid(vocabulary int) error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("row of rollout %s: %s", r.Rollout, fmt.Sprintf(format, args...))
	}
	if len(r.Mask) != len(r.Tokens) {
		return fail("%d tokens, but a mask of length %d", len(r.Tokens), len(r.Mask))
	}
	switch {
	case len(r.Tokens) < 2 || r.Mask[0]:
		return fail("a generated token needs a token before it")
	case !slices.Contains(r.Mask, true):
		return fail("no token is to be learned from")
	case math.IsNaN(r.Weight) || math.IsInf(r.Weight, 0) || r.Weight < 0:
		return fail("its weight is %v", r.Weight)
	}
	for t, id := range r.Tokens {
		if id < 0 || (vocabulary > 0 && int(id) >= vocabulary) {
			return fail("token %d is %d, outside the model's vocabulary of %d", t, id, vocabulary)
		}
	}
	for _, list := range []struct {
		name   string
		values []float32
		spare  bool
	}{{"logprobs", r.Logprobs, false}, {"advantages", r.Advantages, false}, {"values", r.Values, true}, {"returns", r.Returns, true}} {
		if list.values == nil && list.spare {
			continue
		}
		if len(list.values) != len(r.Tokens) {
			return fail("%d tokens, but %d %s", len(r.Tokens), len(list.values), list.name)
		}
		for t, v := range list.values {
			switch {
			case math.IsNaN(float64(v)) || math.IsInf(float64(v), 0):
				return fail("%s of token %d is %v", list.name, t, v)
			case v != 0 && !r.Mask[t]:
				return fail("%s of token %d is %v, but the token was not generated", list.name, t, v)
			}
		}
	}
	return nil
}
