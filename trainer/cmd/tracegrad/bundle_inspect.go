package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tracegrad/tracegrad/internal/bundle"
)

func newBundleInspect() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "inspect BUNDLE",
		Short:   "Show what a bundle holds, where it came from and what the gate said",
		Example: "  tracegrad bundle inspect bundles/production",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := openBundle(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), inspection{Dir: b.Dir, Manifest: b.Manifest, Prompt: b.Prompt})
			}
			return printBundle(cmd.OutOrStdout(), b)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

type inspection struct {
	Dir      string          `json:"dir"`
	Manifest bundle.Manifest `json:"manifest"`
	Prompt   *bundle.Prompt  `json:"prompt,omitempty"`
}

func printBundle(out io.Writer, b *bundle.Bundle) error {
	m := b.Manifest
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, value)
		}
	}
	row("id", m.ID)
	row("name", m.Name)
	row("kind", string(m.Kind))
	row("status", string(m.Status))
	row("created", m.CreatedAt.Format(time.RFC3339))
	row("for model", orAny(m.BaseModel))
	row("for agents", orAny(strings.Join(m.Agents, ", ")))
	row("gate", gateLine(m.Gate))
	row("from dataset", m.Provenance.Dataset)
	row("from sql", m.Provenance.SQL)
	row("from rewards", m.Provenance.Rewards)
	row("from run", m.Provenance.Run)
	row("from parent", m.Provenance.Parent)
	for _, f := range m.Files {
		row("file", fmt.Sprintf("%s, %s, sha256 %s", f.Path, count(int(f.Size), "byte"), bundle.ShortID(f.SHA256)))
	}
	if err := w.Flush(); err != nil || b.Prompt == nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%s", b.Prompt.Guidance())
	return err
}

func gateLine(g bundle.Gate) string {
	verdict := "refused"
	if g.Passed {
		verdict = "passed"
	}
	parts := []string{verdict}
	if g.Estimate != nil && g.CILow != nil && g.CIHigh != nil {
		parts = append(parts, fmt.Sprintf("%s %+.3f [%+.3f, %+.3f]", g.Metric, *g.Estimate, *g.CILow, *g.CIHigh))
	}
	parts = append(parts, count(g.Support, "comparison"), plural(g.Holdout, "trajectory", "trajectories")+" held out")
	if g.Reason != "" {
		parts = append(parts, g.Reason)
	}
	return strings.Join(parts, "; ")
}

func orAny(s string) string {
	if s == "" {
		return "any"
	}
	return s
}
