package rewards

import (
	"testing"
)

// BenchmarkScore evaluates five typical rules on a trajectory of eight steps.
func BenchmarkScore(b *testing.B) {
	e := parse(b, `
rewards:
  - {name: solved, expr: 'feedback("solved") ?? evaluation("correctness")?.score ?? (output contains "[doc:" ? 1 : 0)'}
  - {name: tool_error, level: step, when: 'kind == "tool"', expr: 'error == "" ? 0 : -1', missing: skip}
  - {name: repeated, level: step, when: 'kind == "tool"', expr: 'repeated ? -1 : 0', missing: skip}
  - {name: failures, expr: 'count(tools, .error != "") / tool_calls', missing: skip}
  - {name: cheap, expr: '1 - min(output_tokens / 1000, 1)', missing: skip}
`)
	tr := completeTrajectory()
	tr.Steps = append(tr.Steps, tr.Steps[:3]...)
	for i := range tr.Steps {
		tr.Steps[i].Index = i
	}
	b.ReportAllocs()
	for b.Loop() {
		_ = e.Score(tr, nil, now)
	}
}

// BenchmarkParse loads the same kind of file.
func BenchmarkParse(b *testing.B) {
	src := []byte("rewards:\n  - {name: a, expr: 'count(tools, .error != \"\") / tool_calls'}\n")
	for b.Loop() {
		if _, err := Parse("rewards.yaml", src); err != nil {
			b.Fatal(err)
		}
	}
}
