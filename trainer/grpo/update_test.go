package grpo

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The first step on the policy's own tokens is REINFORCE, whatever the loss.
func TestTheFirstStepOnPolicyIsREINFORCE(t *testing.T) {
	for seed := range uint64(50) {
		x := randomLogs(rand.New(rand.NewPCG(seed, 13)))
		for _, l := range losses() {
			if l.Fn == FnGSPO { // pulls all tokens by the mean of the advantages
				for i := range x.Advantages {
					x.Advantages[i] = 0.7
				}
			}
			c, m, err := Rule{Loss: l}.Coefficients(Logs{Now: x.Now, Advantages: x.Advantages})
			require.NoError(t, err)
			require.InDeltaSlice(t, x.Advantages, c, 1e-12, l.Fn)
			require.Zero(t, m.Clipped)
			require.InDelta(t, 0, m.Moved, 1e-12)
			require.InDelta(t, 1, m.Effective.Share(), 0)
		}
	}
}

func TestCoefficientsByHand(t *testing.T) {
	// now 2× old, old 4× behaviour, capped at 3; A = -1; k3 of ln 2 pulls by ½
	x := Logs{
		Now: []float64{-1}, Old: []float64{-1 - math.Ln2}, Behaviour: []float64{-1 - math.Log(8)},
		Reference: []float64{-1 - math.Ln2}, Advantages: []float64{-1},
	}
	rule := Rule{Loss: Loss{FnPPO, 0.8, 1.2}, Correction: Correction{Cap: 3}, Penalty: Penalty{Beta: 0.1}}
	c, m, err := rule.Coefficients(x)
	require.NoError(t, err)
	assert.InDelta(t, -3*2-0.05, c[0], 1e-12)
	assert.InDelta(t, 6+0.1*(math.Ln2-0.5), m.Loss, 1e-12)
	assert.Equal(t, 1, m.Truncated)
	assert.InDelta(t, 1-math.Ln2, m.MeanMoved(), 1e-12) // 2 - 1 - ln 2
	rule.Penalty.Corrected = true
	c, _, err = rule.Coefficients(x)
	require.NoError(t, err)
	assert.InDelta(t, -6-0.1*2*math.Ln2, c[0], 1e-12) // r (k3 + 1 - e^-d) = 2 (ln 2 - ½ + ½)
	rule.Penalty, x.Advantages[0] = Penalty{}, 1
	c, m, err = rule.Coefficients(x)
	require.NoError(t, err)
	assert.Zero(t, c[0], "beyond the clip a good token is pushed no further")
	assert.InDelta(t, 1, m.ClipFraction(), 0)
	rule.Correction = Correction{Tapered: true}
	c, _, err = rule.Coefficients(x)
	require.NoError(t, err)
	assert.InDelta(t, 1, c[0], 1e-12, "tapered weights replace the ratio")
}

func TestARefusedRolloutHasNoPullButThatOfTheReference(t *testing.T) {
	x := Logs{Now: []float64{-1}, Behaviour: []float64{-9}, Reference: []float64{-2}, Advantages: []float64{1}}
	c, m, err := Rule{Loss: Loss{Fn: FnImportance}, Correction: Correction{SequenceHigh: 2}}.Coefficients(x)
	require.NoError(t, err)
	assert.Zero(t, c[0])
	assert.Equal(t, map[string]int{ReasonSequenceMask: 1}, m.Refused)
	c, _, err = Rule{Loss: Loss{Fn: FnImportance}, Correction: Correction{SequenceHigh: 2}, Penalty: Penalty{Beta: 1, Estimator: K1}}.Coefficients(x)
	require.NoError(t, err)
	assert.InDelta(t, -1, c[0], 1e-12)
}

func TestListsThatDoNotFitAreRefused(t *testing.T) {
	nan := []float64{math.NaN()}
	for want, x := range map[string]Logs{
		"advantages has 0 values for 1 tokens":                {Now: []float64{-1}},
		"old has 2 values":                                    {Now: []float64{-1}, Advantages: []float64{1}, Old: []float64{1, 2}},
		"behaviour has 0 values":                              {Now: []float64{-1}, Advantages: []float64{1}, Behaviour: []float64{}},
		"now has a value that is not a number":                {Now: nan, Advantages: []float64{1}},
		"advantages has a value that is not a number":         {Now: []float64{-1}, Advantages: nan},
		"reference has a value that is not a number":          {Now: []float64{-1}, Advantages: []float64{1}, Reference: []float64{math.Inf(-1)}},
		"a KL penalty needs the log-probabilities of the ref": {Now: []float64{-1}, Advantages: []float64{1}},
	} {
		_, _, err := Rule{Penalty: Penalty{Beta: 0.1}}.Coefficients(x)
		assert.ErrorContains(t, err, want)
	}
}

func TestMetricsAddUp(t *testing.T) {
	var all Metrics
	for range 3 {
		all.Add(Metrics{Rollouts: 1, Tokens: 4, Loss: 2, Moved: 0.4, KL: 0.8, Clipped: 1, Truncated: 2, Masked: 3, Refused: map[string]int{"veto": 1}, Effective: Effective{1, 2, 4}})
	}
	assert.Equal(t, map[string]int{"veto": 3}, all.Refused)
	assert.InDelta(t, 0.1, all.MeanMoved(), 1e-12)
	assert.InDelta(t, 0.2, all.MeanKL(), 1e-12)
	assert.InDelta(t, 0.25, all.ClipFraction(), 1e-12)
	assert.InDelta(t, 1, all.Effective.Share(), 1e-12)
	assert.Zero(t, Metrics{}.MeanKL())
}

func TestStopRules(t *testing.T) {
	l := Limits{MaxKL: DefaultMaxKL, MinESS: DefaultMinESS}
	good := Metrics{Tokens: 100, Moved: 4, Effective: Effective{N: 4, Sum: 4, Squares: 4}}
	assert.Empty(t, l.Stop(good))
	assert.Empty(t, l.Stop(Metrics{}))
	far := good
	far.Moved = 6
	assert.Contains(t, l.Stop(far), "max_kl: the policy moved by 0.06 nats per token, more than 0.05")
	assert.Empty(t, Limits{}.Stop(far))
	thin := good
	thin.Effective = Effective{N: 10, Sum: 10, Squares: 100}
	assert.Contains(t, l.Stop(thin), "min_ess: the effective sample size is 0.1 of the tokens")
	lost := good
	lost.Loss = math.NaN()
	assert.Contains(t, Limits{}.Stop(lost), "not_finite")
}

// What was not recorded says nothing of how far the policies are apart, and must
// not water down what was.
func TestOnlyRecordedTokensCountAsSamples(t *testing.T) {
	x := Logs{
		Now: []float64{-1, -1, -1, -1}, Old: []float64{-1, -1, -1, -1}, Behaviour: []float64{-1, -1, -1, -1 - math.Log(3)},
		Advantages: []float64{1, 1, 1, 1}, Recorded: []bool{false, false, true, true},
	}
	_, m, err := Rule{Loss: Loss{Fn: FnImportance}}.Coefficients(x)
	require.NoError(t, err)
	assert.Equal(t, 2, m.Effective.N)
	assert.InDelta(t, (1.0+3)*(1+3)/(2*(1+9)), m.Effective.Share(), 1e-12)
	x.Recorded = nil
	_, m, err = Rule{Loss: Loss{Fn: FnImportance}}.Coefficients(x)
	require.NoError(t, err)
	assert.Equal(t, 4, m.Effective.N)
	x.Recorded = []bool{true}
	_, _, err = Rule{Loss: Loss{Fn: FnImportance}}.Coefficients(x)
	require.ErrorContains(t, err, "recorded has 1 values for 4 tokens")
}
