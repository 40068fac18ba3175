package rewards

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

const specification = "../docs/rewards.md"

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// TestDocs runs every yaml block of the documents: each loads, and no rule
// fails on a trajectory that shows everything.
func TestDocs(t *testing.T) {
	for _, path := range []string{specification, "README.md"} {
		src, err := os.ReadFile(path)
		require.NoError(t, err)
		blocks := yamlBlock.FindAllSubmatch(src, -1)
		require.NotEmpty(t, blocks)
		for i, b := range blocks {
			t.Run(fmt.Sprintf("%s/%d", path, i), func(t *testing.T) { runs(t, b[1]) })
		}
	}
}

// TestQuickstart runs the shipped file with its examples, and the ideas in its comments.
func TestQuickstart(t *testing.T) {
	src, err := os.ReadFile("../examples/quickstart/rewards.yaml")
	require.NoError(t, err)
	got := runs(t, src)
	require.Len(t, got, 7)
	assert.Equal(t, 1.0, *got[0].Value)
	assert.True(t, got[0].Provisional)
	assert.Equal(t, []float64{0, -1, 0}, values(got[1:4]), "tool_error")
	assert.Equal(t, []float64{0, 0, -1}, values(got[4:7]), "repeated_call")

	_, ideas, _ := strings.Cut(string(src), "moved up:\n")
	ideas, examples, _ := strings.Cut(ideas, "\n\n")
	require.Contains(t, examples, "\nexamples:\n")
	engine, err := Parse("rewards.yaml", src)
	require.NoError(t, err)
	for _, o := range engine.Test() {
		assert.Empty(t, o.Misses, o.Name)
	}
	assert.Empty(t, engine.Unexpected(), "rules without an example")
	ideas = regexp.MustCompile(`(?m)^#`).ReplaceAllString(ideas, "")
	assert.Equal(t, []float64{1, 0.5}, values(runs(t, []byte("rewards:\n"+ideas))))
}

func values(rewards []trajectory.Reward) []float64 {
	var out []float64
	for _, r := range rewards {
		out = append(out, *r.Value)
	}
	return out
}

func runs(t *testing.T, src []byte) []trajectory.Reward {
	e, err := Parse("block", src)
	require.NoError(t, err)
	for _, o := range e.Test() {
		assert.Empty(t, o.Misses, o.Name)
	}
	tr := completeTrajectory()
	got := e.Score(tr, nil, now)
	for _, r := range got {
		assert.NotContains(t, []string{ReasonError, ReasonNaN, ReasonInf}, r.Reason, "%s: %s", r.Name, r.Explanation)
	}
	return got
}

// completeTrajectory shows everything that rules can see.
func completeTrajectory() *trajectory.Trajectory {
	ok := `{"temp_c": -4, "condition": "snow"}`
	in, out, one, half := int64(200), int64(30), 1.0, 0.5
	tool := func(name, failed string) trajectory.Step {
		return trajectory.Step{
			Kind: trajectory.KindTool, AgentName: "triage_agent", SpanID: name, Error: failed, StartedAt: 2e6, EndedAt: 3e6,
			Tool: &trajectory.ToolRun{Name: name, Arguments: `{"city":"Oslo"}`, Result: &ok},
		}
	}
	model := trajectory.Step{
		Kind: trajectory.KindModel, AgentName: "triage_agent", StartedAt: 1e6, EndedAt: 2e6,
		Model: &trajectory.ModelCall{RequestModel: "m", ResponseID: "r1", FinishReason: "stop", InputTokens: &in, OutputTokens: &out, Output: []int32{1}},
	}
	t := &trajectory.Trajectory{
		ID: "t", Input: "Pack for Oslo", Output: "Pack a coat [HB-12].", Status: trajectory.StatusOK, TaskKey: "oslo",
		AgentNames: []string{"triage_agent", "specialist"}, ModelCalls: 2, ToolCalls: 3, InputTokens: &in, OutputTokens: &out,
		StartedAt: 1e6, EndedAt: 61e6,
		Messages: []trajectory.Message{{Role: "user", Text: "Pack for Oslo"}, {Role: "assistant", Text: "Pack a coat [HB-12]."}},
		Steps:    []trajectory.Step{model, tool("get_weather", ""), tool("search", "timed out"), tool("get_weather", ""), model},
		Facts: []trajectory.Fact{
			{ID: "1", Name: "solved", Source: "feedback", Value: &one, TrajectoryID: "t"},
			{ID: "2", Name: "thumb", Source: "feedback", Value: &half, ResponseID: "r1"},
			{ID: "3", Name: "tone", Source: "evaluation", Label: "polite", TrajectoryID: "t"},
		},
	}
	for i := range t.Steps {
		t.Steps[i].Index = i
	}
	return t
}

// TestReference keeps the generated parts of the specification in step with
// the types that rules see and the functions they may call.
func TestReference(t *testing.T) {
	src, err := os.ReadFile(specification)
	require.NoError(t, err)
	got := between(t, string(src), "fields", fieldTables())
	got = between(t, got, "functions", functionTable())
	if *update {
		require.NoError(t, os.WriteFile(specification, []byte(got), 0o644))
		return
	}
	require.Equal(t, string(src), got, "run go test ./rewards -run TestReference -update")
}

func between(t *testing.T, src, what, text string) string {
	begin := regexp.MustCompile(`(?s)(<!-- begin ` + what + `[^>]*-->\n).*?(<!-- end ` + what + ` -->)`)
	require.Regexp(t, begin, src)
	return begin.ReplaceAllString(src, "${1}"+strings.ReplaceAll(text, "$", "$$")+"${2}")
}

func fieldTables() string {
	var b strings.Builder
	for _, v := range []struct {
		title string
		t     reflect.Type
	}{
		{"### level: trajectory", reflect.TypeFor[trajectoryView]()},
		{"### level: step\n\nThe fields of the step itself, and those of every element of `steps` and `tools`:", reflect.TypeFor[step]()},
		{"In a rule with level: step also:", reflect.TypeFor[stepView]()},
		{"### Elements of messages", reflect.TypeFor[message]()},
		{"### Elements of tool_calls", reflect.TypeFor[toolCall]()},
		{"### evaluation(name)", reflect.TypeFor[evaluation]()},
	} {
		fmt.Fprintf(&b, "%s\n\n| name | type | meaning |\n|---|---|---|\n", v.title)
		for i := range v.t.NumField() {
			f := v.t.Field(i)
			name, doc := f.Tag.Get("expr"), f.Tag.Get("doc")
			if name == "" || name == stateName {
				continue
			}
			if f.Type.Kind() == reflect.Pointer && !slices.Contains([]string{"step", "trajectory"}, name) {
				name = "*" + name + "*"
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", name, kindName(f.Type), doc)
		}
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func kindName(t reflect.Type) string {
	if t.Kind() == reflect.Slice {
		return "list of " + kindName(t.Elem())
	}
	if t.Kind() == reflect.Pointer {
		return kindName(t.Elem())
	}
	return typeName(t.String())
}

func functionTable() string {
	var b strings.Builder
	b.WriteString("Of the language: `" + strings.Join(allowed, "`, `") + "`.\n")
	for _, g := range library {
		b.WriteString("\n" + g.title + ":\n\n| function | gives |\n|---|---|\n")
		for _, f := range g.list {
			fmt.Fprintf(&b, "| `%s(%s)` | %s: %s |\n", f.name, f.args, kindName(f.signature[0].Out(0)), strings.ReplaceAll(f.doc, "|", "\\|"))
		}
	}
	return b.String()
}

// TestViewsAreDocumented holds that every field a rule can reach has a name
// and a meaning, and that no method of Go can be called from a rule.
func TestViewsAreDocumented(t *testing.T) {
	all := map[string]reflect.Type{"stepView": reflect.TypeFor[stepView]()}
	for name, v := range views {
		all[name] = v
	}
	for name, v := range all {
		assert.Zero(t, v.NumMethod(), name)
		assert.Zero(t, reflect.PointerTo(v).NumMethod(), name)
		for i := range v.NumField() {
			f := v.Field(i)
			if f.IsExported() && f.Tag.Get("expr") != stateName {
				assert.NotEmpty(t, f.Tag.Get("expr"), "%s.%s", name, f.Name)
				assert.NotEmpty(t, f.Tag.Get("doc"), "%s.%s", name, f.Name)
			}
		}
	}
}
