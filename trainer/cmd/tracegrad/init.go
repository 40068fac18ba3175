package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tracegrad/tracegrad/examples"
)

//go:embed templates/train.yaml
var trainTemplate []byte

// initFiles are what init writes, in the order in which they are used.
var initFiles = []struct {
	name, purpose string
	text          []byte
}{
	{"collector.yaml", "OpenTelemetry in, a dataset out", examples.Collector},
	{"rewards.yaml", "what a good run is: the one file to edit", examples.Rewards},
	{"train.yaml", "one night of training", trainTemplate},
}

func newInit() *cobra.Command {
	var force, asJSON bool
	cmd := &cobra.Command{
		Use:   "init [DIRECTORY]",
		Short: "Write collector.yaml, rewards.yaml and train.yaml, ready to run",
		Long: `Init writes three commented files that work together as they are: a Collector's
configuration, reward rules, and the configuration of a night of training. Say
in rewards.yaml what a good run of your agent is, and you are done.

Files that are there already are left alone, all of them, unless --force is given.`,
		Example: "  tracegrad init\n  tracegrad init my-agent",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			written, err := writeInit(dir, force)
			switch {
			case err != nil:
				return err
			case asJSON:
				return printJSON(cmd.OutOrStdout(), map[string]any{"written": written})
			}
			printInit(cmd, dir)
			return nil
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace files that are there already")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the paths written as JSON")
	return cmd
}

// writeInit writes all files or, without force, none if one is there.
func writeInit(dir string, force bool) (written []string, err error) {
	var there []string
	for _, f := range initFiles {
		path := filepath.Join(dir, f.name)
		written = append(written, path)
		if _, err := os.Lstat(path); err == nil {
			there = append(there, path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("write %s: %w", path, err)
		}
	}
	if len(there) > 0 && !force {
		return nil, fmt.Errorf("%s: exists already, nothing was written: choose another directory, or replace with --force", strings.Join(there, ", "))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	for i, f := range initFiles {
		if err := os.WriteFile(written[i], f.text, 0o644); err != nil {
			return nil, fmt.Errorf("write configuration: %w", err)
		}
	}
	return written, nil
}

func printInit(cmd *cobra.Command, dir string) {
	out := cmd.OutOrStdout()
	for _, f := range initFiles {
		fmt.Fprintf(out, "wrote %-16s %s\n", f.name, f.purpose)
	}
	cd := ""
	if filepath.Clean(dir) != "." {
		cd = "  cd " + dir + "\n"
	}
	fmt.Fprintf(out, `
Next:
%s  tracegrad-collector --config collector.yaml
  export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318    # where your agents run
  tracegrad sql 'FROM trajectories'
  tracegrad train
`, cd)
}
