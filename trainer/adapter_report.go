package trainer

import (
	"cmp"
	"html/template"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tracegrad/tracegrad/trainer/grpo"
	"github.com/tracegrad/tracegrad/trainer/prompt"
	"github.com/tracegrad/tracegrad/trainer/update"
)

// AdapterResult is what came out of an adapter night.
type AdapterResult struct {
	BaseModel string         `json:"base_model"`
	Engine    About          `json:"engine"`
	Estimate  *Estimate      `json:"estimate"`
	Sequences SequenceHead   `json:"sequences"`
	Dropped   grpo.Dropped   `json:"dropped_groups"`
	LeftOut   map[string]int `json:"left_out_rollouts,omitempty"`
	Update    *Updated       `json:"update"`   // null: only planned
	Evaluated *Evaluated     `json:"evaluate"` // null: only planned
	Judged    *Judged        `json:"judged"`   // null: only planned
	Metrics   string         `json:"metrics,omitempty"`
}

// adapterPage is what the report of an adapter night shows.
type adapterPage struct {
	page
	Engine    About
	Sequences SequenceHead
	Updated   Updated
	Evaluated Evaluated
	Judged    Judged
	LastNight *Night
	Alpha     float64
	Curves    []curveView
	Shown     int
	MoreSteps bool
	Sums      grpo.Metrics // over all steps
	LeftCalls []LeftOut
	Served    []LeftOut
}

type curveView struct {
	Name, Last string
	Plot       template.HTML
}

func (n *adapterNight) result(s selected, sc scores, a advantages, seq sequences) *Result {
	counts := Counts{
		Live: s.Head.Live, LeftOut: explain(s.Head.LeftOut, sc.Head.LeftOut, a.Head.LeftOut, seq.Head.LeftOut),
		Holdout: len(held(s, sc)), Trained: seq.Head.Rollouts, Groups: a.Head.Taught - seq.Head.EmptyGroups,
	}
	return &Result{
		ID: n.ID, Dir: n.dir, Counts: counts, Groups: a.Rows, Items: []prompt.Item{}, Carried: []CarriedItem{}, Dropped: []DroppedItem{},
		Verdict: prompt.Verdict{Reason: reportOnly, Holdout: counts.Holdout},
		Adapter: &AdapterResult{BaseModel: n.Config.Adapter.BaseModel, Engine: n.server.About(), Estimate: n.estimated, Sequences: seq.Head, Dropped: a.Head.Dropped},
	}
}

// planned is the result of a night that stops before the update.
func (n *adapterNight) planned(s selected, sc scores, a advantages, seq sequences) *Result {
	r := n.result(s, sc, a, seq)
	r.Verdict.Reason = "only planned: nothing was trained"
	return r
}

func (n *adapterNight) reportAdapter(s selected, sc scores, a advantages, seq sequences, u updated, v evaluated, j judged, b packed) (*Result, error) {
	r := n.result(s, sc, a, seq)
	r.Bundle = b.Head
	r.Verdict.Passed, r.Verdict.Reason = j.Head.Passed, j.Head.Reason
	if c := j.Head.Compared; c != nil {
		r.Verdict.Support, r.Verdict.Effect = c.Support, &prompt.Interval{Estimate: c.Difference, Low: c.Low, High: c.High, Confidence: c.Confidence}
	}
	r.Adapter.LeftOut, r.Adapter.Update, r.Adapter.Evaluated = u.Head.LeftOut, &u.Head, &v.Head
	r.Adapter.Judged = &j.Head
	r.Adapter.Metrics = filepath.Join(n.dir, metricsFile)
	p := adapterPage{
		page:   page{Manifest: &n.Manifest, Select: s.Head, Score: sc.Head, Taught: a.Head, Bundle: b.Head, Counts: r.Counts},
		Engine: n.server.About(), Sequences: seq.Head, Updated: u.Head, Evaluated: v.Head, Judged: j.Head, LastNight: n.ledger.last(), Alpha: n.Config.Adapter.LoRA.alpha(),
		LeftCalls: counted(seq.Head.Tally.LeftOut), Served: counted(seq.Head.Models),
	}
	p.Funnel = funnel(p.Counts, s, sc)
	p.tasks(s, sc)
	p.groups(a)
	p.scales()
	steps, err := update.ReadSteps(r.Adapter.Metrics)
	if err != nil {
		return nil, err
	}
	p.curves(steps, n.Config.Algorithm.Stop)
	r.Report, err = n.writeReport("report_adapter.html", p)
	return r, err
}

// counted are counts as rows, the most frequent first.
func counted(m map[string]int) (out []LeftOut) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, LeftOut{Reason: k, Count: m[k]})
	}
	slices.SortStableFunc(out, func(a, b LeftOut) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Reason, b.Reason))
	})
	return out
}

// shownSteps bounds the points of a curve.
const shownSteps = 400

func (p *adapterPage) curves(steps []update.Step, stop StopConfig) {
	for i := range steps {
		if steps[i].Stop == "" {
			p.Sums.Add(steps[i].Metrics)
		}
	}
	p.MoreSteps = len(steps) > shownSteps
	shown := steps
	if p.MoreSteps {
		shown = nil
		for i := range shownSteps {
			shown = append(shown, steps[i*(len(steps)-1)/(shownSteps-1)])
		}
	}
	p.Shown = len(shown)
	add := func(name string, limit float64, value func(*update.Step) *float64) {
		var points []point
		for i := range shown {
			if v := value(&shown[i]); v != nil {
				points = append(points, point{float64(shown[i].Step), *v, shown[i].Stop != ""})
			}
		}
		if len(points) > 0 {
			last := points[len(points)-1]
			p.Curves = append(p.Curves, curveView{name, number3(last.y), curve(points, limit, name)})
		}
	}
	add("Loss", 0, func(s *update.Step) *float64 { return &s.Loss })
	add("KL from the start of the night, nats per token", stop.MaxKL, func(s *update.Step) *float64 { return &s.Moved })
	add("KL from the base model, nats per token", 0, func(s *update.Step) *float64 { return s.KL })
	add("Effective sample size, share of the tokens with recorded log-probabilities", stop.MinESS, func(s *update.Step) *float64 { return s.ESS })
	add("Clip fraction", 0, func(s *update.Step) *float64 { return &s.ClipFraction })
	add("Value loss", 0, func(s *update.Step) *float64 { return s.ValueLoss })
	add("Tokens per second", 0, func(s *update.Step) *float64 { return &s.PerSecond })
}
