// Command workerenv makes the worker's Python environment under a folder and
// prints the Python to run.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/tracegrad/tracegrad/trainer/worker"
)

func main() {
	cache := flag.String("cache", "", "folder for the environment")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	python, err := worker.Environment{Cache: *cache}.Provision(ctx, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "workerenv:", err)
		stop()
		os.Exit(1) //nolint:gocritic // nothing is left to be done
	}
	fmt.Println(python)
}
