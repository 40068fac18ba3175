package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tracegrad/tracegrad/rewards"
)

func newRewardsTest() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "test FILE…",
		Short: "Run the examples that stand beside reward rules",
		Long: `Test runs the examples of rewards files: each holds a trajectory, or what of it
matters, and what the rules must give for it, a number or the reason of a null.

  examples:
    - name: an answer without a source
      trajectory: {input: "When are you open?", output: "At nine."}
      expect: {cited: 0, solved: missing}

docs/rewards.md has the keys. Rules that no example expects anything of are
named. The exit code is 1 if an expectation is not met or a file has no examples.`,
		Example: "  tracegrad rewards test rewards.yaml\n  tracegrad rewards test --json rewards/*.yaml",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			all := []testedRewards{}
			for _, path := range args {
				t, err := testRewards(path)
				if err != nil {
					return err
				}
				if all = append(all, t); !asJSON {
					if err := t.print(cmd.OutOrStdout()); err != nil {
						return err
					}
				}
			}
			if asJSON {
				if err := printJSON(cmd.OutOrStdout(), all); err != nil {
					return err
				}
			}
			return verdictOn(all)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

type testedRewards struct {
	File       string            `json:"file"`
	Failed     int               `json:"failed"`
	Examples   []rewards.Outcome `json:"examples"`
	Unexpected []string          `json:"rules_without_example"`
}

func testRewards(path string) (testedRewards, error) {
	engine, err := rewards.Load(path)
	if err != nil {
		return testedRewards{}, err
	}
	t := testedRewards{File: path, Examples: engine.Test(), Unexpected: append([]string{}, engine.Unexpected()...)}
	if len(t.Examples) == 0 {
		return t, fmt.Errorf("%s has no examples: write some under examples: (see tracegrad rewards test --help)", path)
	}
	for _, o := range t.Examples {
		if len(o.Misses) > 0 {
			t.Failed++
		}
	}
	return t, nil
}

func (t *testedRewards) print(out io.Writer) error {
	var b strings.Builder
	for _, o := range t.Examples {
		if len(o.Misses) == 0 {
			fmt.Fprintf(&b, "ok    %s\n", o.Name)
			continue
		}
		fmt.Fprintf(&b, "FAIL  %s\n", o.Name)
		for _, m := range o.Misses {
			fmt.Fprintf(&b, "      %s:%d:%d: %s: want %s, got %s\n", t.File, m.Line, m.Column, m.What, m.Want, m.Got)
		}
	}
	if len(t.Unexpected) > 0 {
		fmt.Fprintf(&b, "no example expects anything of: %s\n", strings.Join(t.Unexpected, ", "))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// verdictOn is the error of examples that failed.
func verdictOn(all []testedRewards) error {
	failed, n := 0, 0
	for _, t := range all {
		failed, n = failed+t.Failed, n+len(t.Examples)
	}
	if failed == 0 {
		return nil
	}
	return errors.New(count(failed, "example") + fmt.Sprintf(" of %d failed", n))
}
