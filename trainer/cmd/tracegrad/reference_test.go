package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var renew = flag.Bool("update", false, "write docs/cli.md anew")

const reference = "../../../docs/cli.md"

// TestReference holds docs/cli.md to the commands' own help.
func TestReference(t *testing.T) {
	var b strings.Builder
	b.WriteString("# tracegrad on the command line\n\n")
	b.WriteString("Written by `make generate` from the commands' own help.\n\n")
	for _, cmd := range documented() {
		writeCommand(&b, cmd)
	}
	got := strings.TrimRight(b.String(), "\n") + "\n"
	if *renew {
		require.NoError(t, os.WriteFile(reference, []byte(got), 0o644))
	}
	want, err := os.ReadFile(reference)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "docs/cli.md is out of date: run make generate")
}

// TestEveryCommandExplainsItself: a sentence, an example, and JSON where data
// is printed.
func TestEveryCommandExplainsItself(t *testing.T) {
	for _, cmd := range documented() {
		path := cmd.CommandPath()
		assert.NotEmpty(t, cmd.Short, path)
		assert.False(t, strings.HasSuffix(cmd.Short, "."), path)
		assert.Contains(t, cmd.Example, path, "an example of %s", path)
		if cmd.HasParent() {
			assert.NotNil(t, cmd.Args, "%s must say which arguments it takes", path)
		}
		if !cmd.HasSubCommands() {
			assert.NotNil(t, cmd.Flags().Lookup("json"), "%s --json", path)
		}
	}
}

// documented are all commands but those that cobra adds.
func documented() []*cobra.Command {
	var all []*cobra.Command
	eachCommand(newRoot("tracegrad"), func(cmd *cobra.Command) { all = append(all, cmd) })
	return all
}

func writeCommand(b *strings.Builder, cmd *cobra.Command) {
	fmt.Fprintf(b, "## %s\n\n", cmd.CommandPath())
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	fmt.Fprintf(b, "%s\n\n", text)
	if cmd.HasAvailableSubCommands() {
		for _, sub := range cmd.Commands() {
			fmt.Fprintf(b, "- `%s`: %s\n", sub.CommandPath(), sub.Short)
		}
		b.WriteString("\n")
	}
	cmd.InitDefaultHelpFlag()
	fmt.Fprintf(b, "```text\n%s\n\n%s```\n\n", cmd.UseLine(), cmd.LocalFlags().FlagUsages())
	fmt.Fprintf(b, "```sh\n%s\n```\n\n", dedent(cmd.Example))
}

func dedent(example string) string {
	lines := strings.Split(example, "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "  ")
	}
	return strings.Join(lines, "\n")
}
