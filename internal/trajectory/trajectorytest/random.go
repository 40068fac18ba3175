// Package trajectorytest makes trajectories for tests of the packages that
// store and carry them.
package trajectorytest

import (
	"fmt"
	"math/rand/v2"
	"reflect"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// Random is a valid trajectory in which any field may hold anything, so that
// a field that an encoding forgets is noticed. Numbers are finite, texts are
// UTF-8, lists are nil rather than empty, zero and unknown both occur.
func Random(r *rand.Rand) *trajectory.Trajectory {
	t := &trajectory.Trajectory{}
	fill(r, reflect.ValueOf(t).Elem())
	t.ID = fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64())
	for i := range t.Steps {
		fixStep(r, t, i)
	}
	for i := range t.Rewards {
		t.Rewards[i].Step = r.IntN(len(t.Steps)+1) - 1
	}
	if err := t.Valid(); err != nil {
		panic("trajectorytest: " + err.Error())
	}
	return t
}

func fixStep(r *rand.Rand, t *trajectory.Trajectory, i int) {
	s := &t.Steps[i]
	s.Index = i
	if s.Parent != nil {
		*s.Parent = r.IntN(len(t.Steps))
	}
	if s.Kind = trajectory.KindModel; r.IntN(2) == 0 {
		s.Kind, s.Model = trajectory.KindTool, nil
		if s.Tool == nil {
			s.Tool = &trajectory.ToolRun{}
		}
		if len(t.Messages) > 0 && r.IntN(2) == 0 { // results are shown to the model
			m, text := &t.Messages[r.IntN(len(t.Messages))], fmt.Sprintf("a result that the next prompt shows: %d", r.Uint64())
			m.Text, m.ToolCallID, s.Tool.CallID, s.Tool.Result = text, "call", "call", &text
		}
		return
	}
	s.Tool = nil
	if s.Model == nil {
		s.Model = &trajectory.ModelCall{}
	}
	m := s.Model
	if r.IntN(2) == 0 {
		m.Tools = `[{"name":"lookup"}]` // definitions repeat
	}
	m.Input, m.Output = indices(r, m.Input, len(t.Messages)), indices(r, m.Output, len(t.Messages))
	if m.PromptBase != nil {
		*m.PromptBase = int32(r.IntN(len(t.Steps)))
	}
}

func indices(r *rand.Rand, list []int32, n int) []int32 {
	if n == 0 {
		return nil
	}
	for i := range list {
		list[i] = int32(r.IntN(n))
	}
	return list
}

func fill(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i))
		}
	case reflect.Pointer:
		if r.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem())
		}
	case reflect.Slice:
		if n := r.IntN(5); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				fill(r, v.Index(i))
			}
		}
	case reflect.String:
		v.SetString(text(r))
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int, reflect.Int32:
		v.SetInt(r.Int64N(1 << r.IntN(31)))
	case reflect.Int64:
		v.SetInt(r.Int64N(1 << r.IntN(52)))
	case reflect.Float32:
		v.SetFloat(float64(float32(r.NormFloat64())))
	case reflect.Float64:
		v.SetFloat(r.NormFloat64() * float64(r.IntN(3)))
	default:
		panic("trajectorytest: no values for " + v.Type().String())
	}
}

var pieces = []string{"a", "user", "the answer is 42", "{\"k\": [1, null]}", "\"", "\\", "\n", "\x00", "ü", "日本", "🙂", "'; --", "gpt", "\u2028"}

func text(r *rand.Rand) string {
	s := ""
	for range r.IntN(5) {
		s += pieces[r.IntN(len(pieces))]
	}
	if r.IntN(40) == 0 {
		for len(s) < 1<<r.IntN(16) { // lengths of one, two and three bytes
			s += "0123456789abcdef"
		}
	}
	return s
}
