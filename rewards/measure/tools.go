package measure

// Run is a tool run as the measures of a path see it.
type Run struct {
	Name      string
	Arguments string // as the model wrote them; with Known
	Known     bool   // the telemetry shows the arguments
	Failed    bool
}

// Repeated is how many runs asked what had been asked before: the same tool
// with the same arguments, whatever came of it. Runs whose arguments are not
// shown are none.
func Repeated(runs []Run) (n int) {
	seen := make(map[Run]bool, len(runs))
	for _, r := range runs {
		key := Run{Name: r.Name, Arguments: r.Arguments, Known: r.Known}
		if r.Known && seen[key] {
			n++
		}
		seen[key] = true
	}
	return n
}

// Redundant is how many runs asked what had been answered before: repeated,
// and an earlier one did not fail. A retry after a failure is not redundant.
func Redundant(runs []Run) (n int) {
	answered := make(map[Run]bool, len(runs))
	for _, r := range runs {
		key := Run{Name: r.Name, Arguments: r.Arguments, Known: r.Known}
		if r.Known && answered[key] {
			n++
		}
		if !r.Failed {
			answered[key] = true
		}
	}
	return n
}

// Failed is how many runs failed.
func Failed(runs []Run) (n int) {
	for _, r := range runs {
		if r.Failed {
			n++
		}
	}
	return n
}

// Recovered is how many failed runs were made good: a later run of the same
// tool did not fail.
func Recovered(runs []Run) (n int) {
	good := make(map[string]bool)
	for i := len(runs) - 1; i >= 0; i-- {
		if r := runs[i]; !r.Failed {
			good[r.Name] = true
		} else if good[r.Name] {
			n++
		}
	}
	return n
}

// DeadEnds is how many failed runs were never made good.
func DeadEnds(runs []Run) int { return Failed(runs) - Recovered(runs) }

// InOrder says whether the names occur among the runs in this order; others may
// lie between (the "in-order match" of agent evaluation).
func InOrder(runs []Run, names []string) bool {
	next := 0
	for _, r := range runs {
		if next < len(names) && r.Name == names[next] {
			next++
		}
	}
	return next == len(names)
}

// Exactly says whether the runs are these, in this order, and no others.
func Exactly(runs []Run, names []string) bool {
	if len(runs) != len(names) {
		return false
	}
	for i, r := range runs {
		if r.Name != names[i] {
			return false
		}
	}
	return true
}

// Before says whether no run of the tool then comes before the first run of the
// tool first; true if then never ran.
func Before(runs []Run, first, then string) bool {
	for _, r := range runs {
		switch r.Name {
		case first:
			return true
		case then:
			return false
		}
	}
	return true
}

// Precision is the share of the runs whose tool is expected, each name as often
// as it is expected; 1 without runs.
func Precision(runs []Run, names []string) float64 {
	if len(runs) == 0 {
		return 1
	}
	return float64(matched(runs, names)) / float64(len(runs))
}

// Recall is the share of the expected names that ran, each as often as it is
// expected; 1 if nothing is expected.
func Recall(runs []Run, names []string) float64 {
	if len(names) == 0 {
		return 1
	}
	return float64(matched(runs, names)) / float64(len(names))
}

func matched(runs []Run, names []string) (n int) {
	left := make(map[string]int, len(names))
	for _, name := range names {
		left[name]++
	}
	for _, r := range runs {
		if left[r.Name] > 0 {
			left[r.Name]--
			n++
		}
	}
	return n
}
