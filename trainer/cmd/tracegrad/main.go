// Command tracegrad replays captures, queries the dataset, trains policies
// from it and looks into bundles. docs/cli.md is its reference.
package main

//go:generate go test -count=1 -run TestReference . -update

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
