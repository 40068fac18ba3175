package query

import (
	"cmp"
	"slices"
)

// Scored is a trajectory with its return.
type Scored struct {
	ID, Tenant, Group string
	Return            float64
}

// Group is the scored trajectories of one task and one tenant, by id.
type Group struct {
	Tenant  string    `json:"tenant,omitempty"`
	Label   string    `json:"group"`
	IDs     []string  `json:"trajectory_ids"`
	Returns []float64 `json:"returns"` // of IDs, one each
}

// Groups gathers trajectories into groups, sorted by tenant and label. Groups
// never cross tenants. It puts the list into that order.
func Groups(scored []Scored) []Group {
	slices.SortFunc(scored, func(a, b Scored) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Group, b.Group), cmp.Compare(a.ID, b.ID))
	})
	ids, returns := make([]string, len(scored)), make([]float64, len(scored))
	for i, s := range scored {
		ids[i], returns[i] = s.ID, s.Return
	}
	var out []Group
	for from := 0; from < len(scored); {
		first, to := scored[from], from+1
		for to < len(scored) && scored[to].Tenant == first.Tenant && scored[to].Group == first.Group {
			to++
		}
		out = append(out, Group{Tenant: first.Tenant, Label: first.Group, IDs: ids[from:to:to], Returns: returns[from:to:to]})
		from = to
	}
	return out
}
