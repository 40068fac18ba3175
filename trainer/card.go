package trainer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tracegrad/tracegrad/internal/bundle"
)

// evidenceOf is the part of a model card that says what each item rests on and
// where it comes from.
func evidenceOf(p bundle.Prompt, l Learned, v Gated) string {
	notes := map[string]string{}
	for _, c := range v.Carried {
		notes[c.ID] = c.Note
	}
	var b strings.Builder
	b.WriteString("\n## Evidence\n\n| item | for | learned | runs with, without | holdout pairs | difference in return |\n|---|---|---|---|---|---|\n")
	for _, it := range p.Items {
		e := it.Evidence
		origin := notes[it.ID]
		if origin == "" {
			origin = "tonight"
		}
		pairs, difference := "not tested", "unknown"
		if n, tested := e[gateSupport]; tested {
			pairs = number(n)
		}
		if v, tested := e[gateEffect]; tested {
			difference = fmt.Sprintf("%s (%s to %s)", signed(v), signed(e[gateLow]), signed(e[gateHigh]))
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s, %s | %s | %s |\n", it.ID, readers(it.Scope), origin, known(e, "n_with"), known(e, "n_without"), pairs, difference)
	}
	if v.Passed && len(v.Untested) > 0 {
		b.WriteString("\nLearned tonight and left out, as the holdout cannot test it:\n\n")
		for _, it := range l.Items {
			if slices.Contains(v.Untested, it.ID) {
				fmt.Fprintf(&b, "- `%s` %s\n", it.ID, it.Text)
			}
		}
	}
	if len(v.Dropped) > 0 {
		fmt.Fprintf(&b, "\nNot kept from %s:\n\n", bundle.ShortID(v.Base))
		for _, d := range v.Dropped {
			fmt.Fprintf(&b, "- `%s` %s: %s\n", d.ID, strings.Join(strings.Fields(d.Text), " "), d.Reason)
		}
	}
	return b.String()
}

func known(e map[string]float64, name string) string {
	if v, ok := e[name]; ok {
		return number(v)
	}
	return "unknown"
}

func readers(s bundle.Scope) string {
	var parts []string
	if s.Task != "" {
		parts = append(parts, "task "+s.Task)
	}
	if s.Agent != "" {
		parts = append(parts, "agent "+s.Agent)
	}
	if len(parts) == 0 {
		return "all"
	}
	return strings.Join(parts, ", ")
}
