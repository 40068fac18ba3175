package trainer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tracegrad/tracegrad/internal/bundle"
)

// PackedBundle is bundle.json of a run: where the bundle is.
type PackedBundle struct {
	ID     string        `json:"id"`
	Dir    string        `json:"dir"`
	Status bundle.Status `json:"status"`
	Parent string        `json:"parent,omitempty"`
}

type packed = artifact[PackedBundle, none]

// openBase opens the starting policy; nil if the default label is not set.
func openBase(c Config) (*bundle.Bundle, error) {
	ref := c.Base
	if ref == "" {
		ref = bundle.LabelProduction
	}
	dir, err := bundle.Resolve(c.Bundles, ref)
	if err != nil && c.Base != "" {
		if _, statErr := os.Stat(filepath.Join(c.Base, bundle.ManifestName)); statErr == nil {
			dir, err = c.Base, nil
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) && c.Base == "":
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("open starting policy: base: %w", err)
	}
	b, err := bundle.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open starting policy: base: %w", err)
	}
	return b, nil
}

// metric is what the gate estimates, for the model card.
const metric = "return of held-out trajectories that follow the guidance minus return of those that do not, within the same task"

func (n *night) packStage(s selected, sc scores, l learned, v verdict) (packed, error) {
	c := n.Config
	pack := func() (packed, error) {
		m := bundle.Manifest{
			Kind: bundle.KindPrompt, Name: c.Name, Status: bundle.StatusCandidate, CreatedAt: n.Now, Agents: c.Agents,
			Provenance: bundle.Provenance{Dataset: s.Head.Dataset, SQL: s.Head.SQL, Rewards: sc.Head.Rewards, Run: n.ID},
			Gate:       bundle.Gate{Passed: v.Head.Passed, Metric: metric, Support: v.Head.Support, Holdout: v.Head.Holdout, Reason: v.Head.Reason},
		}
		if v.Head.Passed {
			m.Status = bundle.StatusReleased
		}
		if n.base != nil {
			m.Provenance.Parent = n.base.ID()
		}
		if e := v.Head.Effect; e != nil {
			m.Gate.Estimate, m.Gate.CILow, m.Gate.CIHigh = &e.Estimate, &e.Low, &e.High
		}
		p := promptOf(l.Head, v.Head)
		files, err := bundle.PromptFiles(m, p)
		if err != nil {
			return packed{}, err
		}
		files[bundle.ReadmeFile] = append(files[bundle.ReadmeFile], evidenceOf(p, l.Head, v.Head)...)
		b, err := bundle.Add(c.Bundles, m, files)
		if err != nil {
			return packed{}, err
		}
		return packed{Head: PackedBundle{ID: b.ID(), Dir: b.Dir, Status: m.Status, Parent: m.Provenance.Parent}}, nil
	}
	before, inputs := n.last, []any{c.Name, c.Agents, c.Bundles, n.digestOf("select"), n.digestOf("score"), n.digestOf("learn")}
	out, err := stage(n.run, "bundle", inputs, pack)
	if err != nil {
		return out, err
	}
	if _, err := os.Stat(filepath.Join(out.Head.Dir, bundle.ManifestName)); err != nil { // somebody removed it
		n.last, n.Stages = before, n.Stages[:len(n.Stages)-1]
		return stage(n.run, "bundle", inputs, pack)
	}
	return out, nil
}
