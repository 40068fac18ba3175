package main

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tracegrad/tracegrad/internal/doctor"
)

// shape fits the files that init writes to what was seen: from is where.
type shape struct {
	from string
	seen *doctor.Seen
	main *doctor.Service // the one with most model calls
}

// Where the files are cut open. That they are there is tested.
const (
	afterRewards = "      file: ${env:TRACEGRAD_REWARDS:-rewards.yaml}\n"
	outcomeBegin = "  # The outcome. "
	toolsBegin   = "  # The way there: "
	ideasBegin   = "# More ideas, "
	examplesAt   = "\n# What the rules must say of runs "
	afterGroupBy = "# group_by: task_key\n"
	afterAgents  = "# agents: [my-agent]\n"
	beforeGate   = "# gate:\n"
	runsBegin    = "# Where the artifacts and reports"
)

// fit returns the text of a file. Files that nothing was learned for stay.
func (s *shape) fit(name string, text []byte) []byte {
	switch name {
	case "collector.yaml":
		return insert(text, afterRewards, s.collector())
	case "rewards.yaml":
		return s.rewards(text)
	case "train.yaml":
		text = insert(text, afterGroupBy, s.groups())
		text = insert(text, afterAgents, s.agents())
		return s.gate(text)
	}
	return text
}

func insert(text []byte, after, what string) []byte {
	return bytes.Replace(text, []byte(after), []byte(after+what), 1)
}

// collector is what the trajectory processor should know.
func (s *shape) collector() string {
	var b strings.Builder
	m := s.main
	fmt.Fprintf(&b, "    # What follows fits what was seen in %s: %s of %s.\n", s.from, count(m.Runs, "run"), serviceName(m))
	sessions, roots := m.Shows[doctor.Sessions], m.Shows[doctor.Roots]
	switch keys := m.SessionKeys(); {
	case roots == nil || m.Fragments == 0:
		b.WriteString("    # Runs are found by their root spans (key: auto, the default).\n")
	case sessions != nil && sessions.Have > 0:
		fmt.Fprintf(&b, "    # %s begin with a model call; the session id that %d of %s have ties them\n    # together (key: auto, the default).\n",
			count(m.Fragments, "trace"), sessions.Have, count(m.Runs, "run"))
	case len(keys) > 0:
		fmt.Fprintf(&b, "    # %s begin with a model call, and no dialect names a session. If %s\n    # is the same for all calls of one run, and for no other, it ties them together:\n    # key: attributes\n    # key_attributes: [%s]\n",
			count(m.Fragments, "trace"), oneLine(keys[0]), yamlName(keys[0]))
	default:
		fmt.Fprintf(&b, "    # %s begin with a model call: the history that each call repeats ties\n    # them together (key: auto, the default). A session id would do it for good.\n", count(m.Fragments, "trace"))
	}
	if keys := m.TaskKeys(); len(keys) > 0 {
		fmt.Fprintf(&b, "    # %s: runs with the same value are attempts at the same task.\n    task_key: [%s]\n", s.spread(keys[0]), yamlName(keys[0]))
	}
	if keys := m.TenantKeys(); len(keys) > 0 {
		fmt.Fprintf(&b, "    # %s: tenants are never grouped or shown to each other.\n    tenant_key: [%s]\n", s.spread(keys[0]), yamlName(keys[0]))
	}
	if keys := m.Context(); len(keys) > 0 {
		fmt.Fprintf(&b, "    # Kept on each run, for rules and queries.\n    attributes: [%s]\n", strings.Join(keys, ", "))
	}
	return b.String()
}

func (s *shape) spread(attribute string) string {
	sp := s.main.Attributes[attribute]
	return fmt.Sprintf("%s is on %d of %s, with %s", oneLine(attribute), sp.Runs, count(s.main.Runs, "run"), count(sp.Values, "value"))
}

// rewards fits the rules to what the runs show: verdicts that are there, and
// tools if there are any.
func (s *shape) rewards(text []byte) []byte {
	head, rest, _ := strings.Cut(string(text), outcomeBegin)
	outcome, rest, _ := strings.Cut(rest, toolsBegin)
	tools, ideas, _ := strings.Cut(rest, ideasBegin)
	m := s.main
	if len(m.Facts) > 0 {
		outcome = s.verdicts()
	} else {
		outcome = fmt.Sprintf("  # Nothing in %s says which of %s were good: this is yours to say.\n  #\n", s.from, count(m.Runs, "run")) + outcomeBegin + outcome
	}
	if m.ToolRuns == 0 {
		tools = fmt.Sprintf("  # No tool run was seen in %s: rules about tools are left out.\n\n", s.from)
	} else {
		tools = fmt.Sprintf("  # %s were seen in %s, of which %d failed%s.\n  #\n", count(m.ToolRuns, "tool run"), s.from, m.Failures.Tools, s.failing()) + toolsBegin + tools
	}
	if len(m.Facts) > 0 || m.ToolRuns == 0 { // the examples are of rules that are not there
		ideas, _, _ = strings.Cut(ideas, examplesAt)
	}
	return []byte(head + outcome + tools + ideasBegin + ideas)
}

// verdicts are rules about the facts that are there, the most frequent first:
// only that one counts, the others are recorded until somebody gives them weight.
func (s *shape) verdicts() string {
	names := slices.SortedFunc(maps.Keys(s.main.Facts), func(a, b string) int {
		if x, y := s.main.Facts[a].Runs, s.main.Facts[b].Runs; x != y {
			return y - x
		}
		return strings.Compare(a, b)
	})
	var b strings.Builder
	fmt.Fprintf(&b, "  # The outcome, as %s has it. A run without the verdict is null, and null is never\n  # taken for 0: the run is stored, but not trained on until the verdict comes.\n", s.from)
	used := map[string]bool{}
	for i, name := range names[:min(len(names), maxVerdicts)] {
		rule := ruleName(name)
		if used[rule] {
			continue // two names that rules cannot tell apart
		}
		used[rule] = true
		f := s.main.Facts[name]
		expr, weight := fmt.Sprintf("evaluation(%q)?.score", name), "1.0"
		if f.Source == "feedback" {
			expr = fmt.Sprintf("feedback(%q)", name)
		}
		note := ""
		if i > 0 {
			weight, note = "0", " # recorded, not trained on: raise it if it is part of what is good"
		}
		fmt.Fprintf(&b, "  # %s says it of %d of %s.\n  - name: %s\n    expr: '%s'\n    weight: %s%s\n\n",
			oneLine(f.Source), f.Runs, count(s.main.Runs, "run"), rule, strings.ReplaceAll(expr, "'", "''"), weight, note)
	}
	return b.String()
}

// maxVerdicts are written as rules.
const maxVerdicts = 5

// ruleName makes a fact's name one that rules can have.
func ruleName(fact string) string {
	name := strings.Map(func(r rune) rune {
		if r < 128 && (r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || strings.ContainsRune("_.-", r)) {
			return r
		}
		return '_'
	}, fact)
	return cmp.Or(name[:min(len(name), 64)], "verdict")
}

// failing names the tools that failed most.
func (s *shape) failing() string {
	tools := s.main.Tools
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(tools)), func(n string) bool { return tools[n].Failed == 0 })
	slices.SortStableFunc(names, func(a, b string) int { return tools[b].Failed - tools[a].Failed })
	var out []string
	for _, n := range names[:min(len(names), 3)] {
		out = append(out, fmt.Sprintf("%s %d", oneLine(n), tools[n].Failed))
	}
	if len(out) == 0 {
		return ""
	}
	return ": " + strings.Join(out, ", ")
}

// groups says how the tasks of the runs were told apart.
func (s *shape) groups() string {
	m := s.main
	switch {
	case len(m.TaskKeys()) > 0:
		return fmt.Sprintf("# task_key is %s here (collector.yaml).\n", oneLine(m.TaskKeys()[0]))
	case m.Tasks == 0:
		return fmt.Sprintf("# No run in %s shows what it was asked: see tracegrad doctor.\n", s.from)
	case m.Repeated == 0:
		return fmt.Sprintf("# In %s no two of %s are attempts at the same task, as far as the\n# input tells: without such pairs there is nothing to compare.\n", s.from, count(m.Runs, "run"))
	}
	return fmt.Sprintf("# In %s: %s at %s, as far as the input tells.\n", s.from, count(m.Runs, "run"), count(m.Tasks, "task"))
}

func (s *shape) agents() string {
	if len(s.seen.Services) < 2 {
		return ""
	}
	var names []string
	for _, sv := range s.seen.Services {
		names = append(names, serviceName(sv))
	}
	return fmt.Sprintf("# Seen in %s: %s.\n", s.from, strings.Join(names, ", "))
}

// fewTasks are too few for some to be kept out of training.
const fewTasks = 20

// gate keeps inputs out of training instead of tasks, where these are few.
func (s *shape) gate(text []byte) []byte {
	if m := s.main; m.Tasks == 0 || m.Tasks >= fewTasks {
		return text
	}
	head, rest, _ := strings.Cut(string(text), beforeGate)
	_, tail, _ := strings.Cut(rest, runsBegin)
	return []byte(head + fmt.Sprintf("gate:\n  holdout_by: input # %s in %s\n#   holdout: 0.2\n#   min_support: 8\n#   confidence: 0.95\n\n", count(s.main.Tasks, "task"), s.from) + runsBegin + tail)
}

// yamlName is a name as YAML has it in a list.
func yamlName(name string) string {
	if plainName.MatchString(name) {
		return name
	}
	return strconv.Quote(name)
}

var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9._/-]*$`)

func serviceName(s *doctor.Service) string {
	if s.Name == "" {
		return "a service without a name"
	}
	return oneLine(s.Name)
}

// oneLine keeps a name of the telemetry from ending the comment that it is in.
func oneLine(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, name[:min(len(name), 80)])
}
