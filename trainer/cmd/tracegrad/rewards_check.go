package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tracegrad/tracegrad/rewards"
)

func newRewardsCheck() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check FILE…",
		Short: "Compile reward rules and show what each gives",
		Long: `Check compiles rewards files as the Collector and the trainer do. It shows each
rule with the type of its value, and whether it is provisional: reads facts,
which may come later. A type "any value" is known only when the rule runs, such
as that of feedback("solved").

What is wrong is said with file:line:column, the key, a proposal, and a caret
under the place in an expression; all mistakes of a file at once.`,
		Example: "  tracegrad rewards check rewards.yaml\n  tracegrad rewards check --json rewards/*.yaml",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var all []checkedRewards
			var errs []error
			for _, path := range args {
				c, err := checkRewards(path)
				all = append(all, c)
				errs = append(errs, err)
				if !asJSON && err == nil {
					if err := c.print(cmd.OutOrStdout()); err != nil {
						return err
					}
				}
			}
			if asJSON {
				errs = append(errs, printJSON(cmd.OutOrStdout(), all))
			}
			return errors.Join(errs...)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

type checkedRewards struct {
	File     string             `json:"file"`
	Hash     string             `json:"hash,omitempty"`
	Rules    []checkedRule      `json:"rules"`
	Examples int                `json:"examples"`
	Problems []*rewards.Problem `json:"problems"`
}

type checkedRule struct {
	Name        string  `json:"name"`
	Level       string  `json:"level"`
	Gives       string  `json:"gives"`
	Provisional bool    `json:"provisional"`
	Weight      float64 `json:"weight"`
	Missing     string  `json:"missing"`
	Hash        string  `json:"hash"`
}

func checkRewards(path string) (checkedRewards, error) {
	c := checkedRewards{File: path, Rules: []checkedRule{}, Problems: []*rewards.Problem{}}
	engine, err := rewards.Load(path)
	if err != nil {
		c.Problems = append(c.Problems, rewards.Problems(err)...)
		return c, err
	}
	c.Hash, c.Examples = engine.Hash(), len(engine.Examples())
	for _, r := range engine.Rules() {
		missing := string(r.Missing)
		if r.Missing == rewards.MissingNumber {
			missing = strconv.FormatFloat(r.Substitute, 'g', -1, 64)
		}
		c.Rules = append(c.Rules, checkedRule{r.Name, string(r.Level), r.Gives, r.Provisional, r.Weight, missing, r.Hash})
	}
	return c, nil
}

func (c *checkedRewards) print(out io.Writer) error {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "rule\tlevel\tgives\tprovisional\tweight\tmissing\thash")
	for _, r := range c.Rules {
		provisional := "no"
		if r.Provisional {
			provisional = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%g\t%s\t%s\n", r.Name, r.Level, r.Gives, provisional, r.Weight, r.Missing, r.Hash)
	}
	_ = w.Flush() // to memory
	fmt.Fprintf(&b, "%s is right: %s, %s, hash %s\n", c.File, count(len(c.Rules), "rule"), count(c.Examples, "example"), c.Hash[:12])
	_, err := io.WriteString(out, b.String())
	return err
}
