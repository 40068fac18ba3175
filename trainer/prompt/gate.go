package prompt

import (
	"cmp"
	"fmt"
	"slices"
)

// GateOptions say what a release must show. Zero values mean the defaults.
type GateOptions struct {
	MinSupport int     // 8 matched pairs
	Confidence float64 // 0.95
	Threshold  float64 // 0: the lower bound must be above it
	Resamples  int     // 10000
	Seed       uint64
}

func (o GateOptions) withDefaults() GateOptions {
	o.MinSupport = cmp.Or(o.MinSupport, 8)
	o.Confidence = cmp.Or(o.Confidence, 0.95)
	o.Resamples = cmp.Or(o.Resamples, 10000)
	return o
}

// Verdict is what the gate saw and decided. Missing numbers are nil.
type Verdict struct {
	Passed   bool      `json:"passed"`
	Reason   string    `json:"reason"`            // why, in words, either way
	Effect   *Interval `json:"effect,omitempty"`  // return of those that follow the guidance minus return of those that do not
	P        *float64  `json:"p,omitempty"`       // one-sided, by permutation
	Support  int       `json:"support"`           // matched pairs: follower and non-follower of the same stratum, each used once
	Strata   int       `json:"strata"`            // group × bundle in which both occur
	Groups   int       `json:"groups"`            // groups among them
	With     int       `json:"n_with"`            // followers compared
	Without  int       `json:"n_without"`         // non-followers compared
	Holdout  int       `json:"holdout"`           // trajectories in the holdout
	Ignored  int       `json:"not_concerned"`     // that no item applies to
	Unpaired int       `json:"not_paired"`        // in strata where all or none follow
	Items    []Check   `json:"items,omitempty"`   // each item alone
	Harmful  []string  `json:"harmful,omitempty"` // ids of items whose own interval is below 0
	Untested []string  `json:"not_tested"`        // ids of items that the holdout says nothing about; they had no part in the comparison
}

// Check is one item alone on the holdout: information, not a test. Only a
// clearly harmful item decides (against the release).
type Check struct {
	ID      string    `json:"id"`
	Effect  *Interval `json:"effect,omitempty"` // nil: nothing to compare
	Support int       `json:"support"`
	Strata  int       `json:"strata"`
}

// Gate compares, within the strata of the holdout, trajectories that follow the
// whole guidance (every item that concerns them) with those that break any of
// it. It is one comparison, so it needs no correction for the number of items.
// Items without [Support] have no part in it: the verdict says nothing of them.
//
// It passes only if
//   - the matched pairs are at least MinSupport,
//   - the lower bound of the interval is above Threshold,
//   - chance alone would do as well with a probability of at most
//     (1 - Confidence) / 2, by permutation: intervals from few trajectories can
//     be too narrow, this cannot,
//   - no item alone is harmful with the same confidence.
//
// The holdout must have had no part in what was learned.
func Gate(items []Item, holdout []Sample, norms *Norms, opt GateOptions) Verdict {
	opt = opt.withDefaults()
	v := Verdict{Holdout: len(holdout), Untested: []string{}}
	if len(items) == 0 {
		v.Ignored = len(holdout)
		v.Reason = "no guidance was learned"
		return v
	}
	samples := make([]*Sample, len(holdout))
	for i := range holdout {
		samples[i] = &holdout[i]
	}
	slices.SortFunc(samples, func(a, b *Sample) int { return cmp.Compare(a.ID, b.ID) })
	var tested []Item
	for i := range items {
		if v.check(&items[i], samples, norms, opt) {
			tested = append(tested, items[i])
		}
	}
	s := compliance(tested, samples, norms)
	v.count(s, samples, tested, norms)
	if len(s) > 0 {
		effect := s.interval(source(opt.Seed, "gate interval"), opt.Resamples, opt.Confidence)
		p, _ := s.permutation(source(opt.Seed, "gate p"), opt.Resamples)
		v.Effect, v.P = &effect, &p
	}
	v.decide(opt)
	return v
}

// Support is the number of matched pairs of the holdout that test an item alone.
func Support(it *Item, holdout []Sample, norms *Norms) int {
	samples := make([]*Sample, len(holdout))
	for i := range holdout {
		samples[i] = &holdout[i]
	}
	_, _, pairs := compliance([]Item{*it}, samples, norms).counts()
	return pairs
}

// compliance sorts the outcomes by whether the whole guidance was followed.
func compliance(items []Item, samples []*Sample, norms *Norms) strata {
	var arms []arm
	for _, s := range samples {
		if follows, applies := followsAll(items, s, norms); applies {
			arms = append(arms, arm{s.stratum(), s.Return, follows})
		}
	}
	return stratify(arms)
}

func followsAll(items []Item, s *Sample, norms *Norms) (follows, applies bool) {
	follows = true
	for i := range items {
		if f, a := items[i].Follows(s, norms); a {
			applies = true
			follows = follows && f
		}
	}
	return follows, applies
}

func (v *Verdict) count(s strata, samples []*Sample, items []Item, norms *Norms) {
	v.With, v.Without, v.Support = s.counts()
	v.Strata = len(s)
	keys, groups := map[string]bool{}, map[string]bool{}
	for _, x := range s {
		keys[x.key] = true
	}
	for _, sample := range samples {
		_, applies := followsAll(items, sample, norms)
		switch {
		case !applies:
			v.Ignored++
		case keys[sample.stratum()]:
			groups[sample.groupKey()] = true
		default:
			v.Unpaired++
		}
	}
	v.Groups = len(groups)
}

// check looks at one item alone; false if the holdout says nothing about it.
func (v *Verdict) check(it *Item, samples []*Sample, norms *Norms, opt GateOptions) (tested bool) {
	s := compliance([]Item{*it}, samples, norms)
	c := Check{ID: it.ID, Strata: len(s)}
	_, _, c.Support = s.counts()
	if len(s) > 0 {
		effect := s.interval(source(opt.Seed, "gate item "+it.ID), opt.Resamples, opt.Confidence)
		c.Effect = &effect
		_, p := s.permutation(source(opt.Seed, "gate item p "+it.ID), opt.Resamples)
		if effect.High < 0 && p <= 1-opt.Confidence {
			v.Harmful = append(v.Harmful, it.ID)
		}
	}
	v.Items = append(v.Items, c)
	if len(s) == 0 {
		v.Untested = append(v.Untested, it.ID)
	}
	return len(s) > 0
}

func (v *Verdict) decide(opt GateOptions) {
	tail := (1 - opt.Confidence) / 2
	switch {
	case v.Effect == nil:
		v.Reason = "nothing to compare: in no group of the holdout do some trajectories follow the guidance and others not"
	case v.Support < opt.MinSupport:
		v.Reason = fmt.Sprintf("support %d < %d matched pairs", v.Support, opt.MinSupport)
	case v.Effect.Low <= opt.Threshold && opt.Threshold == 0:
		v.Reason = fmt.Sprintf("interval includes 0: %+.3f to %+.3f", v.Effect.Low, v.Effect.High)
		if v.Effect.High < 0 {
			v.Reason = fmt.Sprintf("interval is below 0: %+.3f to %+.3f", v.Effect.Low, v.Effect.High)
		}
	case v.Effect.Low <= opt.Threshold:
		v.Reason = fmt.Sprintf("lower bound %+.3f is not above the threshold %+.3f", v.Effect.Low, opt.Threshold)
	case *v.P > tail:
		v.Reason = fmt.Sprintf("could be chance: p %.3g > %.3g", *v.P, tail)
	case len(v.Harmful) > 0:
		v.Reason = fmt.Sprintf("item %s is harmful on the holdout", v.Harmful[0])
	default:
		v.Passed = true
		v.Reason = fmt.Sprintf("the interval %+.3f to %+.3f lies above %.4g, with %d matched pairs in %d groups", v.Effect.Low, v.Effect.High, opt.Threshold, v.Support, v.Groups)
	}
}
