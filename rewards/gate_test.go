package rewards_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/rewards"
)

// A gate that is shut leaves its rule out: it is no zero, no null that masks,
// and no number that stands for a missing value.
func TestGates(t *testing.T) {
	open, shut := &trajectory.Trajectory{Status: "ok"}, &trajectory.Trajectory{Status: "error"}
	for _, missing := range []string{"mask", "skip", "7"} {
		both := parse(t, gate+"    missing: "+missing+"\n  - {name: always, expr: '0.5'}\n")
		value, masked := both.Return(both.Score(open, nil, 1))
		require.False(t, masked, missing)
		require.InDelta(t, 2.5, *value, 0, missing)
		list := both.Score(shut, nil, 1)
		require.Len(t, list, 2, "a rule that was looked at has a row")
		require.Nil(t, list[0].Value, missing)
		require.Equal(t, rewards.ReasonNotChosen, list[0].Reason, missing)
		require.False(t, both.Masks(list[0]), missing)
		value, masked = both.Return(list)
		require.False(t, masked, missing)
		require.InDelta(t, 0.5, *value, 0, missing)
	}
	alone := parse(t, gate)
	value, masked := alone.Return(alone.Score(shut, nil, 1))
	require.False(t, masked)
	require.Nil(t, value, "what no rule is about has no return")
	_, masked = alone.Return(nil)
	require.True(t, masked, "what was never scored is no shut gate")
}

const gate = `rewards:
  - name: quick
    when: 'status == "ok"'
    expr: '2'
`

func parse(t *testing.T, src string) *rewards.Engine {
	t.Helper()
	e, err := rewards.Parse("rewards.yaml", []byte(src))
	require.NoError(t, err)
	return e
}
