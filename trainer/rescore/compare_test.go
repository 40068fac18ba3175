package rescore

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/rewards"
)

// TestCompare: of six attempts at two tasks, by two files.
func TestCompare(t *testing.T) {
	var engines []*rewards.Engine
	for _, src := range []string{
		"rewards:\n  - {name: calls, expr: 'model_calls'}\n  - {name: gone, expr: '1', weight: 0}\n",
		"rewards:\n  - {name: calls, expr: 'model_calls == 2 ? nil : -model_calls'}\n  - {name: solved, expr: 'feedback(\"solved\")', missing: 0}\n",
	} {
		e, err := rewards.Parse("rewards.yaml", []byte(src))
		require.NoError(t, err)
		engines = append(engines, e)
	}
	c := NewComparison(engines[0], engines[1])
	for i, x := range []struct {
		task  string
		calls int
	}{{"one", 1}, {"one", 2}, {"one", 3}, {"two", 4}, {"two", 4}, {"", 9}} {
		good, old := float64(i%2), 7.0
		s := &Scored{Trajectory: &trajectory.Trajectory{ID: string(rune('a' + i)), TaskKey: x.task, ModelCalls: x.calls}}
		if x.task != "two" {
			s.Known = []trajectory.Fact{
				{ID: "1", Name: "solved", Source: "feedback", Value: &good, ObservedAt: 2},
				{ID: "2", Name: "solved", Source: "feedback", Value: &old, ObservedAt: 1},
				{ID: "3", Name: "solved", Source: "evaluation"},
			}
		}
		for _, e := range engines {
			s.Rewards = append(s.Rewards, e.Score(s.Trajectory, s.Known, 1))
		}
		c.Add(s)
	}
	r := c.Report()
	assert.Equal(t, 6, r.Trajectories)
	assert.Equal(t, 6, r.Files[0].Returns.Count)
	assert.Equal(t, 5, r.Files[1].Returns.Count)
	assert.Equal(t, 1, r.Files[1].Masked, "the one with two calls")
	assert.Equal(t, []int{2, 1}, []int{r.Files[0].Groups, r.Files[0].GroupsFlat})
	assert.Equal(t, []int{2, 1}, []int{r.Files[1].Groups, r.Files[1].GroupsFlat})
	assert.False(t, r.Files[0].Feedback)
	assert.True(t, r.Files[1].Feedback)
	assert.Equal(t, []int{0, 1, 1}, []int{r.Groups.Alike, r.Groups.Flipped, r.Groups.Tied})
	require.Len(t, r.Groups.Flips, 1)
	f := r.Groups.Flips[0]
	assert.Equal(t, []any{"one", "a", "c", 2}, []any{f.Task, f.Risen, f.Fallen, f.Members})
	assert.Equal(t, [][2]float64{{1, -1}, {3, -3}}, [][2]float64{f.Rise, f.Fall})

	assert.Equal(t, "calls changed 6 [0 1]", change(r.Rules[0]))
	assert.Equal(t, "gone removed 6 [0 0]", change(r.Rules[1]))
	assert.Equal(t, "solved added 6 [0 0]", change(r.Rules[2]))
	require.Len(t, r.Facts, 1)
	assert.Equal(t, "feedback solved", r.Facts[0].Name)
	assert.Equal(t, 4, r.Facts[0].Count)

	var page bytes.Buffer
	require.NoError(t, WriteHTML(&page, r, [2]string{"a<b>.yaml", "b.yaml"}, time.Unix(0, 0)))
	assert.Contains(t, page.String(), "a&lt;b&gt;.yaml")
	assert.NotContains(t, page.String(), "ZgotmplZ")
}

func change(x RuleChange) string {
	return fmt.Sprint(x.Name, " ", x.Change, " ", x.Differ, " ", x.Nulls)
}
