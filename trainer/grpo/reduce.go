package grpo

import (
	"errors"
	"fmt"
)

// Reduction says what the summed losses of tokens are divided by: the Z of the
// batch. Rows of a rollout together weigh what the rollout would weigh in one
// row, under every reduction but RowMean: splitting changes nothing.
type Reduction string

// The reductions, with n_i the trained tokens of rollout i, n_ij those of its
// row j, and N the number of rollouts that have any.
const (
	TokenMean   Reduction = "token_mean"   // Z = Σ n_i: every token weighs the same (DAPO)
	RolloutMean Reduction = "rollout_mean" // Z_i = N n_i: every rollout weighs the same (GRPO; Agent Lightning 1.0's per-rollout loss)
	RowMean     Reduction = "row_mean"     // Z_ij = rows n_ij: every row weighs the same (seq-mean-token-mean of verl, where a sequence is a row)
	Constant    Reduction = "constant"     // Z = N L with L a constant: long rollouts weigh more in the measure of their length (Dr.GRPO)
)

// Weights are the 1/Z of every row: what its summed token losses are multiplied
// with, so that the gradient of the batch is the plain sum. tokens[i][j] is the
// number of trained tokens of row j of rollout i. length is L of Constant, in
// tokens, such as the most that an answer may have. Rows without trained tokens
// weigh 0 and do not count in N. A batch without trained tokens is an error.
func (r Reduction) Weights(tokens [][]int, length int) ([][]float64, error) {
	var total, rollouts, rows int
	own := make([]int, len(tokens))
	for i, list := range tokens {
		for _, n := range list {
			own[i] += n
			if n > 0 {
				rows++
			}
		}
		total += own[i]
		if own[i] > 0 {
			rollouts++
		}
	}
	switch {
	case total == 0:
		return nil, errors.New("normalise losses: the batch has no token to train on")
	case r == Constant && length <= 0:
		return nil, fmt.Errorf("normalise losses: %q needs a length above 0, not %d", r, length)
	}
	out := make([][]float64, len(tokens))
	for i, list := range tokens {
		out[i] = make([]float64, len(list))
		for j, n := range list {
			if n <= 0 {
				continue
			}
			z := 0
			switch r {
			case TokenMean:
				z = total
			case RolloutMean:
				z = rollouts * own[i]
			case RowMean:
				z = rows * n
			case Constant:
				z = rollouts * length
			default:
				return nil, fmt.Errorf("normalise losses: reduction %q is not known; use %s, %s, %s or %s", r, TokenMean, RolloutMean, RowMean, Constant)
			}
			out[i][j] = 1 / float64(z)
		}
	}
	return out, nil
}
