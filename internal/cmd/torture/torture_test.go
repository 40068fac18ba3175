package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/cmd/torture/delivery"
	"github.com/tracegrad/tracegrad/internal/localcollector"
)

const quickstart = "../../../examples/quickstart"

// quick is a few seconds a round, with one built Collector.
func quick(t *testing.T, config string, faults ...string) *options {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the Collector and kills it for half a minute")
	}
	t.Parallel()
	binary, err := collector()
	require.NoError(t, err)
	o := &options{
		collector: binary, config: filepath.Join(quickstart, config), rewards: filepath.Join(quickstart, "rewards.yaml"),
		work: t.TempDir(), rounds: len(faults), collectors: 1, traces: 96, seed: 7, lateWindow: time.Minute,
		shape:  delivery.Shape{Over: time.Second, Parts: 4, Spread: 500 * time.Millisecond, Late: 1500 * time.Millisecond},
		settle: time.Minute,
	}
	for _, name := range faults {
		o.faults = append(o.faults, faultsNamed(name)...)
	}
	require.Len(t, o.faults, len(faults))
	return o
}

func faultsNamed(name string) (list []fault) {
	for _, f := range faults {
		if f.name == name {
			list = append(list, f)
		}
	}
	return list
}

var built string // folder

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "tracegrad-torture-")
	if err != nil {
		panic(err)
	}
	built = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// collector is the built Collector, for all tests once.
var collector = sync.OnceValues(func() (path string, err error) {
	path = filepath.Join(built, "tracegrad-collector")
	return path, localcollector.Build(context.Background(), path)
})

// Without storage a kill loses what was acknowledged and not committed: this is
// how a loss shows.
func TestALossIsFound(t *testing.T) {
	o := quick(t, "collector.yaml", "kill")
	o.settle = 3 * time.Second
	o.faults[0].strike = func(ctx context.Context, g *ground) (string, error) {
		if err := sleep(ctx, g.shape.Over); err != nil {
			return "", err
		}
		g.fleet[0].kill()
		return "", g.fleet[0].start(ctx, nil)
	}
	var out bytes.Buffer
	err := o.torture(context.Background(), &report{out: &out})
	require.Error(t, err)
	assert.Contains(t, err.Error(), " missing:")
	assert.Contains(t, err.Error(), "the dataset is not what it must be")
	assert.Empty(t, out.String(), "no round went well")
}
