package grpo

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testdata/skyrl.jsonl holds what SkyRL 0.4.0 computes (golden_skyrl.py):
// advantages and returns of GAE, and the critic's loss with its derivative by
// each value.
func TestCriticEqualsSkyRL(t *testing.T) {
	file, err := os.Open("testdata/skyrl.jsonl")
	require.NoError(t, err)
	defer file.Close()
	var advantages, losses int
	for scan := bufio.NewScanner(file); scan.Scan(); {
		var c struct {
			Rewards, Values, Old, Returns [][]float64

			Gamma, Lambda, Clip float64
			WantWhitened        [][]float64 `json:"want_whitened"`
			WantReturns         [][]float64 `json:"want_returns"`
			WantLoss            float64     `json:"want_loss"`
			WantGradient        [][]float64 `json:"want_gradient"`
		}
		require.NoError(t, json.Unmarshal(scan.Bytes(), &c))
		if c.Rewards != nil {
			advantages++
			got := make([][]float64, len(c.Rewards))
			for i := range c.Rewards {
				var returns []float64
				got[i], returns = GAE(c.Rewards[i], c.Values[i], c.Gamma, c.Lambda)
				assert.InDeltaSlice(t, c.WantReturns[i], returns, 1e-12)
			}
			for i, whitened := range Whiten(got) {
				assert.InDeltaSlice(t, c.WantWhitened[i], whitened, 1e-9)
			}
			continue
		}
		losses++
		var sum, n float64
		for i := range c.Values {
			loss, slope := ValueLoss(c.Values[i], c.Old[i], c.Returns[i], c.Clip)
			for k := range loss {
				sum, n = sum+loss[k], n+1
				assert.InDelta(t, c.WantGradient[i][k]*float64(len(c.Values)*len(loss)), slope[k], 1e-12)
			}
		}
		assert.InDelta(t, c.WantLoss, sum/n, 1e-12, "rows are of one length: the mean of means is the mean")
	}
	assert.Equal(t, 4, advantages)
	assert.Equal(t, 3, losses)
}
