//go:build cgo

package query

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

func TestEmptyDatasetHasTypedViews(t *testing.T) {
	db := open(t, t.TempDir())
	for _, view := range views {
		assert.Empty(t, table(t, db, "FROM "+view), view)
	}
	assert.Equal(t, [][]string{{"reasons", "VARCHAR[]"}, {"trainable", "BOOLEAN"}},
		table(t, db, "SELECT column_name, column_type FROM (DESCRIBE trajectories) WHERE column_name IN ('trainable', 'reasons') ORDER BY 1"))
}

// The tables in sql/ are the columns that the writer writes, in its order.
func TestTablesAreWhatTheWriterWrites(t *testing.T) {
	root := t.TempDir()
	one := attempt(1, "a")
	one.Rewards = []trajectory.Reward{{Step: -1, Name: "solved", Value: ptr(1.0)}}
	write(t, root, []*trajectory.Trajectory{one}, trajectory.Fact{Name: "solved", TrajectoryID: one.ID, ObservedAt: 1})
	db := open(t, root)
	for _, name := range dataset.Tables {
		describe := "SELECT column_name, column_type FROM (DESCRIBE FROM "
		require.Len(t, db.Files(name), 1)
		assert.Equal(t, table(t, db, describe+"v1."+name+")"), table(t, db, describe+scan(db.Files(name))+")"), name)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	_, err := Open(context.Background(), filepath.Join(t.TempDir(), "nothing"), Options{})
	require.ErrorIs(t, err, ErrNoDataset)
	assert.Contains(t, err.Error(), "nothing: no dataset: there is no such directory")
	_, err = Open(context.Background(), "/", Options{})
	require.ErrorIs(t, err, ErrNoDataset)
	assert.EqualError(t, err, "open dataset /: no dataset: there is no folder v1 in it")

	foreign := func(rows any, table string) error {
		root := t.TempDir()
		one := attempt(1, "a")
		one.Rewards = []trajectory.Reward{{Step: -1, Name: "solved", Value: ptr(1.0)}}
		write(t, root, []*trajectory.Trajectory{one})
		dir := filepath.Join(root, "v1", table, "date=2026-02-03")
		require.NoError(t, os.MkdirAll(dir, 0o750))
		path := filepath.Join(dir, "zz-foreign.parquet")
		switch rows := rows.(type) {
		case string:
			require.NoError(t, os.WriteFile(path, []byte(rows), 0o640))
		case []struct{ Name string }:
			require.NoError(t, parquet.WriteFile(path, rows))
		case []otherTypes:
			require.NoError(t, parquet.WriteFile(path, rows))
		}
		db, err := Open(context.Background(), root, Options{})
		if err == nil {
			require.NoError(t, db.Close())
		}
		return err
	}
	for want, err := range map[string]error{
		"zz-foreign.parquet: it is not a Parquet file that can be read":                                          foreign("this is not parquet at all", "steps"),
		"zz-foreign.parquet: it has no column trajectory_id, so it is not a file of table messages":              foreign([]struct{ Name string }{{"x"}}, "messages"),
		"zz-foreign.parquet: its column revision is VARCHAR instead of BIGINT: move the file out of the dataset": foreign([]otherTypes{{"1", "2", "3", nil, 1}}, "trajectories"),
	} {
		require.Error(t, err, want)
		assert.Contains(t, err.Error(), want)
		assert.NotContains(t, err.Error(), "\n")
	}
}

type otherTypes struct {
	TrajectoryID string   `parquet:"trajectory_id"`
	Revision     string   `parquet:"revision"`
	Batch        string   `parquet:"batch"`
	TraceIDs     []string `parquet:"trace_ids,list"`
	SpanCount    int32    `parquet:"span_count"`
}

// A file in the folder of another table has many of its columns.
func TestFilesOfOtherTablesAreForeign(t *testing.T) {
	for _, from := range dataset.Tables {
		for _, to := range dataset.Tables {
			if from == to {
				continue
			}
			root := t.TempDir()
			one := attempt(1, "a")
			one.Rewards = []trajectory.Reward{{Step: -1, Name: "solved", Value: ptr(1.0)}}
			for _, f := range write(t, root, []*trajectory.Trajectory{one}, trajectory.Fact{Name: "solved", TrajectoryID: one.ID, ObservedAt: 1}).Files {
				if f.Table != from {
					continue
				}
				raw, err := os.ReadFile(f.Path)
				require.NoError(t, err)
				dir := filepath.Join(root, "v1", to, "date=2026-02-03")
				require.NoError(t, os.MkdirAll(dir, 0o750))
				require.NoError(t, os.WriteFile(filepath.Join(dir, "zz-lost.parquet"), raw, 0o640))
			}
			_, err := Open(context.Background(), root, Options{})
			require.Error(t, err, "%s in %s", from, to)
			assert.Contains(t, err.Error(), "zz-lost.parquet: it has no column ")
			assert.Contains(t, err.Error(), "so it is not a file of table "+to)
		}
	}
}

func TestBrokenDataNamesTheFile(t *testing.T) {
	root := t.TempDir()
	var list []*trajectory.Trajectory
	for n := range 50 {
		list = append(list, attempt(n, strings.Repeat("task", n)))
	}
	c := write(t, root, list)
	write(t, root, []*trajectory.Trajectory{attempt(100, "b")})
	for _, f := range c.Files {
		if f.Table != dataset.TableMessages {
			continue
		}
		raw, err := os.ReadFile(f.Path)
		require.NoError(t, err)
		middle := raw[8 : len(raw)/2]
		copy(middle, bytes.Repeat([]byte{0xa5}, len(middle))) // the footer stays whole
		require.NoError(t, os.WriteFile(f.Path, raw, 0o640))
		db := open(t, root)
		rows, err := db.Query(context.Background(), "SELECT sum(length(text)) FROM messages")
		if err == nil {
			rows.Next()
			err = rows.Err()
			require.NoError(t, rows.Close())
		}
		require.Error(t, err)
		assert.Contains(t, err.Error(), filepath.Base(f.Path))
		failed := false
		for _, err := range db.Trajectories(context.Background(), "") {
			if err != nil {
				failed = true
				assert.Contains(t, err.Error(), filepath.Base(f.Path))
			}
		}
		assert.True(t, failed)
	}
}

// Files of later writers have more columns, files of earlier ones had fewer.
func TestColumnsComeAndGo(t *testing.T) {
	root := t.TempDir()
	write(t, root, []*trajectory.Trajectory{attempt(1, "a")})
	type later struct {
		TrajectoryID string   `parquet:"trajectory_id"`
		Revision     int64    `parquet:"revision"`
		Batch        string   `parquet:"batch"`
		TraceIDs     []string `parquet:"trace_ids,list"`
		SpanCount    int32    `parquet:"span_count"`
		Mood         string   `parquet:"mood"`
	}
	dir := filepath.Join(root, "v1", "trajectories", "date=2026-02-03")
	require.NoError(t, parquet.WriteFile(filepath.Join(dir, "other-B.parquet"), []later{{"zz", 5, "B", nil, 1, "good"}}))
	db := open(t, root)
	assert.Equal(t, [][]string{{"a", "NULL"}, {"NULL", "good"}}, table(t, db, "SELECT task_key, mood FROM trajectories ORDER BY trajectory_id"))
}

func TestNothingOutsideTheDatasetCanBeReached(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret.csv")
	require.NoError(t, os.WriteFile(outside, []byte("a,b\n1,2\n"), 0o600))
	root := t.TempDir()
	db := open(t, root)
	for _, text := range []string{
		"FROM read_csv('" + outside + "')",
		"FROM read_text('" + outside + "')",
		"FROM '" + outside + "'",
		"FROM glob('" + filepath.Dir(outside) + "/*')",
		"FROM read_parquet('" + root + "/../x.parquet')",
		"FROM read_csv('https://example.invalid/x.csv')",
		"COPY (SELECT 1) TO '" + root + "/x.parquet'",
		"EXPLAIN ANALYZE COPY (SELECT 1) TO '" + root + "/x.parquet'",
		"/* a */ EXPLAIN /* b */ ANALYZE COPY (SELECT 1) TO '" + root + "/x.parquet'",
		"EXPLAIN (ANALYZE) COPY (SELECT 1) TO '" + root + "/x.parquet'",
		"ATTACH '" + root + "/x.db'",
		"CREATE TABLE x AS SELECT 1",
		"DROP VIEW live",
		"DELETE FROM v1.steps",
		"SET memory_limit = '1GB'",
		"PREPARE p AS COPY (SELECT 1) TO '" + root + "/x.parquet'",
		"INSTALL httpfs",
		"LOAD httpfs",
		"CALL force_checkpoint()",
		"SELECT 1; DROP VIEW live",
		"",
	} {
		rows, err := db.Query(context.Background(), text)
		if err == nil {
			for rows.Next() {
			}
			err = rows.Err()
			require.NoError(t, rows.Close())
		}
		require.Error(t, err, text)
	}
	left, err := os.ReadDir(root)
	require.NoError(t, err)
	assert.Len(t, left, 1, "v1")
	assert.Empty(t, table(t, db, "FROM live"))
}

func TestSpilledFilesAreRemoved(t *testing.T) {
	temp := t.TempDir()
	root := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(root, "v1"), 0o750))
	db, err := Open(context.Background(), root, Options{MemoryLimit: "60MB", TempDir: temp, Threads: 2})
	require.NoError(t, err)
	assert.Equal(t, [][]string{{"2000000"}}, table(t, db, "SELECT count(*) FROM (SELECT DISTINCT hash(i)::VARCHAR || repeat('x', 40) FROM range(2000000) r(i))"))
	require.NoError(t, db.Close())
	require.NoError(t, db.Close())
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	assert.Empty(t, left)
}
