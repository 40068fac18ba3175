package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPageIsFresh: docs/frameworks.md is what the captures show.
func TestPageIsFresh(t *testing.T) {
	want, err := write(t.Context(), "../../../testdata/dialects")
	require.NoError(t, err)
	got, err := os.ReadFile("../../../docs/frameworks.md")
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got), "run make generate")
}
