package sequence

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/trainer/engine"
	"github.com/tracegrad/tracegrad/trainer/grpo"
)

const vocabulary = 12

// talk makes up the calls of a trajectory: contexts that grow, branch, repeat
// and begin anew. Each comes with its whole prompt; bases say the same with
// deltas.
func talk(r *rand.Rand) (whole, deltas []recorded) {
	ids := func(n int) []int32 {
		out := make([]int32, n)
		for i := range out {
			out[i] = r.Int32N(vocabulary)
		}
		return out
	}
	var contexts [][]int32 // prompt and reply of each call
	for i := range 1 + r.IntN(8) {
		reply := ids(1 + r.IntN(3))
		var prompt, rest []int32
		var base *int32
		if i > 0 && r.IntN(4) > 0 {
			at := int32(r.IntN(i)) //nolint:gosec // small
			if r.IntN(2) == 0 {
				at = int32(i - 1) //nolint:gosec // small
			}
			rest, base = ids(r.IntN(3)), &at
			prompt = append(slices.Clone(contexts[at]), rest...)
		} else {
			prompt = ids(1 + r.IntN(3))
			rest = prompt
		}
		logprobs := make([]float32, len(reply))
		for t := range logprobs {
			logprobs[t] = -float32(r.ExpFloat64()) - 0.01
		}
		one := 1.0
		whole = append(whole, recorded{Prompt: prompt, Reply: reply, Logprobs: logprobs, Temperature: &one})
		deltas = append(deltas, recorded{Base: base, Prompt: rest, Reply: reply, Logprobs: logprobs, Temperature: &one})
		contexts = append(contexts, append(slices.Clone(prompt), reply...))
	}
	return whole, deltas
}

func build(t *testing.T, calls []recorded) *Rollout {
	t.Helper()
	out, err := Build(context.Background(), trajectoryOf(calls), Options{Vocabulary: vocabulary})
	require.NoError(t, err)
	require.Empty(t, out.Skipped)
	return out
}

// TestEveryReplyIsTrainedOnceInItsContext: what stands before a generated token
// in its row is what the model saw.
func TestEveryReplyIsTrainedOnceInItsContext(t *testing.T) {
	for seed := range uint64(400) {
		whole, deltas := talk(rand.New(rand.NewPCG(seed, 2)))
		for _, calls := range [][]recorded{whole, deltas} {
			got := build(t, calls)
			var trained, masked int
			for i := range whole {
				at := slices.IndexFunc(got.Spans, func(s Span) bool { return s.Step == i })
				require.GreaterOrEqual(t, at, 0)
				s := got.Spans[at]
				row := got.Rows[s.Row]
				require.Equal(t, whole[i].Prompt, row.Tokens[:s.From])
				require.Equal(t, whole[i].Reply, row.Tokens[s.From:s.To])
				require.Equal(t, whole[i].Logprobs, row.Logprobs[s.From:s.To])
				trained += len(whole[i].Reply)
			}
			for i := range got.Rows {
				require.NoError(t, got.Rows[i].Valid(vocabulary))
				for _, m := range got.Rows[i].Mask {
					if m {
						masked++
					}
				}
			}
			require.Equal(t, trained, masked, "each generated token in one row only")
			require.Equal(t, trained, got.Trained())
		}
	}
}

// bigram is a policy whose gradient can be written down: the logits of the next
// token depend on the token before it.
type bigram [vocabulary][vocabulary]float64

func newBigram(r *rand.Rand) *bigram {
	var p bigram
	for i := range p {
		for j := range p[i] {
			p[i][j] = r.NormFloat64()
		}
	}
	return &p
}

func (p *bigram) probabilities(before int32) (out [vocabulary]float64) {
	var sum float64
	for j, logit := range p[before] {
		out[j] = math.Exp(logit)
		sum += out[j]
	}
	for j := range out {
		out[j] /= sum
	}
	return out
}

// forward is what an engine answers: log-probabilities index by index for the
// tokens, of the prompt as well.
func (p *bigram) forward(rows []engine.Row) [][]float32 {
	out := make([][]float32, len(rows))
	for i, row := range rows {
		out[i] = make([]float32, len(row.Tokens))
		for t := 1; t < len(row.Tokens); t++ {
			out[i][t] = float32(math.Log(p.probabilities(row.Tokens[t-1])[row.Tokens[t]]))
		}
	}
	return out
}

// gradient is what an engine would add up for importance_sampling with a ratio
// of 1: Σ weight × advantage × ∇ log π over all tokens of all rows, masked or not.
func (p *bigram) gradient(rows []engine.Row) *bigram {
	var g bigram
	for _, row := range rows {
		for t := 1; t < len(row.Tokens); t++ {
			c := row.Weight * float64(row.Advantages[t])
			before := row.Tokens[t-1]
			g[before][row.Tokens[t]] += c
			for j, q := range p.probabilities(before) {
				g[before][j] -= c * q
			}
		}
	}
	return &g
}

// step is a whole optimizer step's gradient for a group of rollouts.
func step(t *testing.T, p *bigram, group []*Rollout, returns []float64, rule grpo.Rule, how grpo.Reduction) *bigram {
	t.Helper()
	advantages, ok := grpo.Advantages(returns, grpo.Options{})
	require.True(t, ok)
	var rows []engine.Row
	for i, r := range group {
		now, err := r.Flat(p.forward(r.Rows))
		require.NoError(t, err)
		behaviour, err := r.Behaviour(now)
		require.NoError(t, err)
		_, err = r.Apply(rule, grpo.Logs{
			Now: now, Behaviour: behaviour, Old: scaled(now, 1.02), Reference: scaled(now, 0.97),
			Advantages: r.PerSpan(func(Span) float64 { return advantages[i] }),
		})
		require.NoError(t, err)
	}
	require.NoError(t, Weigh(group, how, 7))
	for _, r := range group {
		rows = append(rows, r.Rows...)
	}
	return p.gradient(rows)
}

func scaled(values []float64, by float64) []float64 {
	out := slices.Clone(values)
	for i := range out {
		out[i] *= by
	}
	return out
}

// split gives every reply a row of its own, with its whole context.
func split(r *Rollout) *Rollout {
	out := &Rollout{ID: r.ID, Recorded: r.Recorded}
	for _, s := range r.Spans {
		from := r.Rows[s.Row]
		row := engine.Row{
			Tokens: from.Tokens[:s.To], Mask: make([]bool, s.To), Logprobs: make([]float32, s.To),
			Advantages: make([]float32, s.To), Rollout: r.ID,
		}
		copy(row.Mask[s.From:], from.Mask[s.From:s.To])
		copy(row.Logprobs[s.From:], from.Logprobs[s.From:s.To])
		s.Row = len(out.Rows)
		out.Rows, out.Spans = append(out.Rows, row), append(out.Spans, s)
	}
	return out
}

func rules() []grpo.Rule {
	var out []grpo.Rule
	for _, name := range grpo.Algorithms() {
		recipe, _ := grpo.RecipeOf(grpo.Algorithm(name))
		for _, by := range []string{"none", "truncate", "icepop", "topr", "stale"} {
			c, _ := grpo.CorrectionOf(by)
			c.SequenceHigh = 3
			out = append(out, grpo.Rule{Loss: recipe.Loss, Correction: c, Penalty: grpo.Penalty{Beta: 0.04}})
		}
	}
	return out
}

// TestSplittingARolloutChangesNothing: one row or many, the gradient is the
// same, for every loss, correction and reduction but that by rows.
func TestSplittingARolloutChangesNothing(t *testing.T) {
	several := 0
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 3))
		p := newBigram(r)
		var group, parts []*Rollout
		var returns []float64
		for range 3 {
			whole, _ := talk(r)
			group = append(group, build(t, whole))
			parts = append(parts, split(group[len(group)-1]))
			returns = append(returns, r.NormFloat64())
			several += len(parts[len(parts)-1].Rows) - len(group[len(group)-1].Rows)
		}
		for _, rule := range rules() {
			for _, how := range []grpo.Reduction{grpo.TokenMean, grpo.RolloutMean, grpo.Constant} {
				want, got := step(t, p, group, returns, rule, how), step(t, p, parts, returns, rule, how)
				for i := range want {
					require.InDeltaSlice(t, want[i][:], got[i][:], 1e-12, "%+v %s", rule, how)
				}
			}
		}
	}
	require.Greater(t, several, 100, "rollouts were split")
}

// TestMaskedTokensCarryNothing: the gradient is the sum over generated tokens
// alone, and what the policy thinks of the others does not matter.
func TestMaskedTokensCarryNothing(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 4))
		p := newBigram(r)
		whole, _ := talk(r)
		other, _ := talk(r)
		group := []*Rollout{build(t, whole), build(t, other)}
		for _, rule := range rules() {
			got := step(t, p, group, []float64{1, 0}, rule, grpo.TokenMean)
			var want bigram
			for _, one := range group {
				for _, s := range one.Spans {
					row := one.Rows[s.Row]
					for at := s.From; at < s.To; at++ {
						c := row.Weight * float64(row.Advantages[at])
						before := row.Tokens[at-1]
						want[before][row.Tokens[at]] += c
						for j, q := range p.probabilities(before) {
							want[before][j] -= c * q
						}
					}
				}
			}
			for i := range want {
				require.InDeltaSlice(t, want[i][:], got[i][:], 1e-12)
			}
			for _, one := range group {
				for _, row := range one.Rows {
					for at, m := range row.Mask {
						require.True(t, m || (row.Advantages[at] == 0 && row.Logprobs[at] == 0))
						require.NoError(t, row.Valid(vocabulary))
					}
				}
			}
		}
	}
}
