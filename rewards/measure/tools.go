package measure

// Run is a tool run as the measures of a path see it.
type Run struct {
	Name      string
	Arguments string // as the model wrote them; with Known
	Known     bool   // the telemetry shows the arguments
	Failed    bool
}

// Repeated marks the runs that ask what was asked before: the same tool with the
// same arguments, whatever came of it. Runs whose arguments are not shown are none.
func Repeated(runs []Run) []bool {
	return again(runs, func(Run) bool { return true })
}

// Redundant marks the runs that ask what was answered before: repeated, and an
// earlier one did not fail. A retry after a failure is not redundant.
func Redundant(runs []Run) []bool {
	return again(runs, func(r Run) bool { return !r.Failed })
}

// again marks the runs before which the same was asked by one that counts.
func again(runs []Run, counts func(Run) bool) []bool {
	marks := make([]bool, len(runs))
	asked := make(map[Run]bool, len(runs))
	for i, r := range runs {
		key := Run{Name: r.Name, Arguments: r.Arguments, Known: r.Known}
		marks[i] = r.Known && asked[key]
		if counts(r) {
			asked[key] = true
		}
	}
	return marks
}

// Marked is how many marks are set.
func Marked(marks []bool) (n int) {
	for _, m := range marks {
		if m {
			n++
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
