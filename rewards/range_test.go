package rewards_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/rewards"
)

func TestRanges(t *testing.T) {
	for _, c := range []struct {
		keys string
		want float64
	}{
		{"expr: '30'", 30},
		{"expr: '30', scale: [60, 5]", 30.0 / 55},
		{"expr: '90', scale: [60, 5]", -30.0 / 55},
		{"expr: '90', scale: [60, 5], clip: [0, 1]", 0},
		{"expr: '1', scale: [60, 5], clip: [0, 1]", 1},
		{"expr: '3', clip: [-1, 1]", 1},
		{"expr: '-3', clip: [-1, 1]", -1},
		{"expr: 'input_tokens', missing: 9, clip: [0, 1]", 9}, // stands for the value as it is
	} {
		e := parse(t, "rewards:\n  - {name: x, "+c.keys+"}\n")
		got := e.Score(&trajectory.Trajectory{}, nil, 1)
		require.NotNil(t, got[0].Value, c.keys)
		require.InDelta(t, c.want, *got[0].Value, 1e-12, c.keys)
	}
	over := parse(t, "rewards:\n  - {name: x, expr: '1e308', scale: [-1e308, -0.9999999999e308]}\n")
	got := over.Score(&trajectory.Trajectory{}, nil, 1)
	require.Nil(t, got[0].Value)
	require.Equal(t, rewards.ReasonInf, got[0].Reason)
}

func TestRangesAreOfTheHash(t *testing.T) {
	seen := map[string]string{}
	for _, keys := range []string{"", ", clip: [0, 1]", ", scale: [0, 1]", ", clip: [0, 2]", ", scale: [0, 1], clip: [0, 1]", ", scale: [1, 0]"} {
		hash := parse(t, "rewards:\n  - {name: x, expr: '1'"+keys+"}\n").Rules()[0].Hash
		require.Empty(t, seen[hash], keys)
		seen[hash] = "taken by " + keys
	}
}

func TestRangesThatAreNone(t *testing.T) {
	for keys, want := range map[string]string{
		"clip: [1, 0]":           "rewards.yaml:2:32: rewards[0].clip: 1 is more than 0; write the lower number first",
		"clip: [0, .inf]":        `".inf" is not a finite number`,
		"clip: [0]":              "must be a list of two numbers",
		"clip: 1":                "must be a list of two numbers",
		"clip: [0, [1]]":         "is not a finite number",
		"scale: [2, 2]":          "both ends are 2",
		"scale: [-1e308, 1e308]": "is too wide",
		"scale: [a, b]":          `"a" is not a finite number`,
	} {
		_, err := rewards.Parse("rewards.yaml", []byte("rewards:\n  - {name: x, expr: '1', "+keys+"}\n"))
		require.ErrorContains(t, err, want, keys)
	}
}
