package trajectory

import "fmt"

// Agents send the same tool definitions with every call. Files and encodings
// keep them once: at the first step that shows them.

// ToolsSteps gives for every step the index of the first step with the same
// tool definitions: its own, an earlier one, or -1 when it shows none.
func ToolsSteps(steps []Step) []int32 {
	list := make([]int32, len(steps))
	var index toolsIndex
	for i := range steps {
		list[i] = int32(index.earlier(steps, i))
		if m := steps[i].Model; list[i] < 0 && m != nil && m.Tools != "" {
			list[i] = int32(i)
		}
	}
	return list
}

// toolsIndex remembers the last few distinct definitions. An agent has one or
// two; what no longer fits is merely written again.
type toolsIndex struct {
	steps [8]int
	n     int
}

// earlier is the step before i with the tools of step i, or -1. Steps must be
// asked for in order.
func (x *toolsIndex) earlier(steps []Step, i int) int {
	m := steps[i].Model
	if m == nil || m.Tools == "" {
		return -1
	}
	for k := x.n - 1; k >= max(0, x.n-len(x.steps)); k-- {
		if j := x.steps[k%len(x.steps)]; steps[j].Model.Tools == m.Tools {
			return j
		}
	}
	x.steps[x.n%len(x.steps)] = i
	x.n++
	return -1
}

type toolsRef struct {
	call *ModelCall
	step int32
}

func resolveTools(steps []Step, refs []toolsRef) error {
	for _, ref := range refs {
		if ref.step < 0 || int(ref.step) >= len(steps) || steps[ref.step].Model == nil || steps[ref.step].Model == ref.call {
			return fmt.Errorf("a step refers to the tools of step %d of %d, which has none", ref.step, len(steps))
		}
		ref.call.Tools = steps[ref.step].Model.Tools
	}
	return nil
}
