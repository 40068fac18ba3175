package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/tracegrad/tracegrad/examples"
)

//go:embed templates/train.yaml
var trainTemplate []byte

//go:embed templates/next.txt
var nextText string

var nextTemplate = template.Must(template.New("next").Parse(nextText))

// How long it takes until a run can be queried, with the clocks of the
// collector.yaml that init writes: with a root span, and without.
const (
	rootWait = "15 s (root_grace 5 s + flush 10 s)"
	idleWait = "70 s (idle 60 s + flush 10 s)"
)

// initFiles are what init writes, in the order in which they are used.
var initFiles = []struct {
	name, purpose string
	text          []byte
}{
	{"collector.yaml", "OpenTelemetry in, a dataset out", examples.Collector},
	{"rewards.yaml", "what a good run is: the one file to edit", examples.Rewards},
	{"train.yaml", "one night of training", trainTemplate},
	{"gateway.yaml", "later: what was learned, added to model calls", examples.Gateway},
}

// newInit makes the command of a program that was called as program, so that
// what it proposes can be typed as it stands.
func newInit(program string) *cobra.Command {
	var force, asJSON bool
	cmd := &cobra.Command{
		Use:   "init [DIRECTORY]",
		Short: "Write collector.yaml, rewards.yaml and train.yaml, ready to run",
		Long: `Init writes three commented files that work together as they are: a Collector's
configuration, reward rules, and the configuration of a night of training. Say
in rewards.yaml what a good run of your agent is, and you are done. A fourth,
gateway.yaml, is for later: the Collector that adds what was learned to model
calls. The steps from the one to the other are printed.

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
			return printInit(cmd.OutOrStdout(), dir, program)
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

func printInit(out io.Writer, dir, program string) error {
	for _, f := range initFiles {
		fmt.Fprintf(out, "wrote %-16s %s\n", f.name, f.purpose)
	}
	tracegrad, collector, err := programs(dir, program)
	if err != nil {
		return err
	}
	if dir = filepath.Clean(dir); dir == "." {
		dir = ""
	}
	return nextTemplate.Execute(out, map[string]string{"Dir": dir, "Tracegrad": tracegrad, "Collector": collector, "RootWait": rootWait, "IdleWait": idleWait})
}

// programs are the command and the Collector beside it as they are called in
// dir: by name if the command was found in PATH.
func programs(dir, program string) (tracegrad, collector string, err error) {
	folder, name := filepath.Split(program)
	collector = "tracegrad-collector" + filepath.Ext(name)
	if folder == "" {
		return name, collector, nil
	}
	if !filepath.IsAbs(folder) && filepath.Clean(dir) != "." {
		here, err := filepath.Abs(folder)
		if err != nil {
			return "", "", fmt.Errorf("find %s: %w", program, err)
		}
		there, err := filepath.Abs(dir)
		if err != nil {
			return "", "", fmt.Errorf("find %s: %w", dir, err)
		}
		if folder, err = filepath.Rel(there, here); err != nil {
			folder = here
		}
	}
	// Not filepath.Join: it would cut the ./ that a shell needs.
	folder = strings.TrimSuffix(folder, string(filepath.Separator)) + string(filepath.Separator)
	return folder + name, folder + collector, nil
}
