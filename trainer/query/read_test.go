//go:build cgo

package query

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestErrorsPointIntoTheQuery(t *testing.T) {
	db := open(t, t.TempDir())
	_, err := db.Query(context.Background(), "SELECT trajectory_id\nFROM trajectory")
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.Contains(t, e.Message, "Table with name trajectory does not exist")
	assert.Contains(t, e.Message, "LINE 2: FROM trajectory\n             ^")

	_, err = db.Query(context.Background(), "SELECT (1")
	require.ErrorAs(t, err, &e)
	assert.Contains(t, e.Message, "syntax error")
	_, err = db.Query(context.Background(), "SELECT 1; SELECT 2")
	require.ErrorAs(t, err, &e)
	assert.Contains(t, e.Message, "one at a time")
	_, err = db.Query(context.Background(), "DROP VIEW live")
	require.ErrorAs(t, err, &e)
	assert.Contains(t, e.Message, "read-only")
}

func TestValuesAreJSON(t *testing.T) {
	db := open(t, t.TempDir())
	rows, err := db.Query(context.Background(), `SELECT
		1 AS i, 9007199254740993 AS big, 170141183460469231731687303715884105727::HUGEINT AS huge, 0.1::FLOAT AS f, 'nan'::DOUBLE AS nan,
		1.50::DECIMAL(4,2) AS d, true AS b, NULL AS n, 'a"b' AS s, [1, NULL] AS l, {'x': [TIMESTAMP '2026-01-02 03:04:05.678']} AS st,
		MAP {'k': 1} AS m, DATE '2026-01-02' AS day, TIMESTAMP '2026-01-02 03:04:05.678901' AS ts, TIME '10:11:12' AS t,
		'01234567-89ab-cdef-0123-456789abcdef'::UUID AS u, '\xAB'::BLOB AS bl, INTERVAL 1 DAY AS iv`)
	require.NoError(t, err)
	defer rows.Close()
	require.True(t, rows.Next())
	got := map[string]any{}
	for i, v := range rows.Values() {
		got[rows.Columns[i].Name] = v
	}
	b, err := json.Marshal(got)
	require.NoError(t, err)
	assert.JSONEq(t, `{"i":1,"big":9007199254740993,"huge":170141183460469231731687303715884105727,"f":0.1,"nan":"NaN","d":1.5,"b":true,"n":null,
		"s":"a\"b","l":[1,null],"st":{"x":["2026-01-02T03:04:05.678Z"]},"m":{"k":1},"day":"2026-01-02","ts":"2026-01-02T03:04:05.678901Z",
		"t":"10:11:12","u":"01234567-89ab-cdef-0123-456789abcdef","bl":"ab","iv":"0 months 1 days 0s"}`, string(b))
	assert.Contains(t, string(b), `"big":9007199254740993`)
	assert.Equal(t, Column{"d", "DECIMAL(4,2)"}, rows.Columns[5])
	assert.False(t, rows.Next())
	assert.NoError(t, rows.Err())
}

func TestText(t *testing.T) {
	assert.Equal(t, "NULL", Text(nil))
	assert.Equal(t, "a⏎b c", Text("a\nb\tc"))
	assert.Equal(t, `[1,"x"]`, Text([]any{json.Number("1"), "x"}))
	assert.Equal(t, "true", Text(true))
}

func TestQueryStops(t *testing.T) {
	db := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := db.Query(ctx, "SELECT 1")
	assert.ErrorIs(t, err, context.Canceled)
}

func TestArguments(t *testing.T) {
	db := open(t, t.TempDir())
	rows, err := db.Query(context.Background(), "SELECT ? || 'b'", "a")
	require.NoError(t, err)
	defer rows.Close()
	require.True(t, rows.Next())
	assert.Equal(t, []any{"ab"}, rows.Values())
}
