package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/rewards"
	"github.com/tracegrad/tracegrad/trainer"
)

// TestInitWritesWhatTheTrainerReads: the real loaders take the files, and they
// name each other. That the Collector takes its own is tested with the built
// one, in internal/repotest.
func TestInitWritesWhatTheTrainerReads(t *testing.T) {
	dir := t.TempDir()
	_, err := writeInit(dir, false)
	require.NoError(t, err)
	config, err := trainer.Load(filepath.Join(dir, "train.yaml"))
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(dir, "rewards.yaml"), config.Rewards.File)
	assert.Equal(t, filepath.Join(dir, "dataset"), config.Dataset)
	_, err = rewards.Load(config.Rewards.File)
	require.NoError(t, err)
}
