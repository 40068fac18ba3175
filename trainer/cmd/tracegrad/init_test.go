package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/examples"
	"github.com/tracegrad/tracegrad/rewards"
	"github.com/tracegrad/tracegrad/trainer"
)

// TestInitWritesWhatTheTrainerReads: the real loaders take the files, and they
// name each other. That the Collector takes its own is tested with the built
// one, in internal/repotest.
func TestInitWritesWhatTheTrainerReads(t *testing.T) {
	dir := t.TempDir()
	files, err := fitted(nil, "")
	require.NoError(t, err)
	_, err = writeInit(dir, false, files)
	require.NoError(t, err)
	config, err := trainer.Load(filepath.Join(dir, "train.yaml"))
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(dir, "rewards.yaml"), config.Rewards.File)
	assert.Equal(t, filepath.Join(dir, "dataset"), config.Dataset)
	assert.Zero(t, config.MinAge, "a first night takes every run")
	_, err = rewards.Load(config.Rewards.File)
	require.NoError(t, err)
}

// TestInitKnowsTheClocks: what is said of how long a run takes is what the
// Collector's configuration says.
func TestInitKnowsTheClocks(t *testing.T) {
	clock := func(key string) time.Duration {
		m := regexp.MustCompile(`(?m)^\s*` + key + `: \$\{env:\w+:-(\w+)\}$`).FindSubmatch(examples.Collector)
		require.NotNil(t, m, key)
		d, err := time.ParseDuration(string(m[1]))
		require.NoError(t, err)
		return d
	}
	says := func(wait, key string, first, flush time.Duration) {
		t.Helper()
		want := fmt.Sprintf("%v s (%s %v s + flush %v s)", (first + flush).Seconds(), key, first.Seconds(), flush.Seconds())
		assert.Equal(t, want, wait)
	}
	flush := clock("flush_timeout")
	says(rootWait, "root_grace", clock("root_grace"), flush)
	says(idleWait, "idle", clock("idle"), flush)
}

// TestPrograms: what is proposed can be typed after cd.
func TestPrograms(t *testing.T) {
	for _, c := range []struct{ program, dir, tracegrad, collector string }{
		{"tracegrad", ".", "tracegrad", "tracegrad-collector"},
		{"tracegrad", "my/agent", "tracegrad", "tracegrad-collector"},
		{"bin/tracegrad", ".", "bin/tracegrad", "bin/tracegrad-collector"},
		{"./tracegrad", "./", "./tracegrad", "./tracegrad-collector"},
		{"bin/tracegrad", "my/agent", "../../bin/tracegrad", "../../bin/tracegrad-collector"},
		{"./tracegrad", "agent", "../tracegrad", "../tracegrad-collector"},
		{"/opt/tracegrad", "agent", "/opt/tracegrad", "/opt/tracegrad-collector"},
	} {
		tracegrad, collector, err := programs(c.dir, c.program)
		require.NoError(t, err)
		assert.Equal(t, []string{c.tracegrad, c.collector}, []string{tracegrad, collector}, "%s init %s", c.program, c.dir)
	}
}
