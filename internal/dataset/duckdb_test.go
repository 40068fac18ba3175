//go:build cgo

package dataset_test

import (
	"database/sql"
	"fmt"
	"os"
	"strings"
	"testing"

	_ "github.com/duckdb/duckdb-go/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

func openDuckDB(t testing.TB) *sql.DB {
	db, err := sql.Open("duckdb", "")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	return db
}

// from is the FROM clause of a table of the dataset at root.
func from(root, table string) string {
	return fmt.Sprintf("read_parquet('%s/v%d/%s/*/*.parquet', hive_partitioning = true)", root, dataset.Version, table)
}

// What DuckDB sees is the schema that users meet. The golden file changes only
// by added lines.
func TestSchemaInDuckDB(t *testing.T) {
	db := openDuckDB(t)
	root := t.TempDir()
	_, err := newWriter(t, root, "a").Write(t.Context(), sample(), nil)
	require.NoError(t, err)
	var b strings.Builder
	for _, table := range []string{"trajectories", "steps", "messages", "rewards", "facts"} {
		fmt.Fprintf(&b, "-- %s --\n", table)
		rows, err := db.Query("SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM " + from(root, table) + ")")
		require.NoError(t, err)
		for rows.Next() {
			var name, kind string
			require.NoError(t, rows.Scan(&name, &kind))
			fmt.Fprintf(&b, "%s %s\n", name, kind)
		}
		require.NoError(t, rows.Err())
	}
	const golden = "testdata/duckdb.golden"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(b.String()), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), b.String())
}

// Values arrive in SQL as they left: zero and unknown apart, times to the µs,
// any text.
func TestValuesInDuckDB(t *testing.T) {
	db := openDuckDB(t)
	root := t.TempDir()
	odd := &trajectory.Trajectory{ID: "odd", FirstSeenAt: noon.UnixMicro(), Input: "nul \x00, quote \", 🙂", Messages: []trajectory.Message{{Text: "\x00"}}}
	_, err := newWriter(t, root, "a").Write(t.Context(), append(sample(), odd), nil)
	require.NoError(t, err)
	one := func(query string) (s string) {
		require.NoError(t, db.QueryRow(query).Scan(&s), query)
		return s
	}
	trajectories, steps, messages := from(root, "trajectories"), from(root, "steps"), from(root, "messages")
	full := " WHERE trajectory_id = '0af7651916cd43dd8448eb211c80319c'"
	for query, want := range map[string]string{
		"SELECT first_seen_at::VARCHAR FROM " + trajectories + full:                                            "2026-03-14 12:00:00",
		"SELECT started_at::VARCHAR FROM " + trajectories + full:                                               "2026-03-14 12:00:00.000001",
		"SELECT date::VARCHAR FROM " + trajectories + full:                                                     "2026-03-14",
		"SELECT output_tokens::VARCHAR FROM " + trajectories + full:                                            "0",
		"SELECT count(*)::VARCHAR FROM " + trajectories + " WHERE output_tokens IS NULL":                       "2",
		"SELECT input FROM " + trajectories + " WHERE trajectory_id = 'odd'":                                   odd.Input,
		"SELECT length(text)::VARCHAR FROM " + messages + " WHERE trajectory_id = 'odd'":                       "1",
		"SELECT attributes->>'deployment.environment.name' FROM " + trajectories + full:                        "prod",
		"SELECT reasons::VARCHAR FROM " + trajectories + full:                                                  "[late]",
		"SELECT len(reasons)::VARCHAR FROM " + trajectories + " WHERE trajectory_id = 'odd'":                   "0",
		"SELECT string_agg(coalesce(tool_result, '-'), '/' ORDER BY step_index) FROM " + steps + full:          "-//-",
		"SELECT string_agg(coalesce(token_ids::VARCHAR, '-'), '/' ORDER BY step_index) FROM " + steps + full:   "[4, 5]/-/[4, 5]",
		"SELECT string_agg(coalesce(temperature::VARCHAR, '-'), '/' ORDER BY step_index) FROM " + steps + full: "0.0/-/0.0",
		"SELECT string_agg(coalesce(prompt_base::VARCHAR, '-'), '/' ORDER BY step_index) FROM " + steps + full: "-/-/0",
		"SELECT tool_calls->0->>'arguments' FROM " + messages + full + " AND message_index = 1":                `{"order": 12}`,
		"SELECT string_agg(m.text, '|' ORDER BY u.pos) FROM (SELECT *, unnest(input_messages) AS i, generate_subscripts(input_messages, 1) AS pos FROM " + steps + full + " AND step_index = 2) u JOIN " + messages + " m ON m.trajectory_id = u.trajectory_id AND m.message_index = u.i": "Where is order 12?|Friday",
	} {
		assert.Equal(t, want, one(query), query)
	}
}

// A column that a newer build adds is NULL in older files.
func TestOldAndNewFilesTogether(t *testing.T) {
	db := openDuckDB(t)
	root := t.TempDir()
	require.NoError(t, os.CopyFS(root, os.DirFS("testdata")))
	newer := root + "/v1/trajectories/date=2026-03-14/newer.parquet"
	_, err := db.Exec("COPY (SELECT * EXCLUDE (date), 1 AS added FROM " + from(root, "trajectories") + ") TO '" + newer + "'")
	require.NoError(t, err)
	var n int
	query := strings.Replace(from(root, "trajectories"), "hive", "union_by_name = true, hive", 1)
	require.NoError(t, db.QueryRow("SELECT count(*) FROM "+query+" WHERE added IS NULL").Scan(&n))
	assert.Equal(t, 2, n)
	assert.Len(t, readSet(t, root).Trajectories, 4, "our reader passes over columns it does not know")
}

// The SQL of the specification runs as it stands.
func TestSpecificationSQL(t *testing.T) {
	doc, err := os.ReadFile("../../docs/dataset.md")
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir+"/data", os.DirFS("testdata")))
	t.Chdir(dir)
	db := openDuckDB(t)
	blocks := strings.Split(string(doc), "```sql\n")[1:]
	require.Len(t, blocks, 3)
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		rows, err := db.Query(block)
		require.NoError(t, err, block)
		n := 0
		for rows.Next() {
			n++
		}
		require.NoError(t, rows.Err(), block)
		if !strings.Contains(block, "CREATE") {
			assert.NotZero(t, n, block)
		}
	}
	var steps int
	require.NoError(t, db.QueryRow("SELECT count(*) FROM live_steps").Scan(&steps))
	assert.Equal(t, 5, steps)
}
