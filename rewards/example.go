package rewards

import (
	"fmt"
	"math"
	"strconv"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// Example is one of the examples that a rewards file holds beside its rules: a
// trajectory, and what the rules must say of it. Collector and trainer read
// them and run none.
type Example struct {
	Name       string
	Line       int
	Trajectory *trajectory.Trajectory
	Facts      []trajectory.Fact

	expect []expectation
	total  *expectation // of the return; nil = not said
}

// expectation is what an example says of one rule.
type expectation struct {
	rule      string
	line, col int
	want      []verdict
	list      bool // of a rule with level step: one for each step that it chooses
}

// verdict is one expected value, or the reason of an expected null.
type verdict struct {
	value  float64
	reason string
}

// Miss is something that an example expects and that is not so.
type Miss struct {
	Line   int    `json:"line"`
	Column int    `json:"column"`
	What   string `json:"what"` // the rule, or return
	Want   string `json:"want"`
	Got    string `json:"got"`
}

// Outcome is what came of an example.
type Outcome struct {
	Name   string `json:"name"`
	Line   int    `json:"line"`
	Misses []Miss `json:"misses"`
}

// What an example can say of the return that is no number.
const (
	returnMasked = "masked" // a rule with missing: mask is null
	returnNone   = "none"   // nothing could be added
)

// Examples are the file's examples, in its order. They share what they hold.
func (e *Engine) Examples() []Example { return e.examples }

// Test runs the examples of the file.
func (e *Engine) Test() []Outcome {
	var out []Outcome
	for _, x := range e.examples {
		out = append(out, e.test(x))
	}
	return out
}

func (e *Engine) test(x Example) Outcome {
	o := Outcome{Name: x.Name, Line: x.Line, Misses: []Miss{}}
	got := e.Score(x.Trajectory, x.Facts, 0)
	byRule := map[string][]trajectory.Reward{}
	for _, r := range got {
		byRule[r.Name] = append(byRule[r.Name], r)
	}
	miss := func(w *expectation, want, got string) {
		o.Misses = append(o.Misses, Miss{Line: w.line, Column: w.col, What: w.rule, Want: want, Got: got})
	}
	for i := range x.expect {
		w := &x.expect[i]
		if have := byRule[w.rule]; !w.holds(have) {
			miss(w, w.String(), said(have, w.list))
		}
	}
	if x.total == nil {
		return o
	}
	value, masked := e.Return(got)
	have := verdict{}
	switch {
	case masked:
		have.reason = returnMasked
	case value == nil:
		have.reason = returnNone
	default:
		have.value = *value
	}
	if !x.total.want[0].is(have) {
		miss(x.total, x.total.String(), have.String())
	}
	return o
}

// Unexpected are the names of the rules that no example expects anything of.
func (e *Engine) Unexpected() []string {
	seen := map[string]bool{}
	for _, x := range e.examples {
		for _, w := range x.expect {
			seen[w.rule] = true
		}
	}
	var out []string
	for _, r := range e.rules {
		if !seen[r.Name] {
			out = append(out, r.Name)
		}
	}
	return out
}

func (w *expectation) holds(have []trajectory.Reward) bool {
	if len(have) != len(w.want) {
		return false
	}
	for i := range have {
		if !w.want[i].is(wantOf(have[i])) {
			return false
		}
	}
	return true
}

func wantOf(r trajectory.Reward) verdict {
	if r.Value == nil {
		return verdict{reason: r.Reason}
	}
	return verdict{value: *r.Value}
}

// tolerance is how far a value may be from the expected one, which people write
// in decimals: relative, or absolute below 1.
const tolerance = 1e-9

func (w verdict) is(have verdict) bool {
	if w.reason != "" || have.reason != "" {
		return w.reason == have.reason
	}
	return math.Abs(w.value-have.value) <= tolerance*max(1, math.Abs(w.value))
}

func (w verdict) String() string {
	if w.reason == "" {
		return strconv.FormatFloat(w.value, 'g', -1, 64)
	}
	return w.reason
}

func (w *expectation) String() string {
	if !w.list {
		return w.want[0].String()
	}
	return fmt.Sprint(w.want)
}

// said is what a rule gave, with the reasons of nulls.
func said(have []trajectory.Reward, list bool) string {
	texts := make([]string, len(have))
	for i, r := range have {
		texts[i] = wantOf(r).String()
		if r.Reason != "" {
			texts[i] += fmt.Sprintf(" (%s)", r.Explanation)
		}
	}
	if !list && len(texts) == 1 {
		return texts[0]
	}
	return fmt.Sprint(texts)
}
