package bundle

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Forgot is what [Forget] found, by bundle ID.
type Forgot struct {
	Removed  []string // they quoted one of the trajectories
	Labelled []string // they do, and a label points to them: they stay
	Adapters []string // trained by one of the runs: they stay, weights cannot be edited
	Broken   []string // names of folders that could not be looked into
}

// Forget removes the bundles below root whose demonstrations quote one of the
// trajectories, but for those that a label points to: gateways serve them. It
// names the adapters of the runs that were given.
func Forget(root string, trajectories map[string]bool, runs []string, dryRun bool) (out Forgot, err error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return out, fmt.Errorf("forget in bundles: %w: name the folder that holds bundles", err)
	}
	labels, err := Labels(root)
	if err != nil {
		return out, err
	}
	labelled := map[string]bool{}
	for _, id := range labels {
		labelled[id] = true
	}
	for _, e := range entries {
		dir := filepath.Join(root, e.Name())
		if _, err := os.Stat(filepath.Join(dir, ManifestName)); err != nil || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		b, err := Open(dir)
		if err != nil {
			out.Broken = append(out.Broken, e.Name())
			continue
		}
		switch {
		case b.quotes(trajectories) && (labelled[b.ID()] || labelled[e.Name()]):
			out.Labelled = append(out.Labelled, e.Name())
		case b.quotes(trajectories):
			if !dryRun {
				if err := os.RemoveAll(dir); err != nil {
					return out, fmt.Errorf("remove bundle %s: %w", dir, err)
				}
			}
			out.Removed = append(out.Removed, e.Name())
		case b.Manifest.Kind == KindAdapter && slices.Contains(runs, b.Manifest.Provenance.Run):
			out.Adapters = append(out.Adapters, e.Name())
		}
	}
	return out, nil
}

// quotes reports whether a demonstration is taken from one of the trajectories.
func (b *Bundle) quotes(trajectories map[string]bool) bool {
	return b.Prompt != nil && slices.ContainsFunc(b.Prompt.Demonstrations, func(d Demonstration) bool { return trajectories[d.ID] })
}
