package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tracegrad/tracegrad/internal/bundle"
)

func newBundleLabel() *cobra.Command {
	var candidate, asJSON bool
	cmd := &cobra.Command{
		Use:   "label BUNDLE LABEL",
		Short: "Point a label at a bundle: promote it, or go back",
		Long: `Label points a label at a bundle among its siblings. Gateways that follow the
label take the bundle when they start, and the next night of training starts
from production.`,
		Example: "  tracegrad bundle label bundles/4068f0a8 production\n  tracegrad bundle label bundles/canary production",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := openBundle(args[0])
			if err != nil {
				return err
			}
			if b.Manifest.Status != bundle.StatusReleased && !candidate {
				return fmt.Errorf("label %s: its gate has not passed (%s): insist with --allow-candidate; a gateway that is to apply it needs allow_candidate: true as well", b.Dir, b.Manifest.Gate.Reason)
			}
			root := filepath.Dir(b.Dir)
			if err := errors.Join(bundle.Verify(b), bundle.SetLabel(root, args[1], b.ID())); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]string{"bundles": root, "label": args[1], "id": b.ID()})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is now %s\n", filepath.Join(root, args[1]), b.ID())
			return err
		},
	}
	cmd.Flags().BoolVar(&candidate, "allow-candidate", false, "take a bundle whose gate has not passed")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
