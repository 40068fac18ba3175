package buffer

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// TestRecordsJoinFragments: a bare client whose content is in log records is one
// trajectory, in whatever order spans and records come.
func TestRecordsJoinFragments(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 4))
		w := &world{r: r}
		w.client("A", "")
		w.log(w.items)
		calls := 0
		for _, it := range w.items {
			if it.Span.Record == trajectory.RecordNone {
				calls++
			}
		}
		got := deliver(t, New(testConfig()), w, r, 0)
		require.Len(t, got, 1, "seed %d", seed)
		assert.Len(t, got[0].Spans, calls)
	}
}

// TestRecordAfterClose: a record that comes when its trajectory is handed out
// makes a new revision of it.
func TestRecordAfterClose(t *testing.T) {
	w := &world{r: rand.New(rand.NewPCG(1, 1))}
	root := w.span("A", trajectory.SpanID{}, trajectory.RoleAgentSpan)
	call := w.span("A", root.SpanID, trajectory.RoleModelSpan)
	r := w.record(call, call.End)
	r.Call.Reply = []*trajectory.Message{{Role: trajectory.RoleAssistant, Text: "hello"}}
	b := New(testConfig())
	now := int64(time.Hour)
	require.NoError(t, b.Add(now, w.items[:2]))
	first := b.Due(now+int64(time.Minute), 10)
	require.Len(t, first, 1)
	require.NoError(t, b.Add(now+int64(2*time.Minute), w.items[2:]))
	require.NoError(t, b.Add(now+int64(2*time.Minute), w.items[2:]), "twice")
	second := b.Due(now+int64(3*time.Minute), 10)
	require.Len(t, second, 1)
	assert.Equal(t, first[0].ID, second[0].ID)
	assert.Greater(t, second[0].Revision, first[0].Revision)
	require.Len(t, second[0].Spans, 2)
	assert.Equal(t, "hello", trajectory.Assemble(second[0].Spans, trajectory.Options{}).Output)
}
