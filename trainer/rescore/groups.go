package rescore

import (
	"cmp"
	"slices"
	"strings"
)

// groups compares how the two files order attempts at the same task.
func (c *Comparison) groups(r *Report) {
	for _, members := range c.byTask() {
		flat := [2]bool{}
		for side := range 2 {
			n, same := spread(members, side)
			if n < 2 {
				flat[side] = true
				continue
			}
			r.Files[side].Groups++
			if flat[side] = same; same {
				r.Files[side].GroupsFlat++
			}
		}
		switch {
		case flat[1] && !flat[0]:
			r.Groups.Lost++
		case flat[0] && !flat[1]:
			r.Groups.Gained++
		}
		r.Groups.add(members)
	}
	slices.SortFunc(r.Groups.Flips, func(a, b Flip) int { return cmp.Or(cmp.Compare(b.Shift, a.Shift), cmp.Compare(a.Risen, b.Risen)) })
	r.Groups.Flips = r.Groups.Flips[:min(len(r.Groups.Flips), shownFlips)]
}

// byTask gathers the rows of each task that is known.
func (c *Comparison) byTask() map[string][]*row {
	out := map[string][]*row{}
	for i := range c.rows {
		if r := &c.rows[i]; r.task != "" {
			out[r.task] = append(out[r.task], r)
		}
	}
	return out
}

// spread is how many returns a group has, and whether all are the same.
func spread(members []*row, side int) (n int, same bool) {
	first := 0.0
	same = true
	for _, m := range members {
		v := m.returns[side]
		if v == nil {
			continue
		}
		if n++; n == 1 {
			first = *v
		}
		same = same && *v == first
	}
	return n, same
}

// add counts the pairs of one group, and keeps the widest flip in it.
func (g *Groups) add(members []*row) {
	var both []*row
	var a, b []float64
	for _, m := range members {
		if m.returns[0] != nil && m.returns[1] != nil {
			both, a, b = append(both, m), append(a, *m.returns[0]), append(b, *m.returns[1])
		}
	}
	p := pairsOf(a, b)
	g.Alike, g.Flipped, g.Tied = g.Alike+p.alike, g.Flipped+p.flipped, g.Tied+p.tied
	if p.flipped > 0 {
		if f, ok := widest(both, a, b); ok {
			g.Flips = append(g.Flips, f)
		}
	}
}

// widest finds who rose the most places, and who of those it passed fell the
// most; or, if it only left ties, the same of who fell the most.
func widest(both []*row, a, b []float64) (Flip, bool) {
	ra, rb := ranks(a), ranks(b)
	shift := make([]float64, len(both))
	most, least := 0, 0
	for i := range both {
		if shift[i] = rb[i] - ra[i]; shift[i] > shift[most] {
			most = i
		}
		if shift[i] < shift[least] {
			least = i
		}
	}
	up, down := most, -1
	for j := range both {
		if a[j] > a[up] && b[j] < b[up] && (down < 0 || shift[j] < shift[down]) {
			down = j
		}
	}
	if down < 0 {
		up, down = -1, least
		for j := range both {
			if a[j] < a[down] && b[j] > b[down] && (up < 0 || shift[j] > shift[up]) {
				up = j
			}
		}
	}
	if up < 0 {
		return Flip{}, false
	}
	tenant, task, _ := strings.Cut(both[up].task, "\x00")
	return Flip{
		Tenant: tenant, Task: task, Risen: both[up].id, Fallen: both[down].id,
		Rise: [2]float64{a[up], b[up]}, Fall: [2]float64{a[down], b[down]},
		Shift: (shift[up] - shift[down]) / float64(2*len(both)), Members: len(both),
	}, true
}

// Histogram counts returns in bins of one width, of both files on one scale.
type Histogram struct {
	Low    float64  `json:"min"`
	High   float64  `json:"max"`
	Counts [2][]int `json:"counts"`
}

const bins = 20

func (c *Comparison) histogram() Histogram {
	h := Histogram{Counts: [2][]int{make([]int, bins), make([]int, bins)}}
	first := true
	sides := [2][]float64{c.returns(0), c.returns(1)}
	for _, list := range sides {
		for _, v := range list {
			if first {
				h.Low, h.High, first = v, v, false
			}
			h.Low, h.High = min(h.Low, v), max(h.High, v)
		}
	}
	for side, list := range sides {
		for _, v := range list {
			h.Counts[side][h.bin(v)]++
		}
	}
	return h
}

func (h *Histogram) bin(v float64) int {
	at := (v - h.Low) / (h.High - h.Low)
	if !(at > 0) { // one value only, or a width that is no number
		return 0
	}
	return min(int(at*bins), bins-1)
}
