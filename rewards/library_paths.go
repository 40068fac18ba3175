package rewards

import (
	"fmt"
	"reflect"

	"github.com/tracegrad/tracegrad/rewards/measure"
)

// paths are the measures of what tools were run in which order.
func paths() []function {
	count := func(name, doc string, f func([]measure.Run) int) function {
		return over(name, "tools", doc, "-"+name+"(tools)", func(s *state, args []any) (any, error) {
			runs, err := s.runs(name, args[0])
			return f(runs), err
		}, func(*state, []*step) int { return 0 }, func(*state, []any) int { return 0 })
	}
	yes := func(name, doc, example string, f func([]measure.Run, []string) bool) function {
		return over(name, "tools, names", doc, example, named(name, func(r []measure.Run, n []string) any { return f(r, n) }), stepSignatures(false)...)
	}
	share := func(name, doc, example string, f func([]measure.Run, []string) float64) function {
		return over(name, "tools, names", doc, example, named(name, func(r []measure.Run, n []string) any { return f(r, n) }), stepSignatures(float64(0))...)
	}
	return []function{
		count("repeatedCalls", "runs that ask what was asked before: same tool, same arguments", func(r []measure.Run) int { return measure.Marked(measure.Repeated(r)) }),
		count("redundantCalls", "runs that ask what was answered before; a retry after a failure is none", func(r []measure.Run) int { return measure.Marked(measure.Redundant(r)) }),
		count("failedCalls", "runs that failed", measure.Failed),
		count("recoveredErrors", "failed runs after which the same tool succeeded", measure.Recovered),
		count("deadEnds", "failed runs after which the same tool never succeeded", measure.DeadEnds),
		yes("inOrder", "the names ran in this order; others may lie between", `inOrder(tools, ["search", "book"])`, measure.InOrder),
		yes("exactly", "the names ran in this order, and nothing else", `exactly(tools, ["search", "book"])`, measure.Exactly),
		over("before", "tools, first, then", "no run of then before the first run of first", `before(tools, "confirm", "pay")`, func(s *state, args []any) (any, error) {
			runs, err := s.runs("before", args[0])
			return measure.Before(runs, args[1].(string), args[2].(string)), err
		}, func(*state, []*step, string, string) bool { return false }, func(*state, []any, string, string) bool { return false }),
		share("toolPrecision", "share of the runs that are expected, each name as often as it is listed", `toolPrecision(tools, ["search", "book"])`, measure.Precision),
		share("toolRecall", "share of the expected names that ran", `toolRecall(tools, ["search", "book"])`, measure.Recall),
	}
}

func named(name string, f func([]measure.Run, []string) any) func(s *state, args []any) (any, error) {
	return func(s *state, args []any) (any, error) {
		runs, err := s.runs(name, args[0])
		if err != nil {
			return nil, err
		}
		names, err := textsOf(name, args[1])
		if err != nil {
			return nil, err
		}
		return f(runs, names), s.work(name, perRun*len(names))
	}
}

// runs are the tool runs among steps. The arguments that a run has are hashed
// by the measures, so their bytes count.
func (s *state) runs(name string, list any) ([]measure.Run, error) {
	steps, err := stepsOf(name, list)
	if err != nil {
		return nil, err
	}
	runs := make([]measure.Run, 0, len(steps))
	cost := 0
	for _, st := range steps {
		if st.Kind != "tool" {
			continue
		}
		r := runOf(st)
		cost += perRun + len(r.Arguments)
		runs = append(runs, r)
	}
	return runs, s.work(name, cost)
}

func runOf(st *step) measure.Run {
	r := measure.Run{Name: st.Name, Failed: st.Error != ""}
	if st.Arguments != nil {
		r.Arguments, r.Known = *st.Arguments, true
	}
	return r
}

// stepsOf takes a list of steps as the language has it: steps, or what filter
// leaves of them.
func stepsOf(name string, list any) ([]*step, error) {
	switch list := list.(type) {
	case []*step:
		return list, nil
	case []any:
		out := make([]*step, len(list))
		for i, v := range list {
			st, ok := v.(*step)
			if !ok {
				return nil, fmt.Errorf("%s takes steps, such as tools or filter(tools, …)", name)
			}
			out[i] = st
		}
		return out, nil
	}
	return nil, fmt.Errorf("%s takes steps, such as tools or filter(tools, …)", name)
}

// lists runs a function over two lists of texts.
func lists(name string, f func(a, b []string) any) func(s *state, args []any) (any, error) {
	return func(s *state, args []any) (any, error) {
		a, err := textsOf(name, args[0])
		if err != nil {
			return nil, err
		}
		b, err := textsOf(name, args[1])
		if err != nil {
			return nil, err
		}
		cost := perRun * (len(a) + len(b))
		for _, l := range [][]string{a, b} {
			for _, t := range l {
				cost += len(t)
			}
		}
		if err := s.work(name, cost); err != nil {
			return nil, err
		}
		return f(a, b), nil
	}
}

// textsOf takes a list of texts as the language has it.
func textsOf(name string, list any) ([]string, error) {
	switch list := list.(type) {
	case []string:
		return list, nil
	case []any:
		out := make([]string, len(list))
		for i, v := range list {
			t, ok := v.(string)
			if p, pointer := v.(*string); pointer && p != nil {
				t, ok = *p, true
			}
			if !ok {
				return nil, fmt.Errorf("%s takes a list of texts, such as [\"a\", \"b\"]", name)
			}
			out[i] = t
		}
		return out, nil
	}
	return nil, fmt.Errorf("%s takes a list of texts, such as [\"a\", \"b\"]", name)
}

// floats takes numbers of whatever kind.
func floats(name string, args []any) ([]float64, error) {
	out := make([]float64, len(args))
	for i, a := range args {
		v, ok := toFloat(a)
		if _, yes := a.(bool); yes || !ok {
			return nil, fmt.Errorf("%s takes numbers", name)
		}
		out[i] = v
	}
	return out, nil
}

// signatures are the kinds of two lists that a function of result takes.
func signatures(result any) []any {
	texts, anys := reflect.TypeFor[[]string](), reflect.TypeFor[[]any]()
	var out []any
	for _, a := range []reflect.Type{texts, anys} {
		for _, b := range []reflect.Type{texts, anys} {
			out = append(out, signatureOf(result, a, b))
		}
	}
	return out
}

// stepSignatures are the kinds of steps and names that a function of result takes.
func stepSignatures(result any) []any {
	var out []any
	for _, a := range []reflect.Type{reflect.TypeFor[[]*step](), reflect.TypeFor[[]any]()} {
		for _, b := range []reflect.Type{reflect.TypeFor[[]string](), reflect.TypeFor[[]any]()} {
			out = append(out, signatureOf(result, a, b))
		}
	}
	return out
}

func signatureOf(result any, args ...reflect.Type) any {
	in := append([]reflect.Type{reflect.TypeFor[*state]()}, args...)
	return reflect.Zero(reflect.FuncOf(in, []reflect.Type{reflect.TypeOf(result)}, false)).Interface()
}
