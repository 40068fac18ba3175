//go:build cgo && unix

package dataset_test

import (
	"database/sql"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// BenchmarkShape measures docs/adr/002-five-flat-tables.md: five flat tables
// against one nested row per trajectory, in bytes, CPU to write, and CPU of
// three queries in DuckDB on one thread. The shapes take turns; medians are reported.
//
//	go test ./internal/dataset -run '^$' -bench Shape -benchtime 1x -timeout 60m
func BenchmarkShape(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	loads := map[string]func() []*trajectory.Trajectory{
		"captures": func() []*trajectory.Trajectory { return multiplied(captured(b), 20_000) },
		"12-turns": func() []*trajectory.Trajectory { return conversations(r, 12, 4_000) },
		"40-turns": func() []*trajectory.Trajectory { return conversations(r, 40, 1_000) },
	}
	for _, name := range []string{"captures", "12-turns", "40-turns"} {
		b.Run(name, func(b *testing.B) {
			list := loads[name]()
			for b.Loop() {
				compare(b, list)
			}
		})
	}
}

func conversations(r *rand.Rand, turns, n int) (list []*trajectory.Trajectory) {
	for range n {
		list = append(list, conversation(r, turns))
	}
	return list
}

const (
	rounds = 5
	files  = 8 // file sets
)

// compare reports metrics; numbers are per trajectory but for the queries.
func compare(b *testing.B, list []*trajectory.Trajectory) {
	flatDir, nestedDir := filepath.Join(b.TempDir(), "flat"), filepath.Join(b.TempDir(), "nested")
	flat, err := dataset.NewWriter(flatDir, "w", dataset.Options{})
	require.NoError(b, err)
	defer flat.Close()
	nested := nestedWriter()
	var flatCPU, nestedCPU []time.Duration
	for round := range rounds {
		var f, n time.Duration
		keep := round == rounds-1 // one copy is read
		nestedRoot := nestedDir
		if !keep {
			nestedRoot = b.TempDir()
		}
		for i, part := range chunks(list) {
			rows := nestedRows(part)
			n += cpu(func() {
				for _, t := range part { // what making rows costs, by the flat ones
					dataset.Rows("", 0, t)
				}
				writeNested(b, nested, nestedRoot, fmt.Sprintf("%d.parquet", i), rows)
			})
			f += cpu(func() {
				_, err := flat.Write(b.Context(), part, nil)
				require.NoError(b, err)
			})
		}
		if !keep {
			for table := range schemas {
				require.NoError(b, os.RemoveAll(filepath.Join(flatDir, "v1", table)))
			}
		}
		flatCPU, nestedCPU = append(flatCPU, f), append(nestedCPU, n)
	}
	per := float64(len(list))
	flatBytes := size(b, filepath.Join(flatDir, "v1")) - size(b, filepath.Join(flatDir, "v1", dataset.TableFacts))
	report(b, "bytes/traj", float64(flatBytes)/per, float64(size(b, nestedDir))/per)
	report(b, "write-cpu-µs/traj", median(flatCPU)/per, median(nestedCPU)/per)
	question(b, flatDir, nestedDir)
}

func chunks(list []*trajectory.Trajectory) [][]*trajectory.Trajectory {
	return slices.Collect(slices.Chunk(list, (len(list)+files-1)/files))
}

// question runs each question in both shapes, in turns. Both must find the same.
func question(b *testing.B, flatDir, nestedDir string) {
	db := openDuckDB(b)
	_, err := db.Exec("SET threads = 1; SET enable_object_cache = false")
	require.NoError(b, err)
	for table := range schemas {
		_, err := db.Exec(fmt.Sprintf("CREATE VIEW %s AS FROM read_parquet('%s/v1/%s/*/*.parquet')", table, flatDir, table))
		require.NoError(b, err)
	}
	_, err = db.Exec(fmt.Sprintf("CREATE VIEW nested AS FROM read_parquet('%s/*.parquet')", nestedDir))
	require.NoError(b, err)
	for _, q := range questions {
		var flat, nested []time.Duration
		var a, z string
		for range rounds {
			flat = append(flat, cpu(func() { a = ask(b, db, flatLive+q.flat) }))
			nested = append(nested, cpu(func() { z = ask(b, db, nestedLive+q.nested) }))
		}
		require.Equal(b, a, z, q.name)
		report(b, q.name+"-cpu-ms", median(flat)/1000, median(nested)/1000)
	}
}

// Both shapes need live: the newest revision counts.
const (
	flatLive   = "WITH live AS (SELECT trajectory_id, max(revision) AS revision, arg_max(batch, {'revision': revision, 'batch': batch}) AS batch FROM trajectories GROUP BY trajectory_id) "
	nestedLive = "WITH live AS (SELECT t.trajectory_id AS trajectory_id, max(t.revision) AS revision FROM nested GROUP BY ALL) "
)

// Each answer is one row.
var questions = []struct{ name, flat, nested string }{
	{
		"tasks", // how well is each task solved, and at what price
		`SELECT count(*) AS a, sum(n) AS b, sum(solved) AS c, sum(tokens) AS d FROM (
			SELECT task_key, count(*) AS n, sum(value) AS solved, sum(output_tokens) AS tokens
			FROM trajectories SEMI JOIN live USING (trajectory_id, revision, batch)
			JOIN rewards r USING (trajectory_id, revision) WHERE r.name = 'solved' AND r.step_index IS NULL GROUP BY task_key)`,
		`SELECT count(*) AS a, sum(n) AS b, sum(solved) AS c, sum(tokens) AS d FROM (
			SELECT t.task_key, count(*) AS n, sum(list_filter(rewards, lambda r: r.name = 'solved' AND r.step_index IS NULL)[1].value) AS solved, sum(t.output_tokens) AS tokens
			FROM nested SEMI JOIN live ON live.trajectory_id = nested.t.trajectory_id AND live.revision = nested.t.revision GROUP BY t.task_key)`,
	},
	{
		"tools", // which tools are slow or fail
		`SELECT count(*) AS a, sum(n) AS b, sum(failed) AS c, round(sum(seconds), 1) AS d FROM (
			SELECT tool_name, count(*) AS n, count(error) AS failed, sum(epoch(ended_at) - epoch(started_at)) AS seconds
			FROM steps SEMI JOIN live USING (trajectory_id, revision, batch) WHERE kind = 'tool' GROUP BY tool_name)`,
		`SELECT count(*) AS a, sum(n) AS b, sum(failed) AS c, round(sum(seconds), 1) AS d FROM (
			SELECT s.tool_name, count(*) AS n, count(s.error) AS failed, sum(epoch(s.ended_at) - epoch(s.started_at)) AS seconds
			FROM (SELECT unnest(steps) AS s FROM nested SEMI JOIN live ON live.trajectory_id = nested.t.trajectory_id AND live.revision = nested.t.revision)
			WHERE s.kind = 'tool' GROUP BY s.tool_name)`,
	},
	{
		"prompts", // what every model call was sent: the whole content, rebuilt
		`, said AS (
			SELECT trajectory_id, list(text ORDER BY message_index) AS all_messages
			FROM messages SEMI JOIN live USING (trajectory_id, revision, batch) GROUP BY trajectory_id)
		SELECT count(*) AS a, sum(len(list_transform(input_messages, lambda i: all_messages[i + 1]))) AS b, sum(length(list_transform(output_messages, lambda i: all_messages[i + 1])[1])) AS c
		FROM steps SEMI JOIN live USING (trajectory_id, revision, batch) JOIN said USING (trajectory_id) WHERE kind = 'model'`,
		`SELECT count(*) AS a, sum(len(list_transform(s.input_messages, lambda i: messages[i + 1].text))) AS b, sum(length(list_transform(s.output_messages, lambda i: messages[i + 1].text)[1])) AS c
		FROM (SELECT unnest(steps) AS s, messages FROM nested SEMI JOIN live ON live.trajectory_id = nested.t.trajectory_id AND live.revision = nested.t.revision) WHERE s.kind = 'model'`,
	},
}

func ask(b *testing.B, db *sql.DB, query string) string {
	rows, err := db.Query("SELECT answer::VARCHAR FROM (" + query + ") AS answer")
	require.NoError(b, err, query)
	defer rows.Close()
	var answer string
	require.True(b, rows.Next())
	require.NoError(b, rows.Scan(&answer))
	require.NoError(b, rows.Err())
	return answer
}

func report(b *testing.B, unit string, flat, nested float64) {
	b.ReportMetric(flat, "flat-"+unit)
	b.ReportMetric(nested, "nested-"+unit)
}

// cpu is the CPU time of the whole process: the garbage collector is paid for, too.
func cpu(f func()) time.Duration {
	runtime.GC()
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	f()
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	return time.Duration(after.Utime.Nano() - before.Utime.Nano() + after.Stime.Nano() - before.Stime.Nano())
}

// median is in µs.
func median(list []time.Duration) float64 {
	slices.Sort(list)
	return float64(list[len(list)/2].Nanoseconds()) / 1000
}

func size(b *testing.B, dir string) (n int64) {
	require.NoError(b, filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		n += info.Size()
		return err
	}))
	return n
}
