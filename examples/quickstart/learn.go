package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tracegrad/tracegrad/internal/bundle"
)

// night is what tracegrad train left.
type night struct {
	bundle *bundle.Bundle
	report string
}

// train runs one night on the dataset. What train.yaml says of folders is for
// those who keep it beside their data; the demo keeps all of its own in one.
func (d *demo) train(ctx context.Context) (err error) {
	args := []string{"train", "--config", quickstart("train.yaml"), "--dataset", d.path("dataset"), "--runs", d.path("runs"), "--bundles", d.path("bundles")}
	if err := d.tracegrad(ctx, args...); err != nil {
		return err
	}
	if d.night.report, err = only(d.path("runs", "*", "report.html")); err != nil {
		return err
	}
	manifest, err := only(d.path("bundles", "*", bundle.ManifestName))
	if err != nil {
		return err
	}
	d.night.bundle, err = bundle.Open(filepath.Dir(manifest))
	return err
}

// only is the one file that matches.
func only(pattern string) (string, error) {
	found, err := filepath.Glob(pattern)
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%d files match %s, want one", len(found), pattern)
	}
	return found[0], nil
}

func (d *demo) report(context.Context) error {
	info, err := os.Stat(d.night.report)
	if err != nil {
		return err
	}
	d.say("Rewards by task, groups and advantages, the guidance with its evidence, the gate:\n%s (%d kB, one file, no network)", d.night.report, info.Size()/1000)
	return nil
}
