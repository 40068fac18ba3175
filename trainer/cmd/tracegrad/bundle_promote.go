package main

import (
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/tracegrad/tracegrad/internal/bundle"
)

func newBundlePromote() *cobra.Command {
	var force, dryRun, asJSON bool
	cmd := &cobra.Command{
		Use:   "promote BUNDLE",
		Short: "Make a bundle production",
		Long: `Promote points the label production at a bundle among its siblings and records
what it was before, for tracegrad bundle rollback. Gateways that follow the label
serve the bundle to the calls that begin from then on, and the next night of
training starts from it. No server is needed. An adapter should be deployed
before (tracegrad bundle deploy): until the server has it, the base model answers.

A bundle whose gate did not pass is refused. With --force it is not; a gateway
serves it only with allow_candidate: true.`,
		Example: "  tracegrad bundle promote bundles/4068f0a8\n  tracegrad bundle promote bundles/canary",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := openBundle(args[0])
			if err != nil {
				return err
			}
			passed := b.Manifest.Status == bundle.StatusReleased
			if !passed && !force {
				return fmt.Errorf("promote %s: its gate has not passed (%s): insist with --force; a gateway that is to serve it needs allow_candidate: true as well", b.Dir, b.Manifest.Gate.Reason)
			}
			if err := bundle.Verify(b); err != nil {
				return err
			}
			m := bundle.Move{At: time.Now(), To: b.ID(), Forced: !passed}
			return moveLabel(cmd.OutOrStdout(), filepath.Dir(b.Dir), bundle.LabelProduction, m, dryRun, asJSON)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "even if its gate has not passed")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would change, and change nothing")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newBundleRollback() *cobra.Command {
	var label string
	var dryRun, asJSON bool
	cmd := &cobra.Command{
		Use:   "rollback BUNDLES",
		Short: "Make production what it was before",
		Long: `Rollback undoes the last promotion, or other move of the label, that is not undone
yet. If the label was not set before, it is removed: agents are served the model
as it is. The history is in BUNDLES/history/LABEL.jsonl.`,
		Example: "  tracegrad bundle rollback bundles\n  tracegrad bundle rollback --label canary --dry-run bundles",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := filepath.Clean(args[0])
			to, err := bundle.Previous(root, label)
			if err != nil {
				return fmt.Errorf("roll back: %w", err)
			}
			if to != "" {
				b, err := bundle.Open(filepath.Join(root, to))
				if err != nil {
					return fmt.Errorf("roll back to %s: %w", bundle.ShortID(to), err)
				}
				if err := bundle.Verify(b); err != nil {
					return fmt.Errorf("roll back to %s: %w", bundle.ShortID(to), err)
				}
			}
			return moveLabel(cmd.OutOrStdout(), root, label, bundle.Move{At: time.Now(), To: to, Rollback: true}, dryRun, asJSON)
		},
	}
	cmd.Flags().StringVar(&label, "label", bundle.LabelProduction, "the label that goes back")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would change, and change nothing")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// moved is what became of a label.
type moved struct {
	Bundles string `json:"bundles"`
	Label   string `json:"label"`
	ID      string `json:"id"`   // "" = no longer set
	From    string `json:"from"` // "" = was not set
	DryRun  bool   `json:"dry_run,omitempty"`
}

func moveLabel(out io.Writer, root, label string, m bundle.Move, dryRun, asJSON bool) (err error) {
	if dryRun {
		m.From, _ = bundle.LabelID(root, label) // "" if it is not set or holds no id
	} else if m, err = bundle.MoveLabel(root, label, m); err != nil {
		return err
	}
	r := moved{Bundles: root, Label: label, ID: m.To, From: m.From, DryRun: dryRun}
	if asJSON {
		return printJSON(out, r)
	}
	is := map[bool]string{true: "would be", false: "is now"}[dryRun]
	was := "it was not set"
	if r.From != "" {
		was = "it was " + r.From
	}
	if r.From == r.ID {
		was = "it was that already"
	}
	to := r.ID
	if to == "" {
		to = "not set"
	}
	_, err = fmt.Fprintf(out, "%s %s %s; %s\n", filepath.Join(root, label), is, to, was)
	return err
}
