package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newBundle() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Look into bundles (packed policies), and label them",
		Long: `A bundle is a directory that holds a policy: what was learned, from what, and
what the gate said of it. docs/bundle.md specifies it.

Every command takes the bundle's directory, or the folder that holds bundles
followed by a label or an id, of which 8 digits or more will do if they name one
bundle: bundles/production, bundles/4068f0a8.`,
		Example: "  tracegrad bundle inspect bundles/production\n  tracegrad bundle diff bundles/production bundles/canary\n  tracegrad bundle label bundles/canary production",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("say what to do: inspect, diff, verify or label")}
		},
	}
	cmd.AddCommand(newBundleInspect(), newBundleDiff(), newBundleVerify(), newBundleLabel())
	return cmd
}
