package trainer

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/trainer/prompt"
)

//go:embed report.html report_parts.html report_adapter.html
var reportPages embed.FS

// reportFile is the page that explains a run.
const reportFile = "report.html"

var reportTemplate = template.Must(template.New(reportFile).Funcs(template.FuncMap{
	"short4": func(v float64) string { return fmt.Sprintf("%.3g", v) },
	"number": number, "signed": signed, "short": bundle.ShortID, "plural": plural,
	"percent":   func(share float64) string { return fmt.Sprintf("%.4g %%", share*100) },
	"at":        func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") },
	"histogram": histogram, "forest": forest, "ticks": ticks,
	"interval": func(i *prompt.Interval) string {
		if i == nil {
			return "unknown"
		}
		return fmt.Sprintf("%s (%s to %s)", signed(i.Estimate), signed(i.Low), signed(i.High))
	},
	"p": func(v float64) string {
		if v < 0.001 {
			return "< 0.001"
		}
		return fmt.Sprintf("%.2g", v)
	},
}).ParseFS(reportPages, "*.html"))

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// page is what report.html shows.
type page struct {
	*Manifest
	Select  SelectHead
	Score   ScoreHead
	Taught  AdvantageHead
	Learned Learned
	Verdict Gated
	Bundle  PackedBundle
	Counts  Counts
	Funnel  []funnelStep

	Tasks      []taskView
	MoreTasks  int
	Returns    scale
	Groups     []groupView
	MoreGroups int
	Advantages scale
	Effects    scale // of items, in units of advantage
	Gate       scale // of returns
	Checks     map[string]prompt.Check
	Others     []prompt.Tested // tested and not learned
}

type funnelStep struct {
	Count int
	Words string
	Share float64 // of the live trajectories, in percent
}

// taskView is one task over training and holdout.
type taskView struct {
	Label           string
	Tenant          string
	Returns         []float64
	Mean            float64
	Train, Holdout  int
	Rules           []ruleView
	TitleForReaders string
}

type ruleView struct {
	Name  string
	Mean  float64
	Known int
}

type groupView struct {
	ScoredGroup
	Name            string
	Low, Mean, High float64
	TitleForReaders string
}

// shownRows bounds the tables of the page.
const shownRows = 40

const (
	plotWidth   = 260.0
	forestWidth = 300.0
)

func (n *night) report(s selected, sc scores, a advantages, l learned, v verdict, b packed) (*Result, error) {
	p := page{
		Manifest: &n.Manifest, Select: s.Head, Score: sc.Head, Taught: a.Head, Learned: l.Head, Verdict: v.Head, Bundle: b.Head,
		Counts: count(s, sc, a, v), Checks: map[string]prompt.Check{},
	}
	p.Funnel = funnel(p.Counts, s, sc)
	p.tasks(s, sc)
	p.groups(a)
	for _, c := range v.Head.Items {
		p.Checks[c.ID] = c
	}
	for _, t := range l.Head.Tested {
		if t.Outcome != prompt.OutcomeLearned {
			p.Others = append(p.Others, t)
		}
	}
	p.scales()
	path, err := n.writeReport(reportFile, p)
	if err != nil {
		return nil, err
	}
	return &Result{
		ID: n.ID, Dir: n.dir, Report: path, Bundle: b.Head, Counts: p.Counts,
		Items: l.Head.Items, Carried: v.Head.Carried, Dropped: v.Head.Dropped, Verdict: v.Head.Verdict, Groups: a.Rows,
	}, nil
}

// writeReport writes the page of a template.
func (r *run) writeReport(name string, page any) (path string, err error) {
	var text bytes.Buffer
	if err := reportTemplate.ExecuteTemplate(&text, name, page); err != nil {
		return "", fmt.Errorf("report: %w", err)
	}
	path = filepath.Join(r.dir, reportFile)
	if err := writeFile(path, text.Bytes()); err != nil {
		return "", fmt.Errorf("report: %w", err)
	}
	return path, nil
}

func count(s selected, sc scores, a advantages, v verdict) Counts {
	return Counts{
		Live: s.Head.Live, LeftOut: explain(s.Head.LeftOut, sc.Head.LeftOut, a.Head.LeftOut),
		Holdout: v.Head.Holdout, Trained: a.Head.Trained, Groups: a.Head.Taught,
	}
}

func funnel(c Counts, s selected, sc scores) []funnelStep {
	share := func(n int) float64 { return 100 * float64(n) / float64(max(c.Live, 1)) }
	steps := []funnelStep{
		{Count: c.Live, Words: "in the dataset"},
		{Count: len(s.Rows), Words: "selected"},
		{Count: sc.Head.Scored, Words: "with a return"},
		{Count: c.Trained, Words: "learned from"},
		{Count: c.Holdout, Words: "kept for the gate"},
	}
	for i := range steps {
		steps[i].Share = share(steps[i].Count)
	}
	return steps
}

func (p *page) tasks(s selected, sc scores) {
	returns := returnsByID(sc)
	byKey := map[string]*taskView{}
	sums := map[string]map[string]*ruleView{}
	for _, row := range s.Rows {
		r := returns[row.ID]
		if r == nil || r.Return == nil {
			continue
		}
		key := row.Tenant + "\x00" + row.Group
		t := byKey[key]
		if t == nil {
			t = &taskView{Label: prompt.Label(row.Group), Tenant: row.Tenant}
			byKey[key], sums[key] = t, map[string]*ruleView{}
		}
		t.Returns = append(t.Returns, *r.Return)
		t.Mean += *r.Return
		if row.Split == Holdout {
			t.Holdout++
		} else {
			t.Train++
		}
		for name, value := range r.Rewards {
			if sums[key][name] == nil {
				sums[key][name] = &ruleView{Name: name}
			}
			sums[key][name].Mean += value
			sums[key][name].Known++
		}
	}
	for key, t := range byKey {
		t.Mean /= float64(len(t.Returns))
		for _, r := range sums[key] {
			r.Mean /= float64(r.Known)
			t.Rules = append(t.Rules, *r)
		}
		slices.SortFunc(t.Rules, func(a, b ruleView) int { return cmp.Compare(a.Name, b.Name) })
		t.TitleForReaders = fmt.Sprintf("%d returns, mean %s", len(t.Returns), number(t.Mean))
		p.Tasks = append(p.Tasks, *t)
	}
	slices.SortFunc(p.Tasks, func(a, b taskView) int {
		return cmp.Or(cmp.Compare(len(b.Returns), len(a.Returns)), strings.Compare(a.Label, b.Label), strings.Compare(a.Tenant, b.Tenant))
	})
	p.MoreTasks = max(0, len(p.Tasks)-shownRows)
	p.Tasks = p.Tasks[:len(p.Tasks)-p.MoreTasks]
}

func (p *page) groups(a advantages) {
	for _, g := range a.Rows {
		v := groupView{ScoredGroup: g, Name: prompt.Label(g.Label)}
		v.Low, v.High = slices.Min(g.Returns), slices.Max(g.Returns)
		for _, r := range g.Returns {
			v.Mean += r / float64(len(g.Returns))
		}
		if len(g.Advantages) > 0 {
			v.TitleForReaders = fmt.Sprintf("%d advantages from %s to %s", len(g.Advantages), signed(slices.Min(g.Advantages)), signed(slices.Max(g.Advantages)))
		}
		p.Groups = append(p.Groups, v)
	}
	slices.SortStableFunc(p.Groups, func(a, b groupView) int { return cmp.Compare(len(b.IDs), len(a.IDs)) })
	p.MoreGroups = max(0, len(p.Groups)-shownRows)
	p.Groups = p.Groups[:len(p.Groups)-p.MoreGroups]
}

// scales gives all plots of a kind the same axis, so that rows can be compared.
func (p *page) scales() {
	returns, adv := []float64{0}, []float64{0}
	for _, t := range p.Tasks {
		returns = append(returns, t.Returns...)
	}
	for _, g := range p.Groups {
		adv = append(adv, g.Advantages...)
	}
	p.Returns = newScale(slices.Min(returns), slices.Max(returns), plotWidth)
	p.Advantages = newScale(slices.Min(adv), slices.Max(adv), plotWidth)
	effects, gate := []float64{0}, []float64{0}
	for _, it := range p.Learned.Items {
		effects = append(effects, it.Evidence.Effect.Low, it.Evidence.Effect.High)
	}
	for _, c := range p.Checks {
		if c.Effect != nil {
			gate = append(gate, c.Effect.Low, c.Effect.High)
		}
	}
	if p.Verdict.Effect != nil {
		gate = append(gate, p.Verdict.Effect.Low, p.Verdict.Effect.High)
	}
	p.Effects = newScale(slices.Min(effects), slices.Max(effects), forestWidth)
	p.Gate = newScale(slices.Min(gate), slices.Max(gate), forestWidth)
}
