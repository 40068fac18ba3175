package prompt

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// take takes candidates by the lower bound of their effect, leaving out those
// that say the same as one already taken.
func take(found []*contrast, samples []*Sample, norms *Norms, opt Options) Learned {
	order := slices.Clone(found)
	slices.SortStableFunc(order, func(a, b *contrast) int {
		return cmp.Compare(b.evidence.Effect.Low, a.evidence.Effect.Low)
	})
	var taken []*contrast
	for _, c := range order {
		if c.outcome != "" {
			continue
		}
		twin := slices.IndexFunc(taken, func(t *contrast) bool { return t.same(c, samples, norms) })
		contrary := slices.IndexFunc(taken, func(t *contrast) bool {
			return t.feature.subject() == c.feature.subject() && t.direction != c.direction
		})
		switch {
		case contrary >= 0:
			c.outcome = "contradicts " + taken[contrary].feature.Key()
		case twin >= 0:
			c.outcome = "says the same as " + taken[twin].feature.Key()
		case len(taken) == opt.MaxItems:
			c.outcome = fmt.Sprintf("max_items %d reached", opt.MaxItems)
		default:
			c.outcome = OutcomeLearned
			taken = append(taken, c)
		}
	}
	out := Learned{Items: []Item{}, Tested: []Tested{}}
	for _, c := range taken {
		out.Items = append(out.Items, c.item(norms))
	}
	for _, c := range found {
		out.Tested = append(out.Tested, Tested{c.feature, c.direction, c.evidence, c.outcome})
	}
	return out
}

// sameAs is the correlation above which two features are taken for one.
const sameAs = 0.8

// same reports whether two contrasts sort the trajectories alike: by the
// correlation (φ) of following the one and the other where either applies.
func (c *contrast) same(other *contrast, samples []*Sample, norms *Norms) bool {
	if c.feature.subject() == other.feature.subject() && c.direction == other.direction {
		return true
	}
	a := Item{Feature: c.feature, Direction: c.direction}
	b := Item{Feature: other.feature, Direction: other.direction}
	var n [2][2]float64
	for _, s := range samples {
		x, ax := a.Follows(s, norms)
		y, ay := b.Follows(s, norms)
		if ax && ay {
			n[index(x)][index(y)]++
		}
	}
	rows := [2]float64{n[0][0] + n[0][1], n[1][0] + n[1][1]}
	columns := [2]float64{n[0][0] + n[1][0], n[0][1] + n[1][1]}
	spread := math.Sqrt(rows[0] * rows[1] * columns[0] * columns[1])
	return spread > 0 && (n[1][1]*n[0][0]-n[1][0]*n[0][1])/spread >= sameAs
}

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

// shown is the number of example trajectories on each side of an item.
const shown = 3

func (c *contrast) item(norms *Norms) Item {
	it := Item{
		Feature: c.feature, Direction: c.direction, Text: c.text,
		Scope: c.scope, Evidence: c.evidence,
	}
	it.ID = itemID(it.Feature, it.Direction, it.Scope)
	sorted := slices.Clone(c.compared)
	slices.SortStableFunc(sorted, func(a, b *Sample) int { return cmp.Compare(b.Advantage, a.Advantage) })
	for i := range sorted {
		best, worst := sorted[i], sorted[len(sorted)-1-i]
		if follows, _ := it.Follows(best, norms); follows && len(it.Better) < shown {
			it.Better = append(it.Better, best.ID)
		}
		if follows, _ := it.Follows(worst, norms); !follows && len(it.Worse) < shown {
			it.Worse = append(it.Worse, worst.ID)
		}
	}
	return it
}
