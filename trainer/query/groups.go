package query

import (
	"cmp"
	"slices"
	"strings"
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
// never cross tenants.
func Groups(scored []Scored) []Group {
	type task struct{ tenant, label string }
	seen := map[task]int32{}
	of := make([]int32, len(scored)) // the group of each
	var sizes []int
	var tasks []task
	for i := range scored {
		key := task{scored[i].Tenant, scored[i].Group}
		g, known := seen[key]
		if !known {
			g = int32(len(tasks)) //nolint:gosec // there are not so many
			seen[key] = g
			tasks, sizes = append(tasks, key), append(sizes, 0)
		}
		of[i] = g
		sizes[g]++
	}
	members := gathered(of, sizes)
	ids, returns := make([]string, len(scored)), make([]float64, len(scored))
	found := make([]Group, len(tasks))
	from := 0
	for g, size := range sizes {
		to := from + size
		slices.SortFunc(members[from:to], func(a, b int32) int { return strings.Compare(scored[a].ID, scored[b].ID) })
		for i := from; i < to; i++ {
			ids[i], returns[i] = scored[members[i]].ID, scored[members[i]].Return
		}
		found[g] = Group{Tenant: tasks[g].tenant, Label: tasks[g].label, IDs: ids[from:to:to], Returns: returns[from:to:to]}
		from = to
	}
	slices.SortFunc(found, func(a, b Group) int {
		return cmp.Or(strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.Label, b.Label))
	})
	return found
}

// gathered are the positions in of, group after group.
func gathered(of []int32, sizes []int) []int32 {
	next := make([]int, len(sizes))
	for g := 1; g < len(sizes); g++ {
		next[g] = next[g-1] + sizes[g-1]
	}
	out := make([]int32, len(of))
	for i, g := range of {
		out[next[g]] = int32(i) //nolint:gosec // there are not so many
		next[g]++
	}
	return out
}
