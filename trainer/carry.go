package trainer

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/trainer/prompt"
)

// CarriedItem is guidance of the starting policy that stays: where everybody
// follows it there is no contrast left to learn it from again.
type CarriedItem struct {
	bundle.Item
	From   string `json:"from"`   // bundle id
	Tested bool   `json:"tested"` // by tonight's gate
	Note   string `json:"note"`   // both in words
}

// DroppedItem is guidance of the starting policy that does not stay.
type DroppedItem struct {
	ID     string `json:"id"`
	Text   string `json:"text"`
	Reason string `json:"reason"`
}

// Names of the numbers of an item in a bundle that are the gate's. They are
// there only if a holdout tested the item, and they are why it may be carried
// into a released bundle in a night that cannot test it.
const (
	gateSupport = "gate_support"
	gateEffect  = "gate_effect"
	gateLow     = "gate_ci_low"
	gateHigh    = "gate_ci_high"
)

// carry decides what stays of the starting policy beside the items learned
// tonight, of which untested ones are named by id. It gives what stays, those
// of it that tonight's gate can test, and what does not stay.
func (n *night) carry(learned []prompt.Item, untested map[string]bool, s samples) (carried []CarriedItem, tested []prompt.Item, dropped []DroppedItem) {
	carried, dropped = []CarriedItem{}, []DroppedItem{}
	if n.base == nil || n.base.Prompt == nil {
		return carried, nil, dropped
	}
	from, taken := n.base.ID(), 0
	for i := range learned {
		if !untested[learned[i].ID] {
			taken++
		}
	}
	for _, it := range n.base.Prompt.Items {
		item, known := understood(it)
		support := 0
		if known {
			support = prompt.Support(&item, s.holdout, s.norms)
		}
		reason := superseded(&item, known, learned, untested)
		switch {
		case n.base.Manifest.Status != bundle.StatusReleased:
			reason = "the gate of " + bundle.ShortID(from) + " did not pass"
		case reason != "":
		case support == 0 && it.Evidence[gateSupport] <= 0:
			reason = "no holdout ever tested it"
		case taken+len(carried) >= n.Config.Policy.MaxItems:
			reason = fmt.Sprintf("max_items %d reached", n.Config.Policy.MaxItems)
		}
		if reason != "" {
			dropped = append(dropped, DroppedItem{it.ID, it.Text, reason})
			continue
		}
		c := CarriedItem{Item: it, From: from, Tested: support > 0, Note: "from " + bundle.ShortID(from)}
		if c.Tested {
			tested = append(tested, item)
		} else {
			c.Note += ", not tested tonight"
		}
		carried = append(carried, c)
	}
	return carried, tested, dropped
}

// understood reads an item of a bundle back into what can be tested; false if
// its sentence is none that this version writes.
func understood(it bundle.Item) (prompt.Item, bool) {
	f, d, ok := prompt.Recognize(it.Text)
	return prompt.Item{
		ID: it.ID, Feature: f, Direction: d, Text: it.Text,
		Scope: prompt.Scope{Task: it.Scope.Task, Agent: it.Scope.Agent},
	}, ok
}

// superseded says which item of tonight replaces or contradicts an earlier one,
// "" if none. An earlier item is not replaced by one that says the same but
// could not be tested.
func superseded(it *prompt.Item, known bool, learned []prompt.Item, untested map[string]bool) string {
	for i := range learned {
		l := &learned[i]
		switch {
		case !known && (l.ID == it.ID || l.Text == it.Text):
			return "replaced by " + l.ID
		case !known || !l.Meets(it):
		case l.Direction != it.Direction:
			return "contradicted by " + l.ID
		case !untested[l.ID]:
			return "replaced by " + l.ID
		}
	}
	return ""
}

// promptOf is what a bundle says: what was learned and what is carried. A
// released one holds no item that no gate ever tested; in a candidate they
// stand for inspection.
func promptOf(l Learned, v Gated) bundle.Prompt {
	var p bundle.Prompt
	checks := map[string]prompt.Check{}
	for _, c := range v.Items {
		checks[c.ID] = c
	}
	for i := range l.Items {
		it := &l.Items[i]
		if slices.Contains(v.Untested, it.ID) && (v.Passed || v.carries(it)) {
			continue
		}
		p.Items = append(p.Items, bundle.Item{
			ID: it.ID, Text: it.Text, Scope: bundle.Scope{Task: it.Scope.Task, Agent: it.Scope.Agent},
			Evidence: gated(evidence(it.Evidence), checks[it.ID]),
		})
	}
	for _, c := range v.Carried {
		c.Evidence = gated(c.Evidence, checks[c.ID])
		p.Items = append(p.Items, c.Item)
	}
	for _, d := range l.Demonstrations {
		p.Demonstrations = append(p.Demonstrations, bundle.Demonstration{ID: d.ID, Task: d.Task, Tenant: d.Tenant, Input: d.Input, Output: d.Output})
	}
	return p
}

// carries reports whether an item of the starting policy stands for it.
func (v *Gated) carries(it *prompt.Item) bool {
	return slices.ContainsFunc(v.Carried, func(c CarriedItem) bool {
		carried, known := understood(c.Item)
		return known && carried.Meets(it)
	})
}

func evidence(e prompt.Evidence) map[string]float64 {
	return map[string]float64{
		"effect": e.Effect.Estimate, "ci_low": e.Effect.Low, "ci_high": e.Effect.High, "confidence": e.Effect.Confidence,
		"return_difference": e.Return, "p": e.P, "q": e.Q,
		"n_with": float64(e.With), "n_without": float64(e.Without), "groups": float64(e.Groups),
	}
}

// gated adds what the gate saw of an item, if it saw anything.
func gated(numbers map[string]float64, c prompt.Check) map[string]float64 {
	if c.Effect == nil {
		return numbers
	}
	out := map[string]float64{}
	maps.Copy(out, numbers)
	out[gateSupport], out[gateEffect] = float64(c.Support), c.Effect.Estimate
	out[gateLow], out[gateHigh] = c.Effect.Low, c.Effect.High
	return out
}
