package trajectory

import (
	"errors"
	"fmt"
)

// Valid says whether the parts of t fit together: it has an id, steps stand
// at their index and have one kind's part, and every index points at something that exists.
// The error names the first misfit.
func (t *Trajectory) Valid() error {
	if t.ID == "" {
		return errors.New("the trajectory has no id")
	}
	for i := range t.Steps {
		if err := t.validStep(i); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	for i := range t.Rewards {
		if s := t.Rewards[i].Step; s < -1 || s >= len(t.Steps) {
			return fmt.Errorf("reward %q is for step %d of %d", t.Rewards[i].Name, s, len(t.Steps))
		}
	}
	return nil
}

func (t *Trajectory) validStep(i int) error {
	s := &t.Steps[i]
	switch {
	case s.Index != i:
		return fmt.Errorf("its index says %d", s.Index)
	case s.Parent != nil && (*s.Parent < 0 || *s.Parent >= len(t.Steps)):
		return fmt.Errorf("its parent is step %d of %d", *s.Parent, len(t.Steps))
	case s.Kind == KindModel && s.Model != nil && s.Tool == nil:
		return t.validModel(s.Model)
	case s.Kind == KindTool && s.Tool != nil && s.Model == nil:
		return nil
	}
	return fmt.Errorf("kind %q with model call %t, tool run %t", s.Kind, s.Model != nil, s.Tool != nil)
}

func (t *Trajectory) validModel(m *ModelCall) error {
	for _, list := range [][]int32{m.Input, m.Output} {
		for _, i := range list {
			if i < 0 || int(i) >= len(t.Messages) {
				return fmt.Errorf("it refers to message %d of %d", i, len(t.Messages))
			}
		}
	}
	if b := m.PromptBase; b != nil && (*b < 0 || int(*b) >= len(t.Steps)) {
		return fmt.Errorf("its prompt base is step %d of %d", *b, len(t.Steps))
	}
	return nil
}
