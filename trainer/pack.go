package trainer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/trainer/prompt"
)

// PackedBundle is bundle.json of a run: where the bundle is.
type PackedBundle struct {
	ID     string        `json:"id"`
	Dir    string        `json:"dir"`
	Status bundle.Status `json:"status"`
	Parent string        `json:"parent,omitempty"`
}

type packed = artifact[PackedBundle, none]

// CarriedItem is guidance of the starting policy that tonight neither learned
// anew nor contradicts. It was gated when it was learned.
type CarriedItem struct {
	bundle.Item
	From string `json:"from"` // bundle id
}

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

// carry keeps what the starting policy says: where everybody follows its
// guidance there is no contrast left to learn it from again.
func (n *night) carry(items []prompt.Item) []CarriedItem {
	if n.base == nil || n.base.Prompt == nil {
		return nil
	}
	said := map[string]bool{}
	for i := range items {
		said[items[i].ID] = true
		said[items[i].Opposite()] = true
	}
	var out []CarriedItem
	for _, it := range n.base.Prompt.Items {
		if !said[it.ID] && len(items)+len(out) < n.Config.Policy.MaxItems {
			out = append(out, CarriedItem{Item: it, From: n.base.ID()})
		}
	}
	return out
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
		files, err := bundle.PromptFiles(m, promptOf(l.Head))
		if err != nil {
			return packed{}, err
		}
		b, err := bundle.Add(c.Bundles, m, files)
		if err != nil {
			return packed{}, err
		}
		return packed{Head: PackedBundle{ID: b.ID(), Dir: b.Dir, Status: m.Status, Parent: m.Provenance.Parent}}, nil
	}
	before, inputs := n.last, []any{c.Name, c.Agents, c.Bundles}
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

func promptOf(l Learned) bundle.Prompt {
	var p bundle.Prompt
	for _, it := range l.Items {
		e := it.Evidence
		p.Items = append(p.Items, bundle.Item{
			ID: it.ID, Text: it.Text, Scope: bundle.Scope{Task: it.Scope.Task, Agent: it.Scope.Agent},
			Evidence: map[string]float64{
				"effect": e.Effect.Estimate, "ci_low": e.Effect.Low, "ci_high": e.Effect.High, "confidence": e.Effect.Confidence,
				"return_difference": e.Return, "p": e.P, "q": e.Q,
				"n_with": float64(e.With), "n_without": float64(e.Without), "groups": float64(e.Groups),
			},
		})
	}
	for _, it := range l.Carried {
		p.Items = append(p.Items, it.Item)
	}
	for _, d := range l.Demonstrations {
		p.Demonstrations = append(p.Demonstrations, bundle.Demonstration{ID: d.ID, Task: d.Task, Tenant: d.Tenant, Input: d.Input, Output: d.Output})
	}
	return p
}
