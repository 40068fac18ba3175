package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/tracegrad/tracegrad/internal/bundle"
)

func newBundleLabel() *cobra.Command {
	var candidate, asJSON bool
	cmd := &cobra.Command{
		Use:   "label BUNDLE LABEL",
		Short: "Point a label, such as canary, at a bundle",
		Long: `Label points a label at a bundle among its siblings, and records it for
tracegrad bundle rollback. Gateways that follow the label serve the bundle to the
calls that begin from then on. For production, see tracegrad bundle promote.`,
		Example: "  tracegrad bundle label bundles/4068f0a8 canary",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := openBundle(args[0])
			if err != nil {
				return err
			}
			if b.Manifest.Status != bundle.StatusReleased && !candidate {
				return fmt.Errorf("label %s: its gate has not passed (%s): insist with --allow-candidate; a gateway that is to apply it needs allow_candidate: true as well", b.Dir, b.Manifest.Gate.Reason)
			}
			if err := bundle.Verify(b); err != nil {
				return err
			}
			m := bundle.Move{At: time.Now(), To: b.ID(), Forced: b.Manifest.Status != bundle.StatusReleased}
			return moveLabel(cmd.OutOrStdout(), filepath.Dir(b.Dir), args[1], m, false, asJSON)
		},
	}
	cmd.Flags().BoolVar(&candidate, "allow-candidate", false, "take a bundle whose gate has not passed")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
