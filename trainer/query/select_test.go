//go:build cgo

package query

import (
	"context"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

func removeFile(path string) error { return os.Remove(path) }

func parse(s string) (float64, bool) {
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil
}

func TestSelectSaysWhyNot(t *testing.T) {
	root := t.TempDir()
	var list []*trajectory.Trajectory
	for n := range 8 {
		list = append(list, attempt(n, "task"))
	}
	list[3].Trainable, list[3].Reasons = false, []trajectory.Reason{trajectory.ReasonFailed, trajectory.ReasonNoOutput}
	list[4].Trainable = false
	list[5].Input = ""
	list[6].Tenant = "" // stays: no tenant is a tenant of its own
	list[2].UserID = "bo"
	write(t, root, list)
	db := open(t, root)
	got, err := db.Select(context.Background(), Selection{
		Where: "user_id IS DISTINCT FROM 'bo'", GroupBy: "split_part(input, ' ', 3)", HoldoutBy: "input",
		Since: start.Add(30 * time.Second), Until: start.Add(6*time.Minute + 30*time.Second),
	})
	require.NoError(t, err)
	out := map[string]string{}
	for _, c := range got {
		out[c.ID[31:]] = c.LeftOut
	}
	assert.Equal(t, map[string]string{
		"0": "before_window", "1": "", "2": "where", "3": "not_trainable: call_failed", "4": "not_trainable",
		"5": "no_group", "6": "", "7": "too_young",
	}, out)
	assert.Equal(t, Candidate{ID: list[1].ID, Revision: list[1].Revision, TaskKey: "task", Tenant: "acme", Group: "task?", Holdout: "What about task?", Ended: 1770091567000000}, got[1])

	all, err := db.Select(context.Background(), Selection{})
	require.NoError(t, err)
	assert.Equal(t, "task", all[0].Group)
	assert.Equal(t, "task", all[0].Holdout)
	assert.Empty(t, all[0].LeftOut)
}

func TestExpressionsThatMakeNoSense(t *testing.T) {
	db := open(t, t.TempDir())
	for _, c := range []struct {
		selection Selection
		want      string
	}{
		{Selection{Where: "tsak_key = 'x'"}, "where: Binder Error: Referenced column \"tsak_key\" not found"},
		{Selection{Where: "a = \n  b ="}, "where: Parser Error: syntax error"},
		{Selection{Where: "input"}, ""}, // a text can be cast; what is not true is left out
		{Selection{Where: "1) = 1; DROP VIEW live; SELECT (1"}, "where: more than one statement"},
		{Selection{Where: "true), (false"}, "where: must be one expression"},
		{Selection{GroupBy: "task_key -- why not"}, ""},
		{Selection{GroupBy: "upper(task_key"}, "group_by: Parser Error: syntax error at the end: the expression is not complete"},
		{Selection{GroupBy: "CASE"}, "group_by: Parser Error: syntax error at the end: the expression is not complete"},
		{Selection{Where: "epoch(input)"}, "where: Binder Error: "},
		{Selection{HoldoutBy: "nothing(input)"}, "gate.holdout_by: Catalog Error: Scalar Function with name nothing does not exist"},
	} {
		_, err := db.Select(context.Background(), c.selection)
		if c.want == "" {
			assert.NoError(t, err)
			continue
		}
		var e *Error
		require.ErrorAs(t, err, &e, c.want)
		assert.Contains(t, e.Error(), c.want)
		for _, ours := range []string{"SELECT", "LIMIT", "::", "FROM trajectories", "$since"} {
			assert.NotContains(t, strings.ReplaceAll(e.Error(), "without SELECT and ;", ""), ours)
		}
	}
	_, err := db.Select(context.Background(), Selection{Where: "status = 'ok'\nAND tsak = 'x'"})
	assert.Contains(t, err.Error(), "LINE 2: AND tsak = 'x'\n            ^")
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, 2, e.Line)
}

// What only the data shows to be wrong.
func TestExpressionsThatFailOnTheData(t *testing.T) {
	root := t.TempDir()
	write(t, root, []*trajectory.Trajectory{attempt(1, "a")})
	db := open(t, root)
	for want, s := range map[string]Selection{
		"where: Conversion Error: ":                                     {Where: "input::INTEGER > 1"},
		"where: Conversion Error: Could not convert string 'x' to BOOL": {Where: "'x'"},
		"group_by: Conversion Error: ":                                  {Where: "status = 'ok'", GroupBy: "CAST(input\n AS INTEGER)"},
		"gate.holdout_by: Conversion Error: ":                           {HoldoutBy: "input::DATE"},
	} {
		_, err := db.Select(context.Background(), s)
		var e *Error
		require.ErrorAs(t, err, &e, want)
		assert.Contains(t, e.Error(), want)
		for _, ours := range []string{"SELECT", "VARCHAR", "FROM trajectories", "$since"} {
			assert.NotContains(t, e.Error(), ours)
		}
	}
}

func TestGroupsNeverCrossTenants(t *testing.T) {
	got := Groups([]Scored{
		{"3", "b", "g", 3}, {"1", "a", "g", 1}, {"2", "b", "g", 2}, {"4", "a", "h", 4},
	})
	want := []Group{
		{"a", "g", []string{"1"}, []float64{1}}, {"a", "h", []string{"4"}, []float64{4}}, {"b", "g", []string{"2", "3"}, []float64{2, 3}},
	}
	assert.Equal(t, want, got)
	assert.Empty(t, Groups(nil))
}
