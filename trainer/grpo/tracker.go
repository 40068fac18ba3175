package grpo

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// The constants of the tracker, from the paper.
const (
	TrackerHalf    = 0.06  // KL in nats per token at which an observation counts half
	TrackerLeast   = 0.875 // least ρ: a window of 1/(1-ρ) = 8 observations
	TrackerMost    = 0.96  // greatest ρ: 25 observations
	trackerVersion = 1
)

// Tracker remembers what each task's attempts were worth on average over
// earlier nights, so that a single attempt has something to be compared with:
// SPO, Xu and Ding 2025, arXiv:2509.13232. Per task it holds the two parameters
// of a Beta distribution,
//
//	v = α / (α + β)            the baseline: A = R - v, whitened over the batch
//	α ← ρ α + Σ R              after the night, R its returns
//	β ← ρ β + Σ (1 - R)
//	ρ = min(max(2^(-D / 0.06), 0.875), 0.96)
//
// with D the KL divergence (nats per token) that the policy has moved since the
// task was seen last, here the sum of what the nights in between moved it. α+β
// is the weight of the evidence. Returns outside [0, 1] are as good: α/(α+β) is
// the discounted mean of the returns in any unit, only the name Beta is lost.
//
// It is small, is written as JSON, and is owned by one goroutine. The zero value
// is not usable; see [NewTracker] and [ReadTracker].
type Tracker struct {
	night int     // nights so far
	drift float64 // KL moved over all of them
	tasks map[string]belief
}

// belief is what is known of a task. Its names in JSON are short: there is one
// per task.
type belief struct {
	Alpha float64 `json:"a"`
	Beta  float64 `json:"b"`
	Drift float64 `json:"d"` // the tracker's when the task was seen last
	Night int     `json:"n"`
}

// NewTracker knows no task.
func NewTracker() *Tracker { return &Tracker{tasks: map[string]belief{}} }

// Len is the number of tasks known.
func (t *Tracker) Len() int { return len(t.tasks) }

// Clone is a tracker that can be changed without changing t.
func (t *Tracker) Clone() *Tracker {
	c := *t
	c.tasks = maps.Clone(t.tasks)
	return &c
}

// Value is what attempts at a task returned on average; false if none was seen.
// A nil tracker knows nothing.
func (t *Tracker) Value(task string) (float64, bool) {
	if t == nil {
		return 0, false
	}
	b, ok := t.tasks[task]
	if !ok {
		return 0, false
	}
	return b.Alpha / (b.Alpha + b.Beta), true
}

// Observe adds a night's returns of one task, all at once: their order does not
// count. Baselines of a night are read before its returns are observed, or a
// return would be compared with itself. NaN and infinities are an error, and
// nothing is changed.
func (t *Tracker) Observe(task string, returns []float64) error {
	if !finite(returns) {
		return fmt.Errorf("observe returns of task %q: one is not a number", task)
	}
	if len(returns) == 0 {
		return nil
	}
	b, seen := t.tasks[task]
	keep := 0.0
	if seen {
		keep = forget(t.drift - b.Drift)
	}
	b = belief{Alpha: keep * b.Alpha, Beta: keep * b.Beta, Drift: t.drift, Night: t.night}
	for _, r := range returns {
		b.Alpha += r
		b.Beta += 1 - r
	}
	t.tasks[task] = b
	return nil
}

// forget is ρ for a policy that has moved by d.
func forget(d float64) float64 {
	return min(max(math.Exp2(-d/TrackerHalf), TrackerLeast), TrackerMost)
}

// Advance ends a night in which the policy moved by kl nats per token; values
// that are none (NaN, negative) count as 0.
func (t *Tracker) Advance(kl float64) {
	t.night++
	if kl > 0 && !math.IsInf(kl, 0) {
		t.drift += kl
	}
}

// Prune forgets the tasks seen longest ago until at most most are left, and
// returns how many it forgot.
func (t *Tracker) Prune(most int) int {
	over := len(t.tasks) - most
	if over <= 0 {
		return 0
	}
	keys := slices.SortedFunc(maps.Keys(t.tasks), func(x, y string) int {
		return cmp.Or(cmp.Compare(t.tasks[x].Night, t.tasks[y].Night), cmp.Compare(x, y))
	})
	for _, k := range keys[:over] {
		delete(t.tasks, k)
	}
	return over
}

// trackerFile is the tracker in JSON. Equal trackers have equal bytes.
type trackerFile struct {
	Version int               `json:"version"`
	Night   int               `json:"night"`
	Drift   float64           `json:"drift"`
	Tasks   map[string]belief `json:"tasks"`
}

// MarshalJSON writes the tracker; see [ReadTracker].
func (t *Tracker) MarshalJSON() ([]byte, error) {
	return json.Marshal(trackerFile{trackerVersion, t.night, t.drift, t.tasks})
}

// ReadTracker reads what MarshalJSON wrote. Anything else is an error: a
// tracker that is half read would give wrong baselines.
func ReadTracker(text []byte) (*Tracker, error) {
	var f trackerFile
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("read tracker: %w", err)
	}
	if f.Version != trackerVersion {
		return nil, fmt.Errorf("read tracker: its version is %d, not %d: it is from another release of tracegrad", f.Version, trackerVersion)
	}
	t := &Tracker{night: f.Night, drift: f.Drift, tasks: f.Tasks}
	if t.tasks == nil {
		t.tasks = map[string]belief{}
	}
	if t.night < 0 || t.drift < 0 || !finite([]float64{t.drift}) {
		return nil, errors.New("read tracker: its night or drift is negative")
	}
	for k, b := range t.tasks {
		if b.Alpha+b.Beta <= 0 || !finite([]float64{b.Alpha, b.Beta, b.Drift, b.Alpha + b.Beta}) || b.Drift < 0 || b.Drift > t.drift || b.Night < 0 || b.Night > t.night {
			return nil, fmt.Errorf("read tracker: what it says of task %q cannot be", k)
		}
	}
	return t, nil
}
