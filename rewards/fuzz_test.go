package rewards

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// FuzzRules holds that no file makes Parse or Score panic, and that every
// value is a finite number or null with a reason.
func FuzzRules(f *testing.F) {
	for _, pattern := range []string{"testdata/score/*.txtar", "testdata/error/*.txtar"} {
		paths, _ := filepath.Glob(pattern)
		for _, p := range paths {
			ar, err := txtar.ParseFile(p)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(ar.Files[0].Data)
		}
	}
	src, err := os.ReadFile("../examples/quickstart/rewards.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(src)
	whole, empty := completeTrajectory(), &trajectory.Trajectory{Steps: make([]trajectory.Step, 2)}
	f.Fuzz(func(t *testing.T, src []byte) {
		e, err := Parse("rewards.yaml", src)
		if err != nil {
			if err.Error() == "" || e != nil {
				t.Fatal("an error must say what is wrong, and give no engine")
			}
			return
		}
		for _, tr := range []*trajectory.Trajectory{whole, empty} {
			got := e.Score(tr, nil, now)
			for _, r := range got {
				known := r.Value != nil && !math.IsNaN(*r.Value) && !math.IsInf(*r.Value, 0)
				if known == (r.Reason != "" && r.Reason != ReasonSubstituted) {
					t.Fatalf("value %v with reason %q", r.Value, r.Reason)
				}
			}
			e.Return(got)
		}
	})
}

// FuzzExpr does the same for one expression, at both levels.
func FuzzExpr(f *testing.F) {
	for _, s := range []string{
		`feedback("solved") ?? evaluation("c")?.score ?? (output contains "[doc:" ? 1 : 0)`,
		`count(tools, {let t = #; any(tools, .index < t.index)})`, `json(first(tools).result).temp_c`,
		`previous?.name == name && !repeated`, `let x = [duration, 1]; max(x)`, `{"a": status}["a"] in ["ok"]`,
		`steps[-1].args.city[0:1] == "O"`, `if model_calls > 1 { 1 } else { 0 }`, `tools | filter(.error != "") | len()`,
	} {
		f.Add(s)
	}
	whole := completeTrajectory()
	f.Fuzz(func(t *testing.T, src string) {
		for _, level := range []Level{LevelTrajectory, LevelStep} {
			if len(src) > MaxExprBytes {
				return
			}
			program, used, _, m := compileExpr(src, level, wantNumber)
			if m != nil {
				if len(m.Message) > 15 && m.Message[:15] == "internal error:" {
					t.Fatal(m.Message)
				}
				continue
			}
			e := &Engine{uses: used, rules: []*rule{{Rule: Rule{Name: "a", Level: level}, value: program, uses: used}}}
			e.pool.New = func() any { return new(state) }
			e.Score(whole, nil, now)
		}
	})
}
