package rewards

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestInferred: the type that a rule is said to give.
func TestInferred(t *testing.T) {
	for expr, want := range map[string]string{
		`model_calls`:                          "int",
		`output contains "x"`:                  "bool",
		`duration`:                             "float or nil",
		`duration / 2`:                         "float",
		`model_calls / 2`:                      "float",
		`feedback("solved")`:                   "any value",
		`evaluation("tone")?.score`:            "float or nil",
		`evaluation("tone").label == "x"`:      "bool",
		`json(output).total`:                   "any value",
		`f1(output, "x")`:                      "float",
		`count(tools, .error != "")`:           "int",
		`output == "" ? 1 : 0.5`:               "any value",
		`let n = len(messages); n > 1 ? 1 : 0`: "int",
	} {
		r := parse(t, "rewards:\n  - name: x\n    expr: |-\n      "+expr+"\n").Rules()[0]
		assert.Equal(t, want, r.Gives, expr)
	}
}
