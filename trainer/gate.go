package trainer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/trainer/prompt"
)

// Gated is gate.json: the verdict on what was learned together with what stays
// of the starting policy.
type Gated struct {
	prompt.Verdict
	Base    string        `json:"base,omitempty"` // id of the starting policy
	Carried []CarriedItem `json:"carried"`
	Dropped []DroppedItem `json:"not_carried"`
}

type verdict = artifact[Gated, none]

func (n *night) gateStage(sel selected, s samples, l learned) (verdict, error) {
	g, c, base := n.Config.Gate, n.Config, ""
	if n.base != nil {
		base = n.base.ID()
	}
	// The holdout is not part of what was learned, so the chain does not cover it.
	inputs := []any{g, c.Seed, c.Policy.MaxItems, base, n.digestOf("select"), n.digestOf("score")}
	return stage(n.run, "gate", inputs, func() (verdict, error) {
		items, untested := l.Head.Items, map[string]bool{}
		for i := range items {
			untested[items[i].ID] = prompt.Support(&items[i], s.holdout, s.norms) == 0
		}
		out := Gated{Base: base}
		var old []prompt.Item
		out.Carried, old, out.Dropped = n.carry(items, untested, s)
		out.Verdict = prompt.Gate(slices.Concat(items, old), s.holdout, s.norms, prompt.GateOptions{
			MinSupport: g.MinSupport, Confidence: g.Confidence, Threshold: g.Threshold, Seed: c.Seed,
		})
		out.refuse(items, untested)
		out.advise(g, sel.Head, items)
		out.note(items)
		return verdict{Head: out}, nil
	})
}

// refuse a verdict that rests on the starting policy alone: nothing is new.
func (v *Gated) refuse(learned []prompt.Item, untested map[string]bool) {
	tested := slices.ContainsFunc(learned, func(it prompt.Item) bool { return !untested[it.ID] })
	switch {
	case len(learned) == 0:
		v.Passed, v.Reason = false, "no guidance was learned"
	case !tested:
		v.Passed, v.Reason = false, "nothing to compare: in no group of the holdout do some trajectories follow what was learned and others not"
	}
}

// advise says what to change if the holdout is too small to tell.
func (v *Gated) advise(g GateConfig, s SelectHead, learned []prompt.Item) {
	if v.Passed || len(learned) == 0 || v.Effect != nil && v.Support >= g.MinSupport {
		return
	}
	by := strings.Join(strings.Fields(g.HoldoutBy), " ")
	v.Reason += fmt.Sprintf("; gate.holdout_by (%s) has %d values and %d of them %s held out: raise gate.holdout (%v), or wait for more runs",
		by, s.HoldoutKeys, s.HeldOutKeys, isAre(s.HeldOutKeys), g.Holdout)
	if by != "input" {
		v.Reason += ", or hold out by something finer, such as input"
	}
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// note names in the reason what the verdict does not speak for, and what it
// speaks for besides what was learned.
func (v *Gated) note(learned []prompt.Item) {
	var left, tested, untested []string
	for i := range learned {
		if v.Passed && slices.Contains(v.Untested, learned[i].ID) {
			left = append(left, name(&learned[i]))
		}
	}
	for _, c := range v.Carried {
		it, _ := understood(c.Item)
		if c.Tested {
			tested = append(tested, name(&it))
		} else {
			untested = append(untested, name(&it))
		}
		if !v.Passed && slices.Contains(v.Harmful, c.ID) {
			v.Reason += fmt.Sprintf(" (%s is of the starting policy: promote a bundle without it, or name one as base)", c.ID)
		}
	}
	add := func(words string, names []string) {
		if len(names) > 0 {
			v.Reason += "; " + words + ": " + strings.Join(names, ", ")
		}
	}
	add("left out, as the holdout cannot test it", left)
	add("kept from "+bundle.ShortID(v.Base), tested)
	add("kept from "+bundle.ShortID(v.Base)+", not tested tonight", untested)
}

// name is an item in a few words.
func name(it *prompt.Item) string {
	if it.Direction == "" {
		return it.ID
	}
	return fmt.Sprintf("%s %s (%s)", it.Direction, it.Feature.Key(), it.ID)
}
