package feedbackreceiver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// idOf is the id that an item gets at a time.
func idOf(t *testing.T, item string, at time.Time) string {
	t.Helper()
	items, problems, err := parse([]byte(item), at)
	require.NoError(t, err)
	require.Empty(t, problems)
	require.Len(t, items, 1)
	return items[0].id
}

// TestAMindThatChangesBackIsHeard: true, false and true again are three facts;
// the same observation sent twice is one.
func TestAMindThatChangesBackIsHeard(t *testing.T) {
	const yes = `{"name": "solved", "value": true, "response_id": "r"}`
	const then = `{"name": "solved", "value": true, "response_id": "r", "observed_at": "2026-01-31T12:00:00Z"}`
	const named = `{"name": "solved", "value": true, "response_id": "r", "id": "f"}`
	first, later := time.Unix(1_800_000_000, 0), time.Unix(1_800_000_060, 0)
	assert.NotEqual(t, idOf(t, yes, first), idOf(t, yes, later))
	assert.Equal(t, idOf(t, then, first), idOf(t, then, later))
	assert.NotEqual(t, idOf(t, then, first), idOf(t, yes, first))
	assert.Equal(t, "f", idOf(t, named, first))
	assert.Equal(t, "f", idOf(t, named, later))
}

// TestScope: the name by which the exporter knows this receiver's records.
func TestScope(t *testing.T) {
	items, _, err := parse([]byte(`{"name": "solved", "value": true, "response_id": "r"}`), time.Unix(1, 0))
	require.NoError(t, err)
	scope := records(items, time.Unix(1, 0)).ResourceLogs().At(0).ScopeLogs().At(0).Scope()
	assert.Equal(t, trajectory.ScopeName+"/receiver/feedbackreceiver", scope.Name())
}
