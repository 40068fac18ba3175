package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tracegrad/tracegrad/internal/bundle"
)

func newBundleDiff() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "diff FROM TO",
		Short:   "Show what changes from one bundle to another",
		Example: "  tracegrad bundle diff bundles/production bundles/canary",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := openBundle(args[0])
			if err != nil {
				return err
			}
			to, err := openBundle(args[1])
			if err != nil {
				return err
			}
			d := bundle.Diff(from, to)
			switch {
			case asJSON:
				return printJSON(cmd.OutOrStdout(), d)
			case d.Empty():
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "the same bundle: %s\n", d.From)
				return err
			}
			return d.WriteText(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
