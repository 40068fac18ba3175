package rewards

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// scoreOne is what one expression gives.
func scoreOne(t *testing.T, expr string, tr *trajectory.Trajectory) trajectory.Reward {
	t.Helper()
	e, err := Parse("rewards.yaml", []byte("rewards:\n  - name: x\n    missing: skip\n    expr: |-\n      "+expr+"\n"))
	require.NoError(t, err, expr)
	got := e.Score(tr, nil, now)
	require.Len(t, got, 1)
	return got[0]
}

// TestLibrary runs the example of every function.
func TestLibrary(t *testing.T) {
	want := map[string]float64{
		"feedback": 1, "evaluation": 0, "sameText": 0, "f1": 1. / 3, "rougeL": 6. / 7, "editDistance": 0, "similarity": 0.6, "overlap": 1. / 3, "coverage": 0.5,
		"near": 1, "mathEqual": 0, "lastNumber": 1, "validJSON": 0, "repeatedCalls": -1, "redundantCalls": -1, "failedCalls": -1, "deadEnds": -1,
		"supported": 0, "linear": 0, "decay": 0.25, "clip": 0, "overlong": 0, "before": 1,
	}
	for _, g := range library {
		for _, f := range g.list {
			tr := completeTrajectory()
			got := scoreOne(t, f.example, tr)
			switch v, ok := want[f.name]; {
			case ok:
				require.NotNil(t, got.Value, "%s: %s", f.example, got.Explanation)
				assert.InDelta(t, v, *got.Value, 1e-9, f.example)
			case got.Value == nil:
				assert.Contains(t, []string{"json", "number", "jsonPath"}, f.name, "%s: %s %s", f.example, got.Reason, got.Explanation)
			}
		}
	}
}

func TestLibraryValues(t *testing.T) {
	tr := completeTrajectory()
	result := `{"temp_c": -4, "doc": "HB-12", "items": [{"price": 2.5}]}`
	tr.Steps[1].Tool.Result = &result
	for expr, want := range map[string]float64{
		`supported(output, "\\[([A-Z]+-[0-9]+)\\]", tools)`:                                  1,
		`supported(output, "\\[([A-Z]+-[0-9]+)\\]", filter(tools, .error != ""))`:            0,
		`jsonPath(first(tools).result, "$.items[0].price")`:                                  2.5,
		`jsonPath(first(tools).result, "items[0].none") ?? -1`:                               -1,
		`inOrder(tools, ["get_weather", "search"])`:                                          1,
		`inOrder(filter(tools, .error == ""), ["get_weather", "search"])`:                    0,
		`exactly(tools, map(tools, .name))`:                                                  1,
		`toolRecall(tools, ["get_weather", "pay"])`:                                          0.5,
		`toolPrecision(tools, ["get_weather", "search"])`:                                    2. / 3,
		`recoveredErrors(tools) + deadEnds(tools)`:                                           1,
		`validJSON(first(tools).arguments, '{"type":"object","required":["city"]}')`:         1,
		`overlap(map(tools, .name), ["search", "get_weather"])`:                              1,
		`number("1,200") + lastNumber("a 3 b") + (mathEqual("\\frac{1}{2}", "0.5") ? 1 : 0)`: 1204,
	} {
		got := scoreOne(t, expr, tr)
		require.NotNil(t, got.Value, "%s: %s %s", expr, got.Reason, got.Explanation)
		assert.InDelta(t, want, *got.Value, 1e-9, expr)
	}
}

// TestLibraryNulls: what cannot be computed is null with its reason.
func TestLibraryNulls(t *testing.T) {
	tr := completeTrajectory()
	for expr, want := range map[string]string{
		`number(output)`:     ReasonMissing,
		`lastNumber("none")`: ReasonMissing,
		`supported("no citation", "\\[([A-Z]+)\\]", tools)`:   ReasonMissing,
		`jsonPath(output, "a")`:                               ReasonError,
		`decay(duration, 0)`:                                  ReasonNaN,
		`inOrder(tools, [1, 2]) ? 1 : 0`:                      ReasonError,
		`coverage(agents, [status == "ok"])`:                  ReasonError,
		`near("1", 2, 0.1)`:                                   ReasonError,
		`redundantCalls(map(tools, .name))`:                   ReasonError,
		`near(true, 2, 0.1)`:                                  ReasonError,
		`f1(find(tools, .name == "none").result ?? "", "x")`:  ReasonMissing,
		`validJSON(find(tools, .error != "").result, "true")`: "",
	} {
		got := scoreOne(t, expr, tr)
		assert.Equal(t, want, got.Reason, "%s: %s", expr, got.Explanation)
	}
}

// TestWork: what would read too much is null, and the next rule is not.
func TestWork(t *testing.T) {
	tr := completeTrajectory()
	tr.Output = strings.Repeat("long text ", 100_000)
	src := "rewards:\n"
	for i, f := range []string{
		`similarity(output, output)`, `rougeL(output, output)`, `f1(output, output)`, `editDistance(output, "a")`, `sameText(output, "")`, `lastNumber(output)`,
		`mathEqual(output, "1")`, `validJSON(output, "true")`, `supported(output, "x", tools)`, `coverage(split(output, " "), ["a"])`, `similarity("same", "same")`,
	} {
		src += fmt.Sprintf("  - {name: r%d, missing: skip, expr: '%s'}\n", i, f)
	}
	e, err := Parse("rewards.yaml", []byte(src))
	require.NoError(t, err)
	got := e.Score(tr, nil, now)
	for i, r := range got[:len(got)-1] {
		assert.Equal(t, ReasonLimit, r.Reason, "%s %v", e.Rules()[i].Expr, r.Value)
	}
	assert.Equal(t, 1.0, *got[len(got)-1].Value)
}

func TestLibraryMistakes(t *testing.T) {
	for expr, want := range map[string]string{
		`f1(output)`:                                       "f1 takes 2 arguments; write f1(text, expected)",
		`validJSON(output, "{")`:                           "the schema of validJSON: the schema is not JSON",
		`validJSON(output, input)`:                         "the schema must be a constant text; write it out, between quotes",
		`jsonPath(output, "$..x")`:                         "a path names fields and positions only",
		`supported(output, "(", tools)`:                    "the pattern of supported: error parsing regexp",
		`any(tools, f1(output, .result) > 0.5)`:            "f1 would search the same text again for every element",
		`any(tools, {any(tools, inOrder(tools, [name]))})`: "inOrder",
		`redundantCalls(messages)`:                         "cannot use",
		`rogueL(output, "a")`:                              "did you mean rougeL?",
	} {
		_, err := Parse("rewards.yaml", []byte("rewards:\n  - name: x\n    expr: |-\n      "+expr+"\n"))
		assert.ErrorContains(t, err, want, expr)
	}
}
