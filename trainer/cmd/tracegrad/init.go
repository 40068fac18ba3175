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
	"github.com/tracegrad/tracegrad/internal/doctor"
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
	var from string
	cmd := &cobra.Command{
		Use:   "init [DIRECTORY]",
		Short: "Write collector.yaml, rewards.yaml and train.yaml, ready to run",
		Long: `Init writes three commented files that work together as they are: a Collector's
configuration, reward rules, and the configuration of a night of training. Say
in rewards.yaml what a good run of your agent is, and you are done. A fourth,
gateway.yaml, is for later: the Collector that adds what was learned to model
calls. The steps from the one to the other are printed.

With --from, init looks at a capture or a dataset first, as tracegrad doctor
does, and fits the files to what is there: attributes that name the task or the
tenant, rules for the verdicts and tools that were seen, with comments that say why.

Files that are there already are left alone, all of them, unless --force is given.`,
		Example: "  tracegrad init\n  tracegrad init my-agent\n  tracegrad init --from traces.jsonl my-agent",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			files, err := fitted(cmd, from)
			if err != nil {
				return err
			}
			written, err := writeInit(dir, force, files)
			switch {
			case err != nil:
				return err
			case asJSON:
				return printJSON(cmd.OutOrStdout(), map[string]any{"written": written})
			}
			return printInit(cmd.OutOrStdout(), dir, program, from)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace files that are there already")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the paths written as JSON")
	cmd.Flags().StringVar(&from, "from", "", "fit the files to what this `capture`, folder of captures or dataset shows")
	return cmd
}

// fitted are the texts of the files, fitted to what from shows.
func fitted(cmd *cobra.Command, from string) ([][]byte, error) {
	files := make([][]byte, len(initFiles))
	for i, f := range initFiles {
		files[i] = f.text
	}
	if from == "" {
		return files, nil
	}
	seen, err := examine(cmd.Context(), cmd.ErrOrStderr(), []string{from})
	if err != nil {
		return nil, err
	}
	if len(seen.Services) == 0 {
		return nil, noAgent(doctor.Diagnose(seen))
	}
	s := shape{from: oneLine(filepath.Base(from)), seen: seen, main: seen.Services[0]}
	for i, f := range initFiles {
		files[i] = s.fit(f.name, f.text)
	}
	return files, nil
}

// writeInit writes all files or, without force, none if one is there.
func writeInit(dir string, force bool, files [][]byte) (written []string, err error) {
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
	for i := range initFiles {
		if err := os.WriteFile(written[i], files[i], 0o644); err != nil {
			return nil, fmt.Errorf("write configuration: %w", err)
		}
	}
	return written, nil
}

func printInit(out io.Writer, dir, program, from string) error {
	for _, f := range initFiles {
		fmt.Fprintf(out, "wrote %-16s %s\n", f.name, f.purpose)
	}
	if from != "" {
		fmt.Fprintf(out, "They fit what is in %s; comments say why.\n", from)
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
