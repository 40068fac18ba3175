package main

import (
	"fmt"
	"io"
	"math"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/trainer/paired"
)

// result is what the nights of one seed came to.
type result struct {
	Seed   uint64    `json:"seed"`
	Nights []nightly `json:"nights"`

	// Last is the policy after the last night beside the base model, on held-out
	// tickets of all days: no night was trained on their kinds; Online is TRL's GRPO from as many rollouts.
	Last   *nightly `json:"last"`
	Online *nightly `json:"online,omitempty"`
}

// nightly is one comparison: of a night's candidate with the policy that it
// started from, as the gate made it. Means are the share of held-out tickets
// that were answered right.
type nightly struct {
	Bundle string `json:"bundle,omitempty"`
	Status string `json:"status,omitempty"`
	Reason string `json:"reason,omitempty"`
	paired.Result
	// In place of the comparison's own: a bundle does not tell them, null then.
	Better  *int    `json:"better"`
	Worse   *int    `json:"worse"`
	Seconds float64 `json:"seconds"`
}

// compared is a comparison that was made here.
func compared(r paired.Result) nightly {
	return nightly{Result: r, Better: &r.Better, Worse: &r.Worse}
}

// nightlyOf reads the gate's numbers; without them support is 0.
func nightlyOf(m bundle.Manifest) nightly {
	n := nightly{Bundle: m.ID, Status: string(m.Status), Reason: m.Gate.Reason}
	g := m.Gate
	if g.BaseMean == nil || g.CandidateMean == nil || g.Estimate == nil || g.CILow == nil || g.CIHigh == nil {
		return n
	}
	n.Result = paired.Result{Support: g.Support, Base: *g.BaseMean, Candidate: *g.CandidateMean, Difference: *g.Estimate, Low: *g.CILow, High: *g.CIHigh, Confidence: 0.95}
	return n
}

func (n nightly) print(w io.Writer, number int) {
	fmt.Fprintf(w, "\nNight %d: %s, %s (%.0f s)\n", number, n.Status, n.accuracy(), n.Seconds)
}

func (n nightly) accuracy() string {
	if n.Support == 0 {
		return "held-out accuracy: not known: " + n.Reason
	}
	return fmt.Sprintf("held-out accuracy: %.1f %% → %.1f %%, difference %+.1f [%+.1f, %+.1f] points, %d prompts",
		100*n.Base, 100*n.Candidate, 100*n.Difference, 100*n.Low, 100*n.High, n.Support)
}

// z of a 95 % interval: the gate's are taken for normal.
const z = 1.959964

// mean is the difference between the last night's policy and the base, over
// seeds, with its 95 % interval over prompts; ok is false where a gate had none.
func mean(results []result) (difference, half float64, ok bool) {
	var variance float64
	for _, r := range results {
		if r.Last == nil || r.Last.Support == 0 {
			return 0, 0, false
		}
		difference += r.Last.Difference
		se := (r.Last.High - r.Last.Low) / (2 * z)
		variance += se * se
	}
	n := float64(len(results))
	return difference / n, z * math.Sqrt(variance) / n, n > 0
}

func summarize(w io.Writer, results []result) {
	fmt.Fprintln(w)
	for _, r := range results {
		for i, n := range r.Nights {
			fmt.Fprintf(w, "seed %d, night %d: %s\n", r.Seed, i+1, n.accuracy())
		}
		if r.Last != nil {
			fmt.Fprintf(w, "seed %d, last policy beside the base model: %s\n", r.Seed, r.Last.accuracy())
		}
		if r.Online != nil {
			fmt.Fprintf(w, "seed %d, TRL online: %s\n", r.Seed, r.Online.accuracy())
		}
	}
	if difference, half, ok := mean(results); ok {
		fmt.Fprintf(w, "\nAfter the last night, mean of %d seeds: %+.1f points over the base, 95 %% interval [%+.1f, %+.1f]\n",
			len(results), 100*difference, 100*(difference-half), 100*(difference+half))
	}
}
