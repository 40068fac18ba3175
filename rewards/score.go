package rewards

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// Source is Reward.Source of everything the engine computes.
const Source = "expr"

// The reasons of a null (Reward.Reason); Reward.Explanation has the details.
const (
	ReasonMissing     = "missing"     // the rule used a value that is not known
	ReasonError       = "error"       // the rule failed, or gave something that is no number
	ReasonNaN         = "nan"         // the value is not a number
	ReasonInf         = "inf"         // the value is infinite
	ReasonLimit       = "limit"       // the rule reads a list that is longer than MaxListed
	ReasonNotChosen   = "not_chosen"  // `when` is false: the rule is not about this trajectory or step, and its null masks nothing
	ReasonSubstituted = "substituted" // not null: the rule's number stands for a missing value
)

// Score evaluates every rule on t, in the order of the file: one reward per
// rule with level trajectory (Step -1; null and not chosen where `when` is
// false), one per step for which `when` is true for rules with level step. facts are those known about t by whatever way
// they were joined; the evaluations inside t count as well. now is the time of
// evaluation in µs since the Unix epoch.
//
// A value that cannot be computed is nil and has a Reason. The caller owns the
// result; nothing in it refers to t, which is only read.
func (e *Engine) Score(t *trajectory.Trajectory, facts []trajectory.Fact, now int64) []trajectory.Reward {
	s := e.pool.Get().(*state)
	defer func() {
		s.reset()
		e.pool.Put(s)
	}()
	s.load(t, facts, e.uses, e.readsSteps())
	for _, r := range e.rules {
		if r.Level == LevelTrajectory {
			s.score(r, t, now)
		} else {
			s.scoreSteps(r, t, now)
		}
	}
	return s.take()
}

func (e *Engine) readsSteps() bool {
	if e.uses&usesSteps != 0 {
		return true
	}
	for _, r := range e.rules {
		if r.Level == LevelStep {
			return true
		}
	}
	return false
}

func (s *state) score(r *rule, t *trajectory.Trajectory, now int64) {
	s.current, s.worked = wholeTrajectory, 0
	v, chosen := tooLong(r, t), true
	if v.reason == "" && r.when != nil {
		v, chosen = s.condition(r.when, &s.top)
	}
	switch {
	case !chosen:
		// The row says that the rule was looked at: without it the trajectory
		// would count as one that was never scored.
		v = result{reason: ReasonNotChosen}
	case v.reason == "":
		v = s.number(r.value, &s.top)
	}
	s.append(r, wholeTrajectory, v, now)
}

func (s *state) scoreSteps(r *rule, t *trajectory.Trajectory, now int64) {
	long := tooLong(r, t)
	s.worked = 0
	for i := range s.step {
		s.at.step, s.at.Step, s.at.Previous, s.at.Next = &s.step[i], &s.step[i], nil, nil
		s.current = i
		if i > 0 {
			s.at.Previous = &s.step[i-1]
		}
		if i+1 < len(s.step) {
			s.at.Next = &s.step[i+1]
		}
		if long.reason != "" {
			s.append(r, s.step[i].Index, long, now)
			continue
		}
		v, chosen := result{}, true
		if r.when != nil {
			v, chosen = s.condition(r.when, &s.at)
		}
		if !chosen {
			continue
		}
		if v.reason == "" {
			v = s.number(r.value, &s.at)
		}
		s.append(r, s.step[i].Index, v, now)
	}
}

// tooLong gives the null of a rule that reads a list beyond the cap.
func tooLong(r *rule, t *trajectory.Trajectory) result {
	what, n := "steps", 0
	if r.uses&usesSteps != 0 {
		n = len(t.Steps)
	}
	if r.uses&usesMessages != 0 && len(t.Messages) > n {
		what, n = "messages", len(t.Messages)
	}
	if n <= MaxListed {
		return result{}
	}
	return result{reason: ReasonLimit, explanation: fmt.Sprintf("the trajectory has %d %s, rules can look through %d", n, what, MaxListed)}
}

// result is a value, or why there is none.
type result struct {
	value       float64
	reason      string
	explanation string
}

// number runs a program and makes its value a number.
func (s *state) number(p *vm.Program, env any) result {
	out, err := s.vm.Run(p, env)
	if err != nil {
		return failed(err)
	}
	v, ok := toFloat(out)
	switch {
	case out == nil || isNilPointer(out):
		return result{reason: ReasonMissing, explanation: "the expression gave nil"}
	case !ok:
		return result{reason: ReasonError, explanation: fmt.Sprintf("the expression gave %s, not a number", typeName(fmt.Sprintf("%T", out)))}
	case math.IsNaN(v):
		return result{reason: ReasonNaN, explanation: "the expression gave NaN"}
	case math.IsInf(v, 0):
		return result{reason: ReasonInf, explanation: "the expression gave an infinite number: it may divide by zero"}
	}
	return result{value: v}
}

// condition runs `when`. What it cannot decide is a null, not a no.
func (s *state) condition(p *vm.Program, env any) (v result, chosen bool) {
	out, err := s.vm.Run(p, env)
	if err != nil {
		v = failed(err)
	} else if yes, ok := out.(bool); ok {
		return result{}, yes
	} else if p, ok := out.(*bool); ok && p != nil {
		return result{}, *p
	} else {
		v = result{reason: ReasonMissing, explanation: "gave nil"}
		if out != nil && !isNilPointer(out) {
			v = result{reason: ReasonError, explanation: fmt.Sprintf("gave %s, not true or false", typeName(fmt.Sprintf("%T", out)))}
		}
	}
	v.explanation = "when: " + v.explanation
	return v, true
}

// maxExplanation caps the text of an error in the dataset.
const maxExplanation = 300

func failed(err error) result {
	var missing *missingError
	if errors.As(err, &missing) {
		return result{reason: ReasonMissing, explanation: clip(missing.Error())}
	}
	var work *workError
	if errors.As(err, &work) {
		return result{reason: ReasonLimit, explanation: clip(work.Error())}
	}
	reason, text := ReasonError, err.Error()
	var at *file.Error
	if errors.As(err, &at) {
		text = typeName(at.Message)
		if strings.HasPrefix(text, "cannot get ") || strings.HasPrefix(text, "cannot fetch ") {
			if strings.HasSuffix(text, " from nil") {
				reason = ReasonMissing
			}
		}
		text = fmt.Sprintf("%s (line %d, column %d of the expression)", text, at.Line, at.Column+1)
	}
	return result{reason: reason, explanation: clip(text)}
}

func clip(s string) string {
	if len(s) <= maxExplanation {
		return s
	}
	return strings.ToValidUTF8(s[:maxExplanation], "") + "…"
}

func isNilPointer(v any) bool {
	switch v := v.(type) {
	case *float64:
		return v == nil
	case *int64:
		return v == nil
	case *bool:
		return v == nil
	case *string:
		return v == nil
	case *step:
		return v == nil
	case *evaluation:
		return v == nil
	}
	return false
}

func toFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case *float64:
		if v != nil {
			return *v, true
		}
	case *int64:
		if v != nil {
			return float64(*v), true
		}
	case *bool:
		if v != nil {
			return toFloat(*v)
		}
	}
	return 0, false
}

// append adds the reward of a rule; values are set by take.
func (s *state) append(r *rule, at int, v result, now int64) {
	v = r.shape(v)
	if v.reason != "" && v.reason != ReasonNotChosen && r.Missing == MissingNumber {
		v = result{
			value: r.Substitute, reason: ReasonSubstituted,
			explanation: fmt.Sprintf("%s: %s", v.reason, v.explanation),
		}
	}
	reward := trajectory.Reward{
		Step: at, Name: r.Name, Reason: v.reason, Explanation: v.explanation,
		Source: Source, RuleHash: r.Hash, Provisional: r.Provisional, EvaluatedAt: now,
	}
	s.out = append(s.out, reward)
	s.values = append(s.values, v.value)
}

// take moves the rewards out of the pooled state: two allocations.
func (s *state) take() []trajectory.Reward {
	out := make([]trajectory.Reward, len(s.out))
	copy(out, s.out)
	values := make([]float64, len(out))
	copy(values, s.values)
	for i := range out {
		if out[i].Reason == "" || out[i].Reason == ReasonSubstituted {
			out[i].Value = &values[i]
		}
	}
	return out
}
