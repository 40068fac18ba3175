package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/trainer"
	"github.com/tracegrad/tracegrad/trainer/query"
)

type trainFlags struct {
	config                 string
	dataset, runs, bundles string
	resume                 string
	engine                 string
	dryRun, fresh          bool
	asJSON                 bool
}

func newTrain() *cobra.Command {
	var f trainFlags
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Run one night: from the dataset to a bundle",
		Long: `Train runs one night: it selects trajectories, scores them with the facts that
came since, groups attempts at the same task, learns from what the better ones
did differently, and packs a bundle. docs/training.md explains every stage and
every key of the configuration.

policy: prompt learns guidance and holds it against the holdout; the bundle is
released only if the gate passes, else it is a candidate that no gateway applies
unless told to. --dry-run does all of it, but keeps nothing.

policy: adapter trains a LoRA adapter of the model, on this machine or on the
engine that --engine names. The server that gate.server names answers held-out
prompts before and after, which decides whether it is released; without one it
stays a candidate. If that server is not up, the exit code is 3, and the same
command goes on once it is. It is safe to start from cron: while a run has the
runs directory, another gives up at once. A run that was interrupted, even by
kill -9, goes on when the same command is given again. --dry-run stops before
the update and says what it would take.

What had no part in the run is listed with the reason. The key of an engine is
read from the environment variable TRACEGRAD_ENGINE_KEY.`,
		Example: `  tracegrad train --config train.yaml
  tracegrad train --config train.yaml --dry-run
  tracegrad train --config train.yaml --resume last
  tracegrad train --config adapter.yaml --engine http://127.0.0.1:8000`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", "train.yaml", "configuration `file`")
	flags.StringVar(&f.dataset, "dataset", "", "`directory` of the dataset, instead of the configuration's")
	flags.StringVar(&f.runs, "runs", "", "`directory` of the runs, instead of the configuration's")
	flags.StringVar(&f.bundles, "bundles", "", "`directory` of the bundles, instead of the configuration's")
	flags.StringVar(&f.engine, "engine", "", "`url` of a server of the Tinker training protocol, instead of the configuration's")
	flags.StringVar(&f.resume, "resume", "", "go on with the run of this `id`, or with the last")
	flags.BoolVar(&f.fresh, "fresh", false, "begin a new run, even if the last one was interrupted")
	flags.BoolVar(&f.dryRun, "dry-run", false, "keep nothing; with policy: adapter, stop before the update")
	flags.BoolVar(&f.asJSON, "json", false, "print the result as JSON")
	return cmd
}

func (f *trainFlags) run(cmd *cobra.Command) (err error) {
	if f.dryRun && f.resume != "" {
		return usageError{errors.New("--dry-run keeps no run that --resume could go on with: use one of them")}
	}
	if f.fresh && f.resume != "" {
		return usageError{errors.New("--fresh begins a new run, --resume goes on with one: use one of them")}
	}
	config, err := trainer.Load(f.config)
	if err != nil {
		return err
	}
	if f.engine != "" {
		if err := config.UseEngine(f.engine); err != nil {
			return usageError{err}
		}
	}
	for _, o := range []struct {
		flag string
		key  *string
	}{{f.dataset, &config.Dataset}, {f.runs, &config.Runs}, {f.bundles, &config.Bundles}} {
		if o.flag != "" {
			*o.key = o.flag
		}
	}
	if f.dryRun {
		cleanUp, err := keepNothing(&config)
		if err != nil {
			return err
		}
		defer cleanUp()
	}
	return f.night(cmd.Context(), cmd, config)
}

func (f *trainFlags) night(ctx context.Context, cmd *cobra.Command, config trainer.Config) error {
	show, sent := newTrainProgress(cmd.ErrOrStderr()), newTelemetry(ctx, cmd.ErrOrStderr())
	defer sent.close()
	told := newTrainTelemetry(ctx, sent, config)
	progress := func(e trainer.Event) {
		show.event(e)
		told.event(e)
	}
	result, err := trainer.Run(ctx, config, trainer.Options{
		Resume: f.resume, Progress: progress, Fresh: f.fresh, Plan: f.dryRun && config.Policy.Kind == trainer.KindAdapter,
		Engine: trainer.Engine(show.worker()), Query: query.Options{Fetched: fetched(cmd.ErrOrStderr()), LeaveOut: leftOut(cmd.ErrOrStderr(), "train")},
	})
	show.close()
	told.close(result, err)
	if err != nil {
		return namingDataset(err, "name the one that the Collector writes with dataset in "+f.config+" or with --dataset DIRECTORY")
	}
	if f.asJSON && f.dryRun {
		return printJSON(cmd.OutOrStdout(), withoutPaths(result))
	}
	if f.asJSON {
		return printJSON(cmd.OutOrStdout(), result)
	}
	if result.Adapter != nil {
		return printAdapterNight(cmd.OutOrStdout(), result)
	}
	return printNight(cmd.OutOrStdout(), result, f.dryRun)
}

// keepNothing makes the run write to a temporary directory, but start from the
// policy it would have started from.
func keepNothing(c *trainer.Config) (cleanUp func(), err error) {
	if c.Base, err = basePolicy(*c); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "tracegrad-dry-run-")
	if err != nil {
		return nil, fmt.Errorf("make directory for the dry run: %w", err)
	}
	c.WriteTo(dir)
	return func() { _ = os.RemoveAll(dir) }, nil
}

// basePolicy is the directory of the starting policy, "" for none.
func basePolicy(c trainer.Config) (string, error) {
	ref := c.Base
	if ref == "" {
		ref = bundle.LabelProduction
	}
	dir, err := bundle.Resolve(c.Bundles, ref)
	switch {
	case err == nil:
		return filepath.Abs(dir)
	case c.Base == "" && errors.Is(err, fs.ErrNotExist):
		return "", nil
	case c.Base != "":
		return c.Base, nil // a directory, or what the run will complain about
	}
	return "", fmt.Errorf("open starting policy: %w", err)
}
