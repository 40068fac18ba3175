package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tracegrad/tracegrad/internal/bucket"
	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/trainer"
)

type forgetFlags struct {
	dataset, runs, bundles string
	person                 dataset.Person
	dryRun, asJSON         bool
}

func newForget() *cobra.Command {
	var f forgetFlags
	cmd := &cobra.Command{
		Use:   "forget",
		Short: "Delete what a dataset holds of a user",
		Long: `Forget deletes the trajectories of a user (user_id of docs/dataset.md) with their
steps, messages, rewards and facts, at once and for good. Files that hold others
as well are written again. It leaves a mark in the dataset, a hash and the time:
what a Collector's storage, its queue or an import still brings of the user from
before is not written any more, so nothing has to be stopped.

With --runs, runs of tracegrad train that chose one of the trajectories are
removed whole, for what they hold is made from them. With --bundles, bundles that
quote the user in a demonstration are removed, unless a label such as production
points to them: then move the label first. Adapters that were trained on the
user's trajectories are named; weights cannot be edited, so train anew.

A query or a night that is going on may find a file gone and must begin again.
If something could not be looked into, it is named and the exit code is 1.`,
		Example: `  tracegrad forget --dataset dataset --user u-1729 --runs runs --bundles bundles
  tracegrad forget --dataset dataset --user u-1729 --tenant acme --dry-run --json`,
		Args: cobra.NoArgs,
		RunE: f.run,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.dataset, "dataset", "dataset", "`directory` or URL (s3://, gs://, az://) of the dataset")
	flags.StringVar(&f.person.User, "user", "", "the user's `id`, as in the column user_id")
	flags.StringVar(&f.person.Tenant, "tenant", "", "only of this `tenant`; empty: of any")
	flags.StringVar(&f.runs, "runs", "", "`directory` of the runs of tracegrad train")
	flags.StringVar(&f.bundles, "bundles", "", "`directory` of the bundles")
	flags.BoolVar(&f.dryRun, "dry-run", false, "say what would be deleted, and do nothing")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON")
	return cmd
}

// forgotten is what a forget deleted, and what it could not.
type forgotten struct {
	Dataset      string   `json:"dataset"`
	DryRun       bool     `json:"dry_run,omitempty"`
	Trajectories []string `json:"trajectories"`
	Rows         int64    `json:"rows"`
	Files        int      `json:"files"`
	Runs         []string `json:"runs"`
	Bundles      []string `json:"bundles"`
	Adapters     []string `json:"adapters"` // bundles trained on them: they stay
	Open         []string `json:"open"`     // what is left to do
}

func (f *forgetFlags) run(cmd *cobra.Command, _ []string) (err error) {
	if err := bucket.Check(f.dataset); err != nil {
		return usageError{fmt.Errorf("--dataset %w", err)}
	}
	if f.person.User == "" {
		return usageError{errors.New("--user is missing: name the user to forget")}
	}
	root, u, closed, err := bucket.Upkeep(cmd.Context(), f.dataset, dataset.Upkeep{DryRun: f.dryRun})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closed()) }()
	got, err := dataset.Forget(cmd.Context(), root, f.person, u)
	if err != nil {
		return err
	}
	out := forgotten{Dataset: f.dataset, DryRun: f.dryRun, Trajectories: append([]string{}, got.IDs()...), Rows: got.Rows, Files: got.Files, Runs: []string{}, Bundles: []string{}, Adapters: []string{}, Open: []string{}}
	for _, l := range got.Left {
		out.Open = append(out.Open, fmt.Sprintf("%s could not be looked into: %s", l.Path, l.Reason))
	}
	// Bundles before runs: which adapters were trained on them stands in the runs.
	if f.bundles != "" {
		if err := f.forgetBundles(got.Trajectories, &out); err != nil {
			return err
		}
	}
	if f.runs != "" {
		runs, err := trainer.ForgetRuns(f.runs, got.Trajectories, f.dryRun)
		if err != nil {
			return err
		}
		out.Runs = append(out.Runs, runs...)
	}
	if err := f.print(cmd, out); err != nil {
		return err
	}
	if len(out.Open) > 0 {
		return fmt.Errorf("%s left to do, named above", count(len(out.Open), "thing"))
	}
	return nil
}

func (f *forgetFlags) forgetBundles(ids map[string]bool, out *forgotten) error {
	var runs []string
	if f.runs != "" {
		var err error
		if runs, err = trainer.ForgetRuns(f.runs, ids, true); err != nil {
			return err
		}
	}
	got, err := bundle.Forget(f.bundles, ids, runs, f.dryRun)
	if err != nil {
		return err
	}
	out.Bundles, out.Adapters = append(out.Bundles, got.Removed...), append(out.Adapters, got.Adapters...)
	for _, id := range got.Labelled {
		out.Open = append(out.Open, fmt.Sprintf("%s quotes the user and a label points to it: promote another or roll back, then forget again", filepath.Join(f.bundles, id)))
	}
	for _, name := range got.Broken {
		out.Open = append(out.Open, fmt.Sprintf("%s could not be looked into: see tracegrad bundle verify", filepath.Join(f.bundles, name)))
	}
	return nil
}

func (f *forgetFlags) print(cmd *cobra.Command, out forgotten) error {
	w := cmd.OutOrStdout()
	if f.asJSON {
		return printJSON(w, out)
	}
	did := "deleted"
	if f.dryRun {
		did = "would delete"
	}
	fmt.Fprintf(w, "%s %s in %s (%s)", did, plural(len(out.Trajectories), "trajectory", "trajectories"), f.dataset, count(out.Files, "file"))
	if f.runs != "" {
		fmt.Fprintf(w, ", %s", count(len(out.Runs), "run"))
	}
	if f.bundles != "" {
		fmt.Fprintf(w, ", %s", count(len(out.Bundles), "bundle"))
	}
	fmt.Fprintln(w)
	for _, id := range out.Adapters {
		fmt.Fprintf(w, "%s was trained on them: train anew from another policy if the user must not be in its weights\n", filepath.Join(f.bundles, id))
	}
	for _, text := range out.Open {
		fmt.Fprintln(w, text)
	}
	return nil
}
