package engine

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func goodRow() Row {
	return Row{Tokens: []int32{1, 2, 3}, Mask: []bool{false, true, true}, Logprobs: []float32{0, -1, -2}, Advantages: []float32{0, 1, 1}, Weight: 0.5, Rollout: "a"}
}

func TestRowsThatCannotBeSent(t *testing.T) {
	good := goodRow()
	require.NoError(t, good.Valid(4))
	require.NoError(t, good.Valid(0))
	for want, spoil := range map[string]func(*Row){
		"mask of length 2":                       func(r *Row) { r.Mask = r.Mask[:2] },
		"3 tokens, but 2 logprobs":               func(r *Row) { r.Logprobs = r.Logprobs[:2] },
		"3 tokens, but 0 advantages":             func(r *Row) { r.Advantages = nil },
		"3 tokens, but 1 values":                 func(r *Row) { r.Values = []float32{0} },
		"outside the model's vocabulary":         func(r *Row) { r.Tokens[2] = 4 },
		"token 0 is -1":                          func(r *Row) { r.Tokens[0] = -1 },
		"needs a token before it":                func(r *Row) { r.Mask[0] = true },
		"no token is to be learned from":         func(r *Row) { r.Mask = make([]bool, 3) },
		"advantages of token 1 is NaN":           func(r *Row) { r.Advantages[1] = float32(math.NaN()) },
		"logprobs of token 2 is -Inf":            func(r *Row) { r.Logprobs[2] = float32(math.Inf(-1)) },
		"but the token was not generated":        func(r *Row) { r.Advantages[0] = 1 },
		"its weight is NaN":                      func(r *Row) { r.Weight = math.NaN() },
		"its weight is -1":                       func(r *Row) { r.Weight = -1 },
		"logprobs of token 0 is -1, but the tok": func(r *Row) { r.Logprobs[0] = -1 },
	} {
		r := goodRow()
		spoil(&r)
		assert.ErrorContains(t, r.Valid(4), want)
	}
}
