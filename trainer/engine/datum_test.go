package engine

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/trainer/grpo"
)

// batch is rows of a few rollouts, with what a policy would say of them.
func batch(random *rand.Rand) (rows []Row, now [][]float32) {
	for i := range 1 + random.IntN(6) {
		n := 2 + random.IntN(20)
		r := Row{
			Tokens: make([]int32, n), Mask: make([]bool, n), Logprobs: make([]float32, n), Advantages: make([]float32, n),
			Weight: random.Float64(), Rollout: fmt.Sprint(i), Values: make([]float32, n), Returns: make([]float32, n),
		}
		said := make([]float32, n-1)
		for t := range n {
			r.Tokens[t] = int32(random.IntN(512))
			if t == 0 {
				continue
			}
			if said[t-1] = -float32(random.ExpFloat64()); random.IntN(3) > 0 || t == n-1 {
				r.Mask[t] = true
				r.Logprobs[t], r.Advantages[t] = said[t-1]+float32(random.NormFloat64())/2, float32(random.NormFloat64())
				r.Values[t], r.Returns[t] = float32(random.NormFloat64()), float32(random.NormFloat64())
			}
		}
		rows, now = append(rows, r), append(now, said)
	}
	return rows, now
}

// gradients are what a server makes of data: per row and token the derivative of
// its loss by the token's log-probability.
func gradients(how Normalization, data []datum, now [][]float32, asked grpo.Loss) [][]float64 {
	out := make([][]float64, len(data))
	for i, d := range data {
		all, mask := make([]bool, len(d.targets)), 0.0
		for t := range all {
			all[t] = true
			mask += float64(d.weights[t])
		}
		old, advantages := d.logprobs, d.advantages
		if old == nil {
			old, advantages = make([]float32, len(all)), make([]float32, len(all))
			for t := range advantages {
				advantages[t] = 1
			}
		}
		_, out[i] = asked.Tokens(doubles(now[i], all), doubles(old, all), doubles(advantages, all))
		for t := range out[i] {
			out[i][t] *= float64(d.weights[t])
			if how == RowMean {
				out[i][t] /= math.Max(mask, 1e-9) * float64(len(data))
			}
		}
	}
	return out
}

// TestExactSum: whatever a server divides by, the gradient is the plain sum over
// rows of Weight × the loss's.
func TestExactSum(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		rows, now := batch(random)
		for _, loss := range []grpo.Loss{{Fn: grpo.FnCrossEntropy}, {Fn: grpo.FnImportance}, {Fn: grpo.FnPPO, Low: 0.8, High: 1.28}, {Fn: grpo.FnCISPO, Low: 0, High: 5}} {
			for _, how := range []Normalization{Sum, RowMean} {
				asked, err := how.loss(loss, nil)
				require.NoError(t, err)
				var data []datum
				for i := range rows {
					data = append(data, how.datum(&rows[i], len(rows), loss))
				}
				for i, got := range gradients(how, data, now, asked) {
					r := &rows[i]
					_, want := loss.Tokens(doubles(now[i], r.Mask[1:]), doubles(r.Logprobs, r.Mask), doubles(r.Advantages, r.Mask))
					for t0, g := range got {
						if !r.Mask[t0+1] {
							require.Zero(t, g, "a masked token has no gradient")
							continue
						}
						require.InDelta(t, r.Weight*want[0], g, 1e-5*(1+math.Abs(want[0])), "%s, %s", how, loss.Fn)
						want = want[1:]
					}
				}
			}
		}
	}
}

func TestLossesThatAServerLacks(t *testing.T) {
	_, err := RowMean.loss(grpo.Loss{Fn: grpo.FnCritic}, nil)
	require.ErrorContains(t, err, "use the worker")
	_, err = Sum.loss(grpo.Loss{Fn: grpo.FnGSPO}, []string{"ppo"})
	require.ErrorContains(t, err, "the server has only [ppo]")
	for _, ratio := range []float64{1, 0.667, 0, math.NaN(), math.Inf(1), 4} {
		_, err := normalizes(ratio)
		require.Error(t, err)
	}
	how, err := normalizes(1.999)
	require.NoError(t, err)
	assert.Equal(t, Sum, how)
	how, err = normalizes(0.7501)
	require.NoError(t, err)
	assert.Equal(t, RowMean, how)
}

// TestFit: every row is sent once, in order, in requests below the budget unless
// one row is more.
func TestFit(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		rows, _ := batch(random)
		budget := 1 + random.IntN(40)
		for left := rows; len(left) > 0; {
			n := fit(left, budget)
			require.Positive(t, n)
			total := 0
			for _, r := range left[:n] {
				total += len(r.Tokens)
			}
			require.True(t, total <= budget || n == 1)
			if n < len(left) {
				require.Greater(t, total+len(left[n].Tokens), budget, "a request is as full as it can be")
			}
			left = left[n:]
		}
	}
}
