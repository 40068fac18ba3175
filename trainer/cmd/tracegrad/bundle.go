package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newBundle() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Look into bundles (packed policies), deploy and promote them",
		Long: `A bundle is a directory that holds a policy: what was learned, from what, and
what the gate said of it. docs/bundle.md specifies it.

A bundle is named by its directory, or by the folder that holds bundles followed
by a label or an id, of which 8 digits or more will do if they name one bundle:
bundles/production, bundles/4068f0a8. List and rollback take that folder.`,
		Example: "  tracegrad bundle inspect bundles/production\n  tracegrad bundle diff bundles/production bundles/canary\n  tracegrad bundle promote bundles/canary",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("say what to do: list, inspect, diff, verify, deploy, promote, rollback, label or undeploy")}
		},
	}
	cmd.AddCommand(newBundleList(), newBundleInspect(), newBundleDiff(), newBundleVerify(), newBundleDeploy(), newBundlePromote(),
		newBundleRollback(), newBundleLabel(), newBundleUndeploy())
	return cmd
}
