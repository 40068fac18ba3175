package bundle

import (
	"fmt"
	"strings"
	"time"
)

// card is the model card, README.md. It cannot name the bundle's ID, which is
// computed over it.
func card(m Manifest, p Prompt) string {
	var b strings.Builder
	writeHead(&b, m)
	writeItems(&b, p)
	writeProvenance(&b, m)
	return b.String()
}

// cardOf is the model card of a policy without text.
func cardOf(m Manifest) string {
	var b strings.Builder
	writeHead(&b, m)
	writeProvenance(&b, m)
	return b.String()
}

func writeHead(b *strings.Builder, m Manifest) {
	fmt.Fprintf(b, "# %s\n\n", m.Name)
	fmt.Fprintf(b, "A %s policy learned by tracegrad on %s. Status: **%s**.\n\n", m.Kind, m.CreatedAt.UTC().Format(time.RFC3339), m.Status)

	b.WriteString("## What it is for\n\n")
	fmt.Fprintf(b, "- Agents: %s\n- Model: %s\n\n", orElse(strings.Join(m.Agents, ", "), "all"), orElse(m.BaseModel, "any"))

	b.WriteString("## Gate\n\n")
	writeGate(b, m.Gate)
	b.WriteString("\n")
}

func writeItems(b *strings.Builder, p Prompt) {
	b.WriteString("## Guidance\n\n")
	for _, it := range p.Items {
		fmt.Fprintf(b, "- `%s` %s\n", it.ID, strings.ReplaceAll(strings.TrimSpace(it.Text), "\n", "\n  "))
	}
	if len(p.Items) == 0 {
		b.WriteString("None: a request passes unchanged.\n")
	}
	fmt.Fprintf(b, "\nThe numbers behind each item are in `%s`. Demonstrations: %d.\n\n", ItemsFile, len(p.Demonstrations))

}

func writeProvenance(b *strings.Builder, m Manifest) {
	b.WriteString("## Provenance\n\n")
	for _, row := range [][2]string{
		{"Dataset", m.Provenance.Dataset}, {"SQL", m.Provenance.SQL}, {"Rewards", m.Provenance.Rewards},
		{"Run", m.Provenance.Run}, {"Parent", m.Provenance.Parent},
	} {
		fmt.Fprintf(b, "- %s: %s\n", row[0], orElse(row[1], "unknown"))
	}
}

func writeGate(b *strings.Builder, g Gate) {
	verdict := "did not pass"
	if g.Passed {
		verdict = "passed"
	}
	b.WriteString(strings.TrimSpace("The gate "+verdict+". "+g.Reason) + "\n\n")
	fmt.Fprintf(b, "| metric | estimate | interval | support | holdout |\n|---|---|---|---|---|\n")
	fmt.Fprintf(b, "| %s | %s | %s to %s | %d | %d |\n",
		orElse(g.Metric, "unknown"), number(g.Estimate), number(g.CILow), number(g.CIHigh), g.Support, g.Holdout)
	if g.BaseMean != nil || g.CandidateMean != nil {
		fmt.Fprintf(b, "\nMean return: %s before, %s with the adapter.\n", number(g.BaseMean), number(g.CandidateMean))
	}
	if g.OffPolicy != nil {
		fmt.Fprintf(b, "\nOff-policy estimate of the gain, from logged attempts: %s, resting on %s attempts (effective sample size). It decides nothing.\n", number(g.OffPolicy), number(g.ESS))
	}
}

func number(v *float64) string {
	if v == nil {
		return "unknown"
	}
	return fmt.Sprintf("%.4g", *v)
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
