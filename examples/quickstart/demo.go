package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/tracegrad/tracegrad/internal/localcollector"
)

// demo is what the stages share.
type demo struct {
	out                io.Writer
	dir, bin, captures string

	ports     localcollector.Ports
	collector *localcollector.Collector
	running   []*localcollector.Collector

	stage int
	night night
}

// prepare checks what the demo needs and makes room for what it leaves.
func (d *demo) prepare() error {
	for _, needed := range []string{d.tool("tracegrad-collector"), d.tool("tracegrad"), filepath.Join(d.captures, "truth.jsonl"), quickstart("collector.yaml")} {
		if _, err := os.Stat(needed); err != nil {
			return fmt.Errorf("%w: run make demo in the root of the repository", err)
		}
	}
	for _, old := range []string{"dataset", "runs", "bundles", "logs"} {
		if err := os.RemoveAll(filepath.Join(d.dir, old)); err != nil {
			return err
		}
	}
	return os.MkdirAll(filepath.Join(d.dir, "logs"), 0o755)
}

func quickstart(name string) string { return filepath.Join("examples", "quickstart", name) }

func (d *demo) tool(name string) string { return filepath.Join(d.bin, name) }

func (d *demo) path(elem ...string) string { return filepath.Join(append([]string{d.dir}, elem...)...) }

// heading opens a stage.
func (d *demo) heading(title string) {
	d.stage++
	fmt.Fprintf(d.out, "\n─── %d. %s %s\n\n", d.stage, title, strings.Repeat("─", max(0, 60-len(title))))
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

// tracegrad runs one command of ours and shows it as it would be typed.
func (d *demo) tracegrad(ctx context.Context, args ...string) error {
	return d.tracegradShown(ctx, args, args)
}

// tracegradShown is for arguments that a shell would have expanded.
func (d *demo) tracegradShown(ctx context.Context, args, shown []string) error {
	d.say("$ %s", shellLine(append([]string{d.tool("tracegrad")}, shown...)))
	cmd := exec.CommandContext(ctx, d.tool("tracegrad"), args...)
	cmd.Stdout, cmd.Stderr = d.out, d.out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("tracegrad %s: %w", args[0], err)
	}
	return nil
}

// shellLine quotes what a shell would not take as it is.
func shellLine(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = w
		switch {
		case !strings.ContainsAny(w, " \n'\"$();&|<>"):
		case !strings.Contains(w, "'"):
			quoted[i] = "'" + w + "'"
		default:
			quoted[i] = `"` + w + `"` // what we show has none of " $ ` and \
		}
	}
	return strings.Join(quoted, " ")
}

// start runs a Collector with one of the quickstart's configurations and the
// variables that it is to see.
func (d *demo) start(ctx context.Context, config string, env []string) (*localcollector.Collector, error) {
	variables := map[string]string{}
	for _, kv := range env {
		d.say("$ export %s", kv)
		name, value, _ := strings.Cut(kv, "=")
		variables[name] = value
	}
	d.say("$ %s", shellLine([]string{d.tool("tracegrad-collector"), "--config", quickstart(config)}))
	c, err := localcollector.Start(ctx, localcollector.Options{
		Binary: d.tool("tracegrad-collector"), Config: quickstart(config), Env: variables,
		Log: d.path("logs", strings.TrimSuffix(config, ".yaml")+".log"), Ports: &d.ports,
	})
	if err != nil {
		return nil, err
	}
	d.running = append(d.running, c)
	return c, nil
}

// stopAll stops the Collectors, the youngest first. It may be called twice.
func (d *demo) stopAll() error {
	var errs []error
	for len(d.running) > 0 {
		last := len(d.running) - 1
		errs = append(errs, d.running[last].Stop())
		d.running = d.running[:last]
	}
	return errors.Join(errs...)
}
