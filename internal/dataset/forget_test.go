package dataset_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

func of(user, tenant string, n int) *trajectory.Trajectory {
	t := sample()[0]
	t.ID, t.UserID, t.Tenant, t.Input = fmt.Sprintf("%032x", n), user, tenant, "I am "+user
	t.TraceIDs, t.ConversationID = []string{fmt.Sprintf("%032x", 9000+n)}, "talk-"+user
	t.Facts = []trajectory.Fact{{Name: "solved", TraceID: t.TraceIDs[0], Explanation: "says " + user, ObservedAt: noon.UnixMicro()}}
	for i := range t.Steps {
		if m := t.Steps[i].Model; m != nil {
			call := *m
			call.ResponseID = fmt.Sprintf("resp-%d-%d", n, i)
			t.Steps[i].Model = &call
		}
	}
	return t
}

func TestForget(t *testing.T) {
	root := t.TempDir()
	w := newWriter(t, root, "pod-1")
	anna, bert, other := of("anna", "acme", 1), of("bert", "acme", 2), of("anna", "else", 3)
	remainder := of("", "", 4)
	remainder.Continues, remainder.ConversationID = anna.ID, ""
	_, err := w.Write(t.Context(), []*trajectory.Trajectory{anna, bert}, []trajectory.Fact{
		{Name: "verdict", ConversationID: "talk-anna", Explanation: "anna again", ObservedAt: noon.UnixMicro()},
		{Name: "verdict", ResponseID: "resp-1-0", Explanation: "anna's answer", ObservedAt: noon.UnixMicro()},
		{Name: "verdict", ConversationID: "talk-bert", Explanation: "bert again", ObservedAt: noon.UnixMicro()},
	})
	require.NoError(t, err)
	older := of("", "", 1) // a revision that did not know yet whose it is
	older.Revision--
	_, err = w.Write(t.Context(), []*trajectory.Trajectory{older, other, remainder}, nil)
	require.NoError(t, err)
	want := seen(t, root)
	for _, id := range []string{anna.ID, remainder.ID} {
		delete(want, id)
		delete(want, "reward "+id)
	}
	_, err = dataset.Compact(t.Context(), root, upkeepAt(noon.AddDate(0, 0, 2), time.Hour)) // old copies wait
	require.NoError(t, err)

	dry := upkeepAt(noon.Add(time.Hour), 0)
	dry.DryRun = true
	before := tree(t, root)
	planned, err := dataset.Forget(t.Context(), root, dataset.Person{User: "anna", Tenant: "acme"}, dry)
	require.NoError(t, err)
	assert.Equal(t, []string{anna.ID, remainder.ID}, planned.IDs())
	assert.Equal(t, before, tree(t, root))

	out, err := dataset.Forget(t.Context(), root, dataset.Person{User: "anna", Tenant: "acme"}, upkeepAt(noon.Add(time.Hour), 0))
	require.NoError(t, err)
	assert.Equal(t, []string{anna.ID, remainder.ID}, out.IDs())
	assert.Empty(t, out.Left)
	got := seen(t, root)
	for id, rows := range want {
		if !strings.HasPrefix(id, "fact ") {
			assert.Equal(t, rows, got[id], id)
		}
	}
	for id, rows := range got {
		assert.Contains(t, want, id)
		for _, row := range rows {
			assert.NotContains(t, row, "anna's answer")
			assert.NotContains(t, row, anna.ID)
		}
	}
	var facts []string
	for _, r := range read[dataset.FactRow](t, root, dataset.TableFacts) {
		facts = append(facts, asJSON(t, r))
	}
	assert.Len(t, facts, 4, "of bert, of the other anna, and the conversation that both annas are in")
	for _, path := range tree(t, root) {
		text, err := os.ReadFile(filepath.Join(root, path))
		require.NoError(t, err)
		assert.NotContains(t, string(text), anna.ID, path)
	}

	// What a store still holds of her does not come back; what she does later is new.
	late, again := of("anna", "acme", 1), of("anna", "acme", 5)
	late.Revision += 1e9
	again.FirstSeenAt, again.StartedAt = noon.Add(2*time.Hour).UnixMicro(), noon.Add(2*time.Hour).UnixMicro()
	c, err := w.Write(t.Context(), []*trajectory.Trajectory{late}, nil)
	require.NoError(t, err)
	assert.Equal(t, dataset.Commit{Forgotten: 1}, c)
	c, err = w.Write(t.Context(), []*trajectory.Trajectory{late, again}, nil)
	require.NoError(t, err)
	assert.Equal(t, 1, c.Forgotten)
	assert.Equal(t, 1, c.Trajectories)
	assert.NotContains(t, seen(t, root), anna.ID)
	assert.Contains(t, seen(t, root), again.ID)
}

func TestForgetSaysWhatItCannotLookInto(t *testing.T) {
	root := t.TempDir()
	w := newWriter(t, root, "pod-1")
	c, err := w.Write(t.Context(), []*trajectory.Trajectory{of("anna", "", 1)}, nil)
	require.NoError(t, err)
	path := c.Files[len(c.Files)-1].Path
	require.NoError(t, os.WriteFile(path, []byte("PAR1 PAR1"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(path), "part-0.parquet"), nil, 0o600))
	out, err := dataset.Forget(t.Context(), root, dataset.Person{User: "anna"}, upkeepAt(noon, 0))
	require.NoError(t, err)
	assert.Len(t, out.Left, 2)
}

func TestRetain(t *testing.T) {
	root := t.TempDir()
	w := newWriter(t, root, "pod-1")
	var list []*trajectory.Trajectory
	for n := range 5 {
		tr := of("anna", "", n)
		tr.FirstSeenAt = noon.AddDate(0, 0, -n).UnixMicro()
		tr.Facts[0].ObservedAt = tr.FirstSeenAt
		list = append(list, tr)
	}
	_, err := w.Write(t.Context(), list, nil)
	require.NoError(t, err)
	u := upkeepAt(noon, 0)
	u.DryRun = true
	planned, err := dataset.Retain(t.Context(), root, 48*time.Hour, u)
	require.NoError(t, err)
	assert.Len(t, seen(t, root), 15)
	out, err := dataset.Retain(t.Context(), root, 48*time.Hour, upkeepAt(noon, 0))
	require.NoError(t, err)
	assert.Equal(t, planned, out)
	assert.Equal(t, []string{"2026-03-10", "2026-03-11"}, out.Days)
	assert.Equal(t, 10, out.Files)
	left := seen(t, root)
	for n := range 5 {
		assert.Equal(t, n <= 2, left[list[n].ID] != nil, "%d days old", n)
	}
	for _, path := range tree(t, root) {
		assert.NotContains(t, path, "date=2026-03-10")
	}
}
