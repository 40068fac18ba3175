package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tracegrad/tracegrad/internal/bundle"
)

func newBundleVerify() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "verify BUNDLE",
		Short:   "Check every file of a bundle against its digest",
		Example: "  tracegrad bundle verify bundles/production",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := openBundle(args[0])
			if err != nil {
				return err
			}
			if err := bundle.Verify(b); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]any{"id": b.ID(), "files": len(b.Manifest.Files), "verified": true})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "bundle %s is whole: %s as listed, nothing else\n", b.ID(), count(len(b.Manifest.Files), "file"))
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
