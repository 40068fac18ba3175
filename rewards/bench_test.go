package rewards

import (
	"strings"
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

// BenchmarkLargest runs functions of the library on the largest text that
// maxWork admits: none should take 10 ms.
func BenchmarkLargest(b *testing.B) {
	for name, c := range map[string]struct {
		expr string
		size int
	}{
		"similarity": {`similarity(output, upper(output))`, 1400},
		"rougeL":     {`rougeL(output, output)`, 2800},
		"f1":         {`f1(output, output)`, maxWork/perByte/2 - 1},
		"sameText":   {`sameText(output, "")`, maxWork/perByte - 1},
		"lastNumber": {`lastNumber(output)`, maxWork/perMatch - 1},
		"validJSON":  {`validJSON(output, '{"type":"array","items":{"type":"integer","minimum":1}}')`, maxWork/perJSON - 1},
		"supported":  {`supported(output, "([0-9]+)", tools)`, 20_000},
		"pattern":    {`supported(output, "((1 a ?){1,30}){1,30}b", tools)`, 80},
		"branches":   {`validJSON(output, '{"type":"array","items":{"anyOf":[{"type":"string"},{"minimum":5},{"maximum":0},{"type":"null"}]}}')`, maxWork/perJSON/5 - 1},
		"coverage":   {`coverage(split(output, " "), ["a"])`, 70_000},
	} {
		b.Run(name, func(b *testing.B) {
			e, err := Parse("rewards.yaml", []byte("rewards:\n  - name: x\n    expr: |-\n      "+c.expr+"\n"))
			if err != nil {
				b.Fatal(err)
			}
			tr := completeTrajectory()
			tr.Output = strings.Repeat("é", 7) + strings.Repeat(" 1 a", c.size/4-7)
			if strings.HasPrefix(c.expr, "validJSON") {
				tr.Output = "[" + strings.Repeat("1, ", c.size/3-2) + "1]"
			}
			for b.Loop() {
				if r := e.Score(tr, nil, now); r[0].Reason == ReasonLimit {
					b.Fatal(r[0].Explanation)
				}
			}
		})
	}
}
