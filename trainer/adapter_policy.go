package trainer

import (
	"path"
	"slices"
	"strings"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/trainer/grpo"
	"github.com/tracegrad/tracegrad/trainer/sequence"
)

// names are those of a model call's model, the most exact first.
func names(m *trajectory.ModelCall) []string {
	return slices.DeleteFunc([]string{m.Adapter, m.ResponseModel, m.RequestModel}, func(s string) bool { return s == "" })
}

// servedBy is the model that served a call, as exactly as is known.
func servedBy(m *trajectory.ModelCall) string {
	if known := names(m); len(known) > 0 {
		return known[0]
	}
	return "unknown"
}

// baseNames are the names of the base model.
func (a *AdapterConfig) baseNames() []string {
	return []string{a.BaseModel, path.Base(strings.ReplaceAll(a.BaseModel, `\`, "/"))}
}

func listed(known []string, m *trajectory.ModelCall) bool {
	return slices.ContainsFunc(names(m), func(name string) bool {
		return slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, name) })
	})
}

// ours reports a name that adapters of the base model are served under, see
// [bundle.Bundle.AdapterName].
func (a *AdapterConfig) ours(name string) bool {
	id := name[max(0, len(name)-shortID):]
	if len(id) < shortID || strings.Trim(id, "0123456789abcdef") != "" {
		return false
	}
	b := bundle.Bundle{Manifest: bundle.Manifest{BaseModel: a.BaseModel, ID: id}}
	return name == b.AdapterName()
}

const shortID = 12 // digits of an id in a name

// adapterOf is the adapter that served a call; "" = none that is known of.
func (a *AdapterConfig) adapterOf(m *trajectory.ModelCall) string {
	if m.Adapter != "" {
		return m.Adapter
	}
	for _, name := range names(m) {
		if a.ours(name) {
			return name
		}
	}
	return ""
}

// use says why a model call is not trained on: it is of another model than the
// one that is trained and its adapters. A token of another model has a probability
// under this one that says nothing of how it came about.
func (n *adapterNight) use(s *trajectory.Step) string {
	a := &n.Config.Adapter
	known := a.Models
	if len(known) == 0 {
		known = a.baseNames()
	}
	whatever := len(known) == 1 && known[0] == anyModel
	switch {
	case !whatever && !listed(known, s.Model) && !a.ours(a.adapterOf(s.Model)):
		return leftOther
	case n.foreign(s) && n.Config.Algorithm.OffPolicy.Kind == "none":
		return sequence.LeftOtherPolicy // nothing would weigh it
	}
	return ""
}

// foreign reports a call of another policy than the night starts from: another
// adapter, or, where an adapter is trained further, the base model. A name that
// the user lists stands for the starting policy unless an adapter is known of.
// Examples (sft) are followed, whoever gave them.
func (n *adapterNight) foreign(s *trajectory.Step) bool {
	a, m := &n.Config.Adapter, s.Model
	served := a.adapterOf(m)
	switch {
	case n.Config.Algorithm.Name == string(grpo.SFT):
		return false
	case n.base == nil:
		return served != ""
	case served != "":
		return served != n.base.AdapterName() && !strings.HasSuffix(served, "-"+bundle.ShortID(n.base.ID()))
	}
	return len(a.Models) == 0 || listed(a.baseNames(), m)
}
