package prompt

import (
	"cmp"
	"fmt"
	"slices"
)

// Options bound what is learned. Zero values mean the defaults.
type Options struct {
	MaxItems   int     // 8
	MinSupport int     // 5: trajectories with and without the feature, each
	FDR        float64 // 0.1: expected share of false discoveries
	Confidence float64 // 0.95, of the intervals
	Resamples  int     // 2000
	Seed       uint64
}

func (o Options) withDefaults() Options {
	o.MaxItems = cmp.Or(o.MaxItems, 8)
	o.MinSupport = cmp.Or(o.MinSupport, 5)
	o.FDR = cmp.Or(o.FDR, 0.1)
	o.Confidence = cmp.Or(o.Confidence, 0.95)
	o.Resamples = cmp.Or(o.Resamples, 2000)
	return o
}

// Tested is what became of one feature.
type Tested struct {
	Feature   Feature   `json:"feature"`
	Direction Direction `json:"direction"`
	Evidence  Evidence  `json:"evidence"`
	Outcome   string    `json:"outcome"` // "learned", or why not
}

// Outcomes that others look for.
const (
	OutcomeLearned = "learned" // it became an item
	// Learned on one task, or by one agent, whose name says nothing to a reader;
	// without the name it would be claimed for all.
	OutcomeNoLabel = "no readable label for its task"
	OutcomeNoAgent = "no readable name for its agent"
)

// Learned is guidance and how it was arrived at.
type Learned struct {
	Items  []Item   `json:"items"`  // strongest first
	Tested []Tested `json:"tested"` // every feature that both occurred and was absent somewhere
}

// Learn contrasts the advantages of training samples. Equal samples, in
// whatever order, and options give equal results.
func Learn(train []Sample, norms *Norms, opt Options) Learned {
	opt = opt.withDefaults()
	samples := make([]*Sample, len(train))
	for i := range train {
		samples[i] = &train[i]
	}
	slices.SortFunc(samples, func(a, b *Sample) int { return cmp.Compare(a.ID, b.ID) })
	var found []*contrast
	var p []float64
	for _, f := range Features(train) {
		if c := newContrast(f, samples, norms, opt); c != nil {
			found = append(found, c)
			if c.outcome == "" {
				p = append(p, c.evidence.P)
			}
		}
	}
	q := adjust(p)
	for _, c := range found {
		if c.outcome == "" {
			c.evidence.Q, q = q[0], q[1:]
			c.judge(opt)
		}
	}
	return take(found, samples, norms, opt)
}

// contrast is one feature under test.
type contrast struct {
	feature   Feature
	direction Direction
	text      string
	strata    strata    // of advantages, those that follow the direction first
	compared  []*Sample // that stand in strata
	evidence  Evidence
	scope     Scope
	outcome   string // "" = still a candidate
}

// newContrast measures a feature; nil if nothing can be compared.
func newContrast(f Feature, samples []*Sample, norms *Norms, opt Options) *contrast {
	c := &contrast{feature: f, direction: Do}
	c.measure(samples, norms)
	if len(c.strata) == 0 {
		return nil
	}
	if c.strata.effect() < 0 {
		c.direction = Avoid
		c.measure(samples, norms)
	}
	e := &c.evidence
	e.Effect = Interval{Estimate: c.strata.effect(), Confidence: opt.Confidence}
	var ok bool
	var lacking string
	c.scope, lacking = scopeOf(c.compared, samples)
	switch c.text, ok = f.Text(c.direction); {
	case min(e.With, e.Without) < opt.MinSupport:
		c.outcome = fmt.Sprintf("support %d < %d", min(e.With, e.Without), opt.MinSupport)
	case !ok:
		c.outcome = "no guidance says this"
	case !severalTenants(c.compared, samples):
		c.outcome = "seen in one tenant only"
	case lacking != "":
		c.outcome = lacking
	default:
		_, e.P = c.strata.permutation(source(opt.Seed, "learn p "+f.Key()), opt.Resamples)
		e.Effect = c.strata.interval(source(opt.Seed, "learn interval "+f.Key()), opt.Resamples, opt.Confidence)
	}
	return c
}

// measure builds the strata for the contrast's direction and counts.
func (c *contrast) measure(samples []*Sample, norms *Norms) {
	item := Item{Feature: c.feature, Direction: c.direction}
	var advantages, returns []arm
	for _, s := range samples {
		if follows, applies := item.Follows(s, norms); applies {
			advantages = append(advantages, arm{s.stratum(), s.Advantage, follows})
			returns = append(returns, arm{s.stratum(), s.Return, follows})
		}
	}
	c.strata = stratify(advantages)
	if len(c.strata) == 0 {
		return
	}
	keys, groups := map[string]bool{}, map[string]bool{}
	for _, s := range c.strata {
		keys[s.key] = true
	}
	c.compared = nil
	for _, s := range samples {
		if _, applies := item.Follows(s, norms); applies && keys[s.stratum()] {
			c.compared = append(c.compared, s)
			groups[s.groupKey()] = true
		}
	}
	e := &c.evidence
	e.With, e.Without, _ = c.strata.counts()
	e.Groups = len(groups)
	e.Return = stratify(returns).effect()
}

func (c *contrast) judge(opt Options) {
	switch e := &c.evidence; {
	case e.Q > opt.FDR:
		c.outcome = fmt.Sprintf("could be chance: q %.2g > %.2g", e.Q, opt.FDR)
	case e.Effect.Low <= 0:
		c.outcome = "interval includes 0"
	}
}

// severalTenants keeps what only one tenant's trajectories show, if there are
// several, out of guidance that all tenants would read.
func severalTenants(compared, all []*Sample) bool {
	count := func(samples []*Sample) int {
		tenants := map[string]bool{}
		for _, s := range samples {
			tenants[s.Tenant] = true
		}
		return len(tenants)
	}
	return count(all) == 1 || count(compared) > 1
}
