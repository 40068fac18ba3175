package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tracegrad/tracegrad/internal/bundle"
)

func newBundle() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Look into bundles (packed policies), and label them",
		Long: `A bundle is a directory that holds a policy: what was learned, from what, and
what the gate said of it. docs/bundle.md specifies it.

Every command takes the bundle's directory, or the folder that holds bundles
followed by a label or an id: bundles/production.`,
		Example: "  tracegrad bundle inspect bundles/production\n  tracegrad bundle diff bundles/production bundles/canary\n  tracegrad bundle label bundles/canary production",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("say what to do: inspect, diff, verify or label")}
		},
	}
	cmd.AddCommand(newBundleInspect(), newBundleDiff(), newBundleVerify(), newBundleLabel())
	return cmd
}

// openBundle opens the bundle in dir, or the one that the last element of the
// path names as a label or an id.
func openBundle(path string) (*bundle.Bundle, error) {
	path = filepath.Clean(path)
	if _, err := os.Stat(filepath.Join(path, bundle.ManifestName)); errors.Is(err, fs.ErrNotExist) {
		if info, err := os.Stat(filepath.Dir(path)); err == nil && info.IsDir() {
			dir, err := bundle.Resolve(filepath.Dir(path), filepath.Base(path))
			if err == nil {
				return bundle.Open(dir)
			}
			if _, noDir := os.Stat(path); noDir != nil {
				return nil, fmt.Errorf("open bundle %s: no directory with a %s, and no label or id: %w", path, bundle.ManifestName, err)
			}
		}
	}
	return bundle.Open(path)
}
