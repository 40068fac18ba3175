package grpo

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testdata/trl.jsonl holds what TRL 1.16's trainers compute (golden_trl.py): the
// loss of a batch and its derivative by each token's log-probability. Four
// rollouts of different lengths, one with a tool result in the middle.
func TestLossAndGradientEqualTRL(t *testing.T) {
	file, err := os.Open("testdata/trl.jsonl")
	require.NoError(t, err)
	defer file.Close()
	lines := 0
	scan := bufio.NewScanner(file)
	for scan.Buffer(nil, 1<<20); scan.Scan(); lines++ {
		var c struct {
			Case         string      `json:"case"`
			Rule                     // loss, off_policy, kl
			Reduce       Reduction   `json:"reduce"`
			Length       int         `json:"length"`
			Now          [][]float64 `json:"now"`
			Old          [][]float64 `json:"old"`
			Behaviour    [][]float64 `json:"behaviour"`
			Reference    [][]float64 `json:"reference"`
			Advantages   []float64   `json:"advantages"`
			WantLoss     *float64    `json:"want_loss"`
			WantGradient [][]float64 `json:"want_gradient"`
		}
		require.NoError(t, json.Unmarshal(scan.Bytes(), &c))
		t.Run(c.Case, func(t *testing.T) {
			tokens := make([][]int, len(c.Now))
			for i := range c.Now {
				tokens[i] = []int{len(c.Now[i])}
			}
			weights, err := c.Reduce.Weights(tokens, c.Length)
			require.NoError(t, err)
			var loss float64
			for i := range c.Now {
				x := Logs{Now: c.Now[i], Old: c.Old[i], Reference: c.Reference[i], Advantages: make([]float64, len(c.Now[i]))}
				if c.Behaviour != nil {
					x.Behaviour = c.Behaviour[i]
				}
				for at := range x.Advantages {
					x.Advantages[at] = c.Advantages[i]
				}
				coefficients, m, err := c.Coefficients(x)
				require.NoError(t, err)
				loss += m.Loss * weights[i][0]
				for at, k := range coefficients {
					require.InDelta(t, c.WantGradient[i][at], -k*weights[i][0], 1e-12, "rollout %d, token %d", i, at)
				}
			}
			if c.WantLoss != nil {
				assert.InDelta(t, *c.WantLoss, loss, 1e-12)
			}
		})
	}
	require.NoError(t, scan.Err())
	require.Equal(t, 12, lines)
}
