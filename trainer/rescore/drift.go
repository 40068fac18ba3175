package rescore

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/rewards"
)

// Drift compares what one rewards file says of the last days with what it says
// of the days before, and both with what it does not look at. Add all, then ask
// for the [Drift.Report].
type Drift struct {
	Engine           *rewards.Engine
	Recent, Baseline time.Duration // lengths of the two windows, which meet; the newest trajectory ends the recent one

	samples []sample
}

// sample is what is kept of a trajectory.
type sample struct {
	at     int64
	task   string
	values map[string]float64 // by measure; what is not known is absent
}

// The measures that every trajectory has, or may have.
const (
	MeasureReturn = "return"
	MeasureMasked = "masked" // 1 = a null keeps it out of training
	measureLength = "output characters"
	measureTokens = "output tokens"
	measureModel  = "model calls"
	measureTools  = "tool calls"
	measureFailed = "failed tool calls"
)

// Add takes a trajectory that was scored by Engine alone.
func (d *Drift) Add(s *Scored) {
	x := sample{at: cmp.Or(s.EndedAt, s.StartedAt, s.FirstSeenAt), values: map[string]float64{}}
	if s.TaskKey != "" {
		x.task = s.Tenant + "\x00" + s.TaskKey
	}
	maps.Copy(x.values, values(s.Facts, s.Known))
	value, masked := d.Engine.Return(s.Rewards[0])
	if value != nil {
		x.values[MeasureReturn] = *value
	}
	x.values[MeasureMasked] = 0
	if masked {
		x.values[MeasureMasked] = 1
	}
	for _, r := range s.Rewards[0] {
		if r.Value != nil {
			x.values["rule "+r.Name] += *r.Value
		}
	}
	if s.Output != "" {
		x.values[measureLength] = float64(utf8.RuneCountInString(s.Output))
	}
	if s.OutputTokens != nil {
		x.values[measureTokens] = float64(*s.OutputTokens)
	}
	x.values[measureModel], x.values[measureTools] = float64(s.ModelCalls), float64(s.ToolCalls)
	if s.ToolCalls > 0 {
		x.values[measureFailed] = float64(failures(s.Trajectory))
	}
	d.samples = append(d.samples, x)
}

func failures(t *trajectory.Trajectory) (n int) {
	for i := range t.Steps {
		if t.Steps[i].Tool != nil && t.Steps[i].Error != "" {
			n++
		}
	}
	return n
}

// Drifted is what came of a [Drift].
type Drifted struct {
	Trajectories [2]int    `json:"trajectories"` // before, recent
	Since        time.Time `json:"since"`        // the baseline begins
	Parted       time.Time `json:"parted"`       // the recent window begins
	Until        time.Time `json:"until"`
	Tasks        int       `json:"tasks"` // that both windows hold and are compared within; 0 = the windows are compared as a whole
	Measures     []Shift   `json:"measures"`
	Agreement    []Agree   `json:"agreement"`
	Warnings     []string  `json:"warnings"`
}

// Shift is how a measure changed.
type Shift struct {
	Measure string     `json:"measure"`
	Count   [2]int     `json:"count"`
	Mean    [2]float64 `json:"mean"`
	Change  *float64   `json:"change"` // within tasks where Tasks > 0; null = too few to compare
	Effect  *float64   `json:"effect"` // change in standard deviations
	Z       *float64   `json:"z"`      // change in standard errors
	Moved   int        `json:"moved"`  // 1 up, -1 down, 0 not for sure, or not by much
	Course  []*float64 `json:"course"` // mean by twelfth of the whole time; null = none there
}

// Agree is how the return agrees with a fact.
type Agree struct {
	Fact  string      `json:"fact"`
	Count [2]int      `json:"count"`
	Rank  [2]*float64 `json:"spearman"`
	Fell  bool        `json:"fell"`
}

// What counts as moved: beyond chance at three standard errors, and by a tenth
// of a standard deviation, which people begin to notice.
const (
	sureZ      = 3
	leastMove  = 0.1
	leastCount = 30 // in each window
	leastFall  = 0.2
	courseBins = 12
)

// Report sums up.
func (d *Drift) Report() *Drifted {
	r := &Drifted{Measures: []Shift{}, Agreement: []Agree{}, Warnings: []string{}}
	until := int64(0)
	for i := range d.samples {
		until = max(until, d.samples[i].at)
	}
	parted := until - d.Recent.Microseconds()
	since := parted - d.Baseline.Microseconds()
	r.Since, r.Parted, r.Until = time.UnixMicro(since).UTC(), time.UnixMicro(parted).UTC(), time.UnixMicro(until).UTC()
	var windows [2][]*sample
	for i := range d.samples {
		switch s := &d.samples[i]; {
		case s.at > parted:
			windows[1] = append(windows[1], s)
		case s.at > since:
			windows[0] = append(windows[0], s)
		}
	}
	r.Trajectories = [2]int{len(windows[0]), len(windows[1])}
	stratum := strata(windows, &r.Tasks)
	for _, name := range measures(windows) {
		s := shift(name, windows, stratum)
		s.Course = course(name, windows, since, until)
		r.Measures = append(r.Measures, s)
		if isFact(name) {
			r.Agreement = append(r.Agreement, agree(name, windows))
		}
	}
	r.warn()
	return r
}

func isFact(measure string) bool {
	return strings.HasPrefix(measure, "feedback ") || strings.HasPrefix(measure, "evaluation ")
}

// strata says which samples are compared with each other: those of one task, if
// the tasks that both windows hold are at least half of either; else all.
func strata(windows [2][]*sample, tasks *int) func(*sample) (string, bool) {
	var n [2]map[string]int
	for w, list := range windows {
		n[w] = map[string]int{}
		for _, s := range list {
			if s.task != "" {
				n[w][s.task]++
			}
		}
	}
	shared := map[string]bool{}
	var in [2]int
	for task := range n[0] {
		if n[1][task] > 0 {
			shared[task] = true
			in[0], in[1] = in[0]+n[0][task], in[1]+n[1][task]
		}
	}
	if len(shared) == 0 || 2*in[0] < len(windows[0]) || 2*in[1] < len(windows[1]) {
		return func(*sample) (string, bool) { return "", true }
	}
	*tasks = len(shared)
	return func(s *sample) (string, bool) { return s.task, shared[s.task] }
}

// measures are the names of what was measured: the return first, then the
// rules, the facts and the rest.
func measures(windows [2][]*sample) []string {
	seen := map[string]bool{}
	for _, list := range windows {
		for _, s := range list {
			for name := range s.values {
				seen[name] = true
			}
		}
	}
	class := func(name string) int {
		switch {
		case name == MeasureReturn:
			return 0
		case strings.HasPrefix(name, "rule "):
			return 1
		case isFact(name):
			return 2
		}
		return 3
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b string) int { return cmp.Or(class(a)-class(b), cmp.Compare(a, b)) })
}

// moments sum up the values of one stratum in one window.
type moments struct {
	n           float64
	mean, error float64 // error: the sum of squares around the mean
}

func (m *moments) add(v float64) {
	m.n++
	delta := v - m.mean
	m.mean += delta / m.n
	m.error += delta * (v - m.mean)
}

// shift estimates the change of a measure: the differences within the strata,
// each weighed by how well it is known (a regression on the window, with an
// intercept for each task).
func shift(name string, windows [2][]*sample, stratum func(*sample) (string, bool)) Shift {
	out := Shift{Measure: name}
	by := map[string]*[2]moments{}
	for w, list := range windows {
		var all moments
		for _, s := range list {
			v, ok := s.values[name]
			if !ok {
				continue
			}
			all.add(v)
			if key, compared := stratum(s); compared {
				if by[key] == nil {
					by[key] = new([2]moments)
				}
				by[key][w].add(v)
			}
		}
		out.Count[w], out.Mean[w] = int(all.n), all.mean
	}
	if out.Count[0] < leastCount || out.Count[1] < leastCount {
		return out
	}
	var change, weights, squares, freedom float64
	for _, key := range slices.Sorted(maps.Keys(by)) { // one order: sums of floats depend on it
		a, b := by[key][0], by[key][1]
		squares, freedom = squares+a.error+b.error, freedom+a.n+b.n
		if a.n == 0 || b.n == 0 {
			freedom--
			continue
		}
		weight := a.n * b.n / (a.n + b.n)
		change, weights, freedom = change+weight*(b.mean-a.mean), weights+weight, freedom-2
	}
	if weights == 0 || freedom < leastCount {
		return out
	}
	change /= weights
	out.Change = &change
	deviation := math.Sqrt(squares / freedom)
	if deviation == 0 {
		return out
	}
	effect, z := change/deviation, change/(deviation/math.Sqrt(weights))
	out.Effect, out.Z = &effect, &z
	if math.Abs(z) >= sureZ && math.Abs(effect) >= leastMove {
		out.Moved = int(math.Copysign(1, change))
	}
	return out
}

func course(name string, windows [2][]*sample, since, until int64) []*float64 {
	var bins [courseBins]moments
	for _, list := range windows {
		for _, s := range list {
			if v, ok := s.values[name]; ok {
				bins[min(int((s.at-since)*courseBins/max(until-since, 1)), courseBins-1)].add(v)
			}
		}
	}
	out := make([]*float64, courseBins)
	for i := range bins {
		if bins[i].n > 0 {
			out[i] = &bins[i].mean
		}
	}
	return out
}

// agree compares how the return agrees with a fact before and lately.
func agree(fact string, windows [2][]*sample) Agree {
	out := Agree{Fact: fact}
	for w, list := range windows {
		var a, b []float64
		for _, s := range list {
			v, known := s.values[fact]
			r, scored := s.values[MeasureReturn]
			if known && scored {
				a, b = append(a, v), append(b, r)
			}
		}
		out.Count[w], out.Rank[w] = len(a), spearman(a, b)
	}
	before, now := out.Rank[0], out.Rank[1]
	if before == nil || now == nil || out.Count[0] < leastCount || out.Count[1] < leastCount {
		return out
	}
	fisher := func(r float64) float64 { return math.Atanh(min(max(r, -0.999), 0.999)) }
	off := math.Sqrt(1/float64(out.Count[0]-3) + 1/float64(out.Count[1]-3))
	out.Fell = *before-*now >= leastFall && (fisher(*before)-fisher(*now))/off >= sureZ
	return out
}
