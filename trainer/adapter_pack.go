package trainer

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/trainer/sequence"
)

// adapterMetric is what the gate's numbers estimate, for the model card.
const adapterMetric = "mean return of rollouts of held-out prompts: candidate less the policy it started from, on one server"

// packAdapter packs the adapter with the gate's verdict.
func (n *adapterNight) packAdapter(s selected, sc scores, a advantages, seq sequences, u updated, v evaluated, e exported, j judged) (packed, error) {
	pack := func() (packed, error) {
		adapter, err := readFolder(filepath.Join(n.dir, e.Head.Folder))
		if err != nil {
			return packed{}, fmt.Errorf("read adapter: %w", err)
		}
		m := n.manifest(s, sc, v, j)
		files, err := bundle.AdapterFiles(m, adapter)
		if err != nil {
			return packed{}, err
		}
		files[bundle.ReadmeFile] = append(files[bundle.ReadmeFile], n.training(a, seq, u, v)...)
		b, err := bundle.Add(n.Config.Bundles, m, files)
		if err != nil {
			return packed{}, err
		}
		return packed{Head: PackedBundle{ID: b.ID(), Dir: b.Dir, Status: m.Status, Parent: m.Provenance.Parent}}, nil
	}
	c := n.Config
	before, inputs := n.last, []any{c.Name, c.Agents, c.Bundles, n.digestOf("select"), n.digestOf("score"), n.digestOf("advantage"), n.digestOf("update")}
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

func (n *adapterNight) manifest(s selected, sc scores, v evaluated, j judged) bundle.Manifest {
	c := n.Config
	m := bundle.Manifest{
		Kind: bundle.KindAdapter, Name: c.Name, Status: bundle.StatusCandidate, CreatedAt: n.Now, Agents: c.Agents, BaseModel: c.Adapter.BaseModel,
		Provenance: bundle.Provenance{Dataset: s.Head.Dataset, SQL: s.Head.SQL, Rewards: sc.Head.Rewards, Run: n.ID},
		Gate:       bundle.Gate{Passed: j.Head.Passed, Metric: adapterMetric, Holdout: s.Head.Holdout, Reason: j.Head.Reason},
	}
	if j.Head.Passed {
		m.Status = bundle.StatusReleased
	}
	if n.base != nil {
		m.Provenance.Parent = n.base.ID()
	}
	if o := v.Head.Logged; o != nil {
		gain := o.Estimate - o.Mean
		m.Gate.OffPolicy, m.Gate.ESS = &gain, &o.Effective
	}
	if r := j.Head.Compared; r != nil {
		m.Gate.Support, m.Gate.Estimate, m.Gate.CILow, m.Gate.CIHigh = r.Support, &r.Difference, &r.Low, &r.High
		m.Gate.BaseMean, m.Gate.CandidateMean = &r.Base, &r.Candidate
	}
	return m
}

// training is the part of a model card that says how the adapter was made.
func (n *adapterNight) training(a advantages, seq sequences, u updated, v evaluated) string {
	c, h, t := n.Config, u.Head, seq.Head
	var b strings.Builder
	b.WriteString("\n## Training\n\n")
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "- %s: %s\n", name, fmt.Sprintf(format, args...))
	}
	row("Algorithm", "%s, advantages normalised by %s, losses by %s", c.Algorithm.Name, a.Head.Normalize, h.Plan.Reduce)
	row("Adapter", "rank %d, alpha %g, learning rate %g", c.Adapter.LoRA.Rank, c.Adapter.LoRA.alpha(), c.Adapter.LearningRate)
	row("Steps", "%d of %d%s", h.Steps, h.Of, because(h.Stop))
	row("Trained on", "%d trajectories, %d generated tokens, in %s", t.Rollouts, t.Trained, plural(a.Head.Taught, "group", "groups"))
	row("Token ids", "%s", sources(t.Tally))
	row("Moved", "%.4g nats per token on what was trained on, %.4g on the holdout", v.Head.Train.Moved, v.Head.Holdout.Moved)
	row("Engine", "%s", n.server.About().Server)
	return b.String()
}

func because(stop string) string {
	if stop == "" {
		return ""
	}
	return ", stopped by " + stop
}

// sources says where the token ids of model calls are from.
func sources(t sequence.Tally) string {
	words := map[sequence.Source]string{
		sequence.Captured: "captured", sequence.PromptRendered: "reply captured, prompt rendered again", sequence.Retokenised: "rendered again from text",
	}
	var parts []string
	for _, s := range slices.Sorted(maps.Keys(t.Calls)) {
		parts = append(parts, fmt.Sprintf("%d model calls %s", t.Calls[s], words[s]))
	}
	text := strings.Join(parts, ", ")
	if t.Recompute > 0 {
		text += fmt.Sprintf("; old log-probabilities of %d recomputed", t.Recompute)
	}
	return text
}
