package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// judge reads what grade.py counted, by capture, and fails below the limits.
func (o *options) judge(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read result: %w", err)
	}
	var captures map[string]struct {
		Rollouts int `json:"rollouts"`
		Exact    int `json:"exact"`
		Invented int `json:"invented_steps"`
	}
	if err := json.Unmarshal(data, &captures); err != nil {
		return fmt.Errorf("read result: %s: %w", path, err)
	}
	rollouts, exact, invented := 0, 0, 0
	for _, c := range captures {
		rollouts += c.Rollouts
		exact += c.Exact
		invented += c.Invented
	}
	percent := 100 * float64(exact) / float64(max(rollouts, 1))
	switch {
	case rollouts == 0:
		return fmt.Errorf("nothing was graded: %s has no rollouts", path)
	case percent < o.minExact:
		return fmt.Errorf("%.2f %% of the rollouts are exact, want at least %g %%", percent, o.minExact)
	case invented > o.maxInvented:
		return fmt.Errorf("%d steps were invented, want at most %d", invented, o.maxInvented)
	}
	return nil
}
