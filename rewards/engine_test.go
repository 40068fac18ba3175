package rewards

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

func parse(t testing.TB, rules string) *Engine {
	e, err := Parse("rewards.yaml", []byte(rules))
	require.NoError(t, err)
	return e
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rewards.yaml")
	_, err := Load(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, path)

	src := []byte("rewards:\n  - {name: a, expr: model_calls}\n")
	require.NoError(t, os.WriteFile(path, src, 0o644))
	loaded, err := Load(path)
	require.NoError(t, err)
	assert.Equal(t, parse(t, string(src)).Hash(), loaded.Hash(), "the name of the file is no part of the hash")
	assert.Len(t, loaded.Hash(), 64)

	require.NoError(t, os.WriteFile(path, make([]byte, MaxFileBytes+1), 0o644))
	_, err = Load(path)
	require.ErrorContains(t, err, "more than 262144 bytes")
}

func TestCaps(t *testing.T) {
	many := "rewards:\n" + strings.Repeat("  - {name: a, expr: model_calls}\n", MaxRules+1)
	_, err := Parse("r", []byte(many))
	require.ErrorContains(t, err, "has 65 rules, at most 64 are allowed")

	_, err = Parse("r", []byte("rewards:\n  - {name: a, expr: '"+strings.Repeat("1 + ", MaxExprBytes/4)+"1'}\n"))
	require.ErrorContains(t, err, "more than 4096 bytes")

	_, err = Parse("r", []byte("rewards:\n  - {name: a, expr: '"+strings.Repeat("1+", MaxNodes)+"1'}\n"))
	require.ErrorContains(t, err, "exceeds maximum allowed nodes")

	_, err = Parse("r", []byte("rewards:\n  - {name: a, expr: '"+strings.Repeat("(", MaxExprBytes)+"'}\n"))
	require.Error(t, err)
}

func TestDefaults(t *testing.T) {
	rules := parse(t, `
rewards:
  - {name: a, expr: " model_calls "}
  - {name: b, expr: model_calls, weight: 0}
  - {name: c, expr: model_calls, weight: 0, missing: mask}
  - {name: d, expr: model_calls, missing: -1.5}
  - {name: e, level: step, when: 'feedback("x") != nil', expr: "1"}
`).Rules()
	for i := range rules {
		assert.Len(t, rules[i].Hash, 16)
		assert.Equal(t, "int", rules[i].Gives)
		rules[i].Hash, rules[i].Gives = "", ""
	}
	assert.Equal(t, []Rule{
		{Name: "a", Level: LevelTrajectory, Expr: "model_calls", Weight: 1, Missing: MissingMask},
		{Name: "b", Level: LevelTrajectory, Expr: "model_calls", Weight: 0, Missing: MissingSkip},
		{Name: "c", Level: LevelTrajectory, Expr: "model_calls", Weight: 0, Missing: MissingMask},
		{Name: "d", Level: LevelTrajectory, Expr: "model_calls", Weight: 1, Missing: MissingNumber, Substitute: -1.5},
		{Name: "e", Level: LevelStep, Expr: "1", When: `feedback("x") != nil`, Weight: 1, Missing: MissingMask, Provisional: true},
	}, rules)
}

// TestRuleHash holds which changes make stored values old.
func TestRuleHash(t *testing.T) {
	hash := func(rule string) string { return parse(t, "rewards:\n  - {"+rule+"}\n").Rules()[0].Hash }
	base := hash("name: a, expr: model_calls")
	for _, same := range []string{
		"name: a, expr: 'model_calls'", "name: a, expr: ' model_calls '", "name: a, level: trajectory, expr: model_calls",
		"name: a, expr: model_calls, weight: 2", "name: a, expr: model_calls, missing: skip",
	} {
		assert.Equal(t, base, hash(same), same)
	}
	seen := map[string]string{base: "the base"}
	for _, other := range []string{
		"name: b, expr: model_calls", "name: a, expr: tool_calls", "name: a, expr: model_calls, missing: 0",
		"name: a, expr: model_calls, missing: 1", "name: a, level: step, expr: model_calls",
		"name: a, level: step, expr: model_calls, when: 'true'", "name: a, level: step, expr: 'true', when: 'model_calls > 0'",
	} {
		assert.NotContains(t, seen, hash(other), other)
		seen[hash(other)] = other
	}
}

// TestLongTrajectory holds that a list beyond the cap makes rules that read it
// null, and no others.
func TestLongTrajectory(t *testing.T) {
	e := parse(t, `
rewards:
  - {name: lists, expr: len(steps), missing: skip}
  - {name: tools, expr: 'count(tools, true)', missing: 5}
  - {name: plain, expr: model_calls}
  - {name: each, level: step, expr: index}
  - {name: each_list, level: step, when: index == 0, expr: len(steps), missing: skip}
`)
	for _, n := range []int{MaxListed, MaxListed + 1} {
		tr := &trajectory.Trajectory{ModelCalls: n}
		for i := range n {
			tr.Steps = append(tr.Steps, trajectory.Step{Index: i, Kind: trajectory.KindTool, Tool: &trajectory.ToolRun{Name: "a"}})
		}
		got := e.Score(tr, nil, now)
		assert.Equal(t, float64(n), *got[2].Value)
		assert.Equal(t, float64(n-1), *got[2+n].Value, "rules that read no list see every step")
		if n <= MaxListed {
			assert.Equal(t, float64(n), *got[0].Value)
			assert.Len(t, got, 3+n+1)
			continue
		}
		assert.Nil(t, got[0].Value)
		assert.Equal(t, ReasonLimit, got[0].Reason)
		assert.Equal(t, "the trajectory has 1001 steps, rules can look through 1000", got[0].Explanation)
		assert.Equal(t, 5.0, *got[1].Value)
		assert.Equal(t, ReasonSubstituted, got[1].Reason)
		assert.Len(t, got, 3+n+n)
	}
}

// TestScoreIsPure holds that pooled state leaks nothing from one trajectory
// into the next, from many goroutines at once.
func TestScoreIsPure(t *testing.T) {
	type scored struct {
		tr   *trajectory.Trajectory
		want []trajectory.Reward
	}
	src, err := os.ReadFile("testdata/score/values.txtar")
	require.NoError(t, err)
	ar := txtar.Parse(src)
	e := parse(t, string(section(t, ar, "rewards.yaml")))
	full, _ := readCase(t, ar)
	var all []scored
	for i, tr := range []*trajectory.Trajectory{full, {}, completeTrajectory(), {Output: "It snows.", Messages: full.Messages[:1]}} {
		fresh := parse(t, string(section(t, ar, "rewards.yaml")))
		all = append(all, scored{tr, fresh.Score(tr, nil, int64(i))})
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 50 {
				k := (g + i*(g+1)) % len(all)
				assert.Equal(t, all[k].want, e.Score(all[k].tr, nil, int64(k)))
			}
		}()
	}
	wg.Wait()
}

// TestReturnIsLinear holds the algebra: scaling a weight scales the return,
// and the order of rewards decides nothing.
func TestReturnIsLinear(t *testing.T) {
	value := func(v float64) *float64 { return &v }
	rewards := []trajectory.Reward{
		{Step: -1, Name: "a", Value: value(0.25)}, {Step: 0, Name: "b", Value: value(-1)},
		{Step: 3, Name: "b", Value: value(0.5)}, {Step: -1, Name: "unknown", Value: value(100)},
	}
	for _, w := range []float64{-2, 0.5, 1, 4} {
		e := parse(t, fmt.Sprintf("rewards:\n  - {name: a, expr: '1', weight: %g}\n  - {name: b, level: step, expr: '1', weight: %g}\n", w, 2*w))
		got, masked := e.Return(rewards)
		assert.False(t, masked)
		assert.InDelta(t, w*0.25+2*w*-0.5, *got, 1e-12)
		reversed, _ := e.Return([]trajectory.Reward{rewards[3], rewards[2], rewards[1], rewards[0]})
		assert.Equal(t, *got, *reversed)
	}
	e := parse(t, "rewards:\n  - {name: a, expr: '1', weight: 1e308}\n")
	got, masked := e.Return([]trajectory.Reward{{Step: -1, Name: "a", Value: value(1e308)}})
	assert.Nil(t, got, "an infinite sum is no return")
	assert.False(t, masked)
	assert.True(t, parse(t, "rewards:\n  - {name: a, expr: '1'}\n").Masks(trajectory.Reward{Name: "a"}))
	assert.False(t, e.Masks(rewards[0]))
}
