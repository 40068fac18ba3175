package rescore

import (
	"fmt"
	"slices"
	"strings"
)

// warn lists the signs of a reward that is being earned otherwise than meant.
// None of them is a proof: they say where to look.
func (r *Drifted) warn() {
	by := map[string]*Shift{}
	for i := range r.Measures {
		by[r.Measures[i].Measure] = &r.Measures[i]
	}
	if total := by[MeasureReturn]; total != nil && total.Moved > 0 {
		r.besideReturn(total)
	}
	for i := range r.Agreement {
		if a := &r.Agreement[i]; a.Fell {
			r.say("the return agrees less with %s: rank correlation %+.2f before, %+.2f lately", a.Fact, *a.Rank[0], *a.Rank[1])
		}
	}
	if m := by[MeasureMasked]; m != nil && m.Moved > 0 {
		r.say("more trajectories are masked: %.1f %% before, %.1f %% lately; look which rule is null", 100*m.Mean[0], 100*m.Mean[1])
	}
}

// besideReturn says what moved away while the return rose.
func (r *Drifted) besideReturn(total *Shift) {
	rose := fmt.Sprintf("the return rose (%.4g to %.4g)", total.Mean[0], total.Mean[1])
	ways := []string{measureLength, measureTokens, measureModel, measureTools, measureFailed}
	for i := range r.Measures {
		m := &r.Measures[i]
		means := fmt.Sprintf("(%.4g to %.4g)", m.Mean[0], m.Mean[1])
		switch {
		case isFact(m.Measure) && m.Moved < 0:
			r.say("%s, and %s fell %s: the rules reward what users do not", rose, m.Measure, means)
		case strings.HasPrefix(m.Measure, "feedback ") && m.Effect != nil && m.Moved == 0:
			r.say("%s, and %s did not %s: the gain does not show to users", rose, m.Measure, means)
		case slices.Contains(ways, m.Measure) && m.Moved > 0:
			r.say("%s, and %s rose %s: is it what is paid for?", rose, m.Measure, means)
		case slices.Contains(ways, m.Measure) && m.Moved < 0:
			r.say("%s, and %s fell %s: is work left out?", rose, m.Measure, means)
		}
	}
}

func (r *Drifted) say(format string, args ...any) {
	r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
}
