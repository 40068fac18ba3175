//go:build cgo

package query

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/doctor"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// TestSplits: traces that two writers have a part of, and conversations whose
// pieces two writers had at the same time; not what merely shares a
// conversation, nor what was imported.
func TestSplits(t *testing.T) {
	root := t.TempDir()
	byWriter := map[string][]*trajectory.Trajectory{}
	next := 0
	add := func(writer, conversation string, began time.Duration, change func(*trajectory.Trajectory)) {
		next++
		one := attempt(next, "a")
		one.Writer, one.ConversationID, one.CloseReason, one.ServiceName = writer, conversation, trajectory.CloseIdle, "shop"
		one.StartedAt = start.Add(began).UnixMicro()
		one.EndedAt = start.Add(began + 10*time.Second).UnixMicro()
		if change != nil {
			change(one)
		}
		byWriter[writer] = append(byWriter[writer], one)
	}
	trace := func(n string) func(*trajectory.Trajectory) {
		return func(one *trajectory.Trajectory) { one.TraceIDs = append(one.TraceIDs, n) }
	}
	whole := func(one *trajectory.Trajectory) { one.CloseReason = trajectory.CloseComplete }
	add("a", "at once", 0, nil)
	add("b", "at once", 5*time.Second, nil)
	add("a", "soon", 0, nil)
	add("b", "soon", 60*time.Second, nil)
	add("a", "much later", 0, nil)
	add("b", "much later", time.Hour, nil)
	add("a", "with roots", 0, whole)
	add("b", "with roots", 5*time.Second, whole)
	add("a", "one collector", 0, nil)
	add("a", "one collector", 5*time.Second, nil)
	add("a", "", 0, trace("shared"))
	add("b", "", 0, trace("shared"))
	add("import", "at once too", 0, trace("imported"))
	add("a", "at once too", 0, trace("imported"))
	byWriter["import"][0].Source = trajectory.SourceImport
	for writer, list := range byWriter {
		w, err := dataset.NewWriter(root, writer, dataset.Options{})
		require.NoError(t, err)
		_, err = w.Write(t.Context(), list, nil)
		require.NoError(t, err)
		require.NoError(t, w.Close())
	}
	db := open(t, root)
	assert.Equal(t, [][]string{
		{"conversation", "at once", "shop", `["a","b"]`, "2"},
		{"conversation", "soon", "shop", `["a","b"]`, "2"},
		{"trace", "shared", "shop", `["a","b"]`, "2"},
	}, table(t, db, "SELECT kind, id, service_name, writers, len(trajectories) FROM splits ORDER BY ALL"))

	seen, err := db.Seen(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []doctor.Split{{Kind: "conversation", Count: 2, Example: "at once", Writers: "a, b"}, {Kind: "trace", Count: 1, Example: "shared", Writers: "a, b"}}, seen.Splits)
	notes := doctor.Diagnose(seen).Notes
	require.Len(t, notes, 2)
	assert.Contains(t, notes[1], "1 trace went to several Collectors")

	alone := t.TempDir()
	write(t, alone, []*trajectory.Trajectory{attempt(1, "a")})
	db = open(t, alone)
	assert.Empty(t, table(t, db, "FROM splits"))
}
