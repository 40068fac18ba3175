package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tracegrad/tracegrad/trainer"
)

// The exit codes of every command.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitGate   = 3 // of train: the adapter waits for the server that judges it
)

// usageError marks an error in how a command was called that only the command
// itself can see.
type usageError struct{ error }

// run executes one command line, args[0] being the program as it was called,
// and returns its exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	root := newRoot(args[0])
	started := false
	eachCommand(root, func(cmd *cobra.Command) {
		if inner := cmd.RunE; inner != nil {
			cmd.RunE = func(cmd *cobra.Command, args []string) error {
				started = true
				return inner(cmd, args)
			}
		}
	})
	root.SetArgs(args[1:])
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	message := indented(err)
	if started && !errors.As(err, new(usageError)) {
		fmt.Fprintf(errOut, "%s: %s\n", cmd.CommandPath(), message)
		if errors.As(err, new(*trainer.PendingError)) {
			return exitGate
		}
		return exitFailed
	}
	first, more, _ := strings.Cut(message, "\n")
	fmt.Fprintf(errOut, "%s: %s (see %s --help)\n", cmd.CommandPath(), first, cmd.CommandPath())
	if more != "" {
		fmt.Fprintln(errOut, more)
	}
	return exitUsage
}

func newRoot(program string) *cobra.Command {
	root := &cobra.Command{
		Use:   "tracegrad",
		Short: "Turn the traces of agents into better agents",
		Long: `tracegrad works on the dataset that the tracegrad Collector writes: it queries
it, trains policies from it, and looks into the bundles it makes of them.

Exit codes: 0 done, 1 failed, 2 wrong usage, and of train 3: the adapter waits
for the server that judges it (gate.server). An error is said on stderr:
"tracegrad COMMAND: what is wrong", and further lines of it are indented.`,
		Example:       "  tracegrad doctor traces.jsonl\n  tracegrad init --from traces.jsonl\n  tracegrad sql 'SELECT count(*) FROM trajectories'\n  tracegrad train --config train.yaml",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version(),
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.AddCommand(newInit(program), newDoctor(), newReplay(), newImport(), newCompact(), newForget(), newSQL(), newTrain(), newReroll(), newRewards(), newBundle(), newVersion())
	return root
}

func eachCommand(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		eachCommand(sub, visit)
	}
}

// indented is the text of an error whose first line stands behind a name. The
// lines after it move together, so that a caret stays under what it points at.
func indented(err error) string {
	var lines []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimRight(line, " \t\r\n"); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n  ")
}

// printJSON writes v indented, the form that every --json has.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
