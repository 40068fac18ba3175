package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/trainer"
)

// TestDryRunNamesNothingThatIsGone: what a dry run wrote is removed before
// anyone could open it.
func TestDryRunNamesNothingThatIsGone(t *testing.T) {
	r := &trainer.Result{
		ID: "20260314T020000Z", Dir: "/gone/runs/x", Report: "/gone/runs/x/report.html",
		Bundle: trainer.PackedBundle{ID: "4068f0a8", Dir: "/gone/bundles/4068f0a8", Status: bundle.StatusCandidate},
		Counts: trainer.Counts{Live: 7},
	}
	var text bytes.Buffer
	require.NoError(t, printNight(&text, r, true))
	assert.NotContains(t, text.String(), "gone")
	assert.Contains(t, text.String(), "nothing was kept")

	data, err := json.Marshal(withoutPaths(r))
	require.NoError(t, err)
	assert.NotContains(t, string(data), "gone")
	var dry, kept map[string]any
	require.NoError(t, json.Unmarshal(data, &dry))
	data, err = json.Marshal(r)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &kept))
	assert.Equal(t, true, dry["dry_run"])
	assert.Equal(t, map[string]any{"id": "4068f0a8", "status": "candidate"}, dry["bundle"])
	for _, m := range []map[string]any{dry, kept} {
		for _, key := range []string{"dry_run", "dir", "report", "bundle"} {
			delete(m, key)
		}
	}
	assert.Equal(t, kept, dry, "all else is there")

	text.Reset()
	require.NoError(t, printNight(&text, r, false))
	assert.Contains(t, text.String(), "report  /gone/runs/x/report.html\n")
	assert.Contains(t, text.String(), "bundle promote --force, and allow_candidate: true for the gateway\n")
}
