package rewards

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFragments: whatever rules can see can be written down in an example.
func TestFragments(t *testing.T) {
	e := parse(t, `
rewards:
  - name: all
    expr: >-
      input == "in" && output == "out" && status == "error" && error == "lost" && task_key == "k" && agents == ["one", "two"]
      && service == "shop" && close_reason == "idle" && model_calls == 2 && tool_calls == 1 && input_tokens == 7
      && output_tokens == 5 && near(duration, 1.5, 1e-6) && attributes["a"].b == 1 && len(steps) == 3
      && first(tools).args.q == "x" && first(tools).result == "[1,2]" && steps[0].text == "hi" && len(messages) == 3
      && messages[1].tool_calls[0].name == "find"
  - name: each
    level: step
    expr: 'index + (feedback("thumb") ?? 0)'
examples:
  - name: a whole one
    trajectory:
      input: in
      output: out
      error: lost
      task_key: k
      service: shop
      close_reason: idle
      duration: 1.5
      attributes: {a: {b: 1}}
      steps:
        - {model: m, agent: one, text: hi, input_tokens: 3, output_tokens: 2}
        - {name: find, agent: two, arguments: '{"q": "x"}', result: [1, 2], error: late, duration: 0.5, attributes: {n: 1}}
        - {model: m, agent: one, thread: 1, finish_reason: stop, input_tokens: 4, output_tokens: 3}
      messages:
        - {role: user, text: in}
        - {role: assistant, text: hi, tool_calls: [{id: c, name: find, arguments: {q: x}}]}
        - {role: tool, tool_call_id: c, text: "12"}
    facts:
      - {feedback: thumb, value: 10, step: 1}
    expect: {all: true, each: [0, 11, 2]}
    return: 14
`)
	require.Len(t, e.Examples(), 1)
	for _, o := range e.Test() {
		assert.Empty(t, o.Misses)
	}
	assert.Empty(t, e.Unexpected())
}

// TestMisses: what an example expects in vain is said.
func TestMisses(t *testing.T) {
	e := parse(t, `
rewards:
  - {name: known, expr: '1 / 3', weight: 3}
  - {name: unknown, expr: 'feedback("x")', missing: skip}
  - {name: steps, level: step, expr: 'index'}
  - {name: nobody, expr: '0'}
examples:
  - name: all wrong
    trajectory: {steps: [{name: a}, {name: b}]}
    expect: {known: 0.3333, unknown: 0, steps: [0]}
    return: masked
  - name: all right
    trajectory: {steps: [{name: a}, {name: b}]}
    expect: {known: 0.3333333333333, unknown: missing, steps: [0, 1]}
    return: 2
`)
	got := e.Test()
	require.Len(t, got, 2)
	var said []string
	for _, m := range got[0].Misses {
		said = append(said, fmt.Sprintf("%d:%d %s: %s, %s", m.Line, m.Column, m.What, m.Want, m.Got))
	}
	assert.Equal(t, []string{
		"10:21 known: 0.3333, 0.3333333333333333",
		"10:38 unknown: 0, missing (the expression gave nil)",
		"10:48 steps: [0], [0 1]",
		"11:13 return: masked, 2",
	}, said)
	assert.Empty(t, got[1].Misses)
	assert.Equal(t, []string{"nobody"}, e.Unexpected())
}
