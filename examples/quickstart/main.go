// Command quickstart is the demo: it sends the traces of real agents through
// the whole path, from the Collector to a bundle that is added to a model call,
// and shows every command as one would type it, with what it prints.
//
// It is run by make demo, from the root of the repository, once bin/ is built.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	d := &demo{out: os.Stdout}
	flag.StringVar(&d.dir, "dir", "demo", "`folder` for what the demo leaves behind; what an earlier one left is replaced")
	flag.StringVar(&d.bin, "bin", "bin", "`folder` of the built binaries")
	flag.StringVar(&d.captures, "captures", "testdata/captures", "`folder` of captures and their truth.jsonl")
	flag.Parse()
	if err := d.prepare(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stopAll()) }()

	began := time.Now()
	for _, stage := range []struct {
		title string
		run   func(context.Context) error
	}{
		{"Start a Collector", d.startCollector},
		{"Send it what real agents emitted", d.replay},
		{"Hours later: did the answers solve the tasks?", d.feedback},
		{"Ask the dataset", d.sql},
		{"Learn from it", d.train},
		{"Put what was learned in front of the model", d.gateway},
		{"Look back", d.report},
	} {
		d.heading(stage.title)
		if err := stage.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", stage.title, err)
		}
	}
	if err := d.stopAll(); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "\nDone in %.0f s. Everything was stopped; what it left is in %s.\n", time.Since(began).Seconds(), d.dir)
	return nil
}
