package scaleout

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/rewards"
)

const sparkRewards = "testdata/spark-rewards.yaml"

// Spark finds the groups and advantages in a dataset that `tracegrad sql` does:
// of revisions, repeated batches, sets without a commit, parts, witnesses and
// rewards that came later.
func TestSpark(t *testing.T) {
	python := install(t, "Spark", "testdata/install-spark.sh")
	tracegrad := filepath.Join(built, "tracegrad")
	output(t, "go", "build", "-trimpath", "-o", tracegrad, "github.com/tracegrad/tracegrad/trainer/cmd/tracegrad")
	engine, err := rewards.Load(sparkRewards)
	require.NoError(t, err)
	root := attempts(t, engine.Rules())
	sql := func(query string) []byte {
		return output(t, tracegrad, "sql", "--dataset", root, "--rewards", sparkRewards, "--format", "jsonl", query)
	}
	rules := filepath.Join(t.TempDir(), "rules.jsonl")
	require.NoError(t, os.WriteFile(rules, sql("SELECT name, rule_hash, level, weight, missing FROM rules"), 0o600))
	spark := func(query string) []byte {
		return output(t, python, filepath.Join(examples, "scaleout/spark.py"), root, rules, query)
	}

	const groups = "SELECT tenant, task_key, trajectories, trainable, scored, mean, std FROM groups ORDER BY tenant NULLS LAST, task_key"
	want := rows(t, sql(groups))
	assert.Len(t, want, 10, "five tasks of two tenants")
	alike(t, want, rows(t, spark(groups)))

	want = rows(t, sql(`SELECT t.tenant, t.task_key, trajectory_id, value, value - mean AS advantage
		FROM trajectories t JOIN returns USING (trajectory_id)
		JOIN groups g ON g.task_key = t.task_key AND g.tenant IS NOT DISTINCT FROM t.tenant
		WHERE t.trainable AND value IS NOT NULL ORDER BY trajectory_id`))
	assert.Greater(t, len(want), 30)
	alike(t, want, rows(t, spark("SELECT * FROM advantages ORDER BY trajectory_id")))
}

// install runs a script that fetches a system at the first time. It is what the
// script prints: where the system is.
func install(t *testing.T, name, script string) string {
	t.Helper()
	var out, log bytes.Buffer
	cmd := exec.Command("bash", script, filepath.Dir(system(t, name)))
	cmd.Stdout, cmd.Stderr = &out, &log
	err := cmd.Run()
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == 77 {
		t.Skip(log.String())
	}
	require.NoError(t, err, log.String())
	return string(bytes.TrimSpace(out.Bytes()))
}

func output(t *testing.T, program string, args ...string) []byte {
	t.Helper()
	var out, log bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &out, &log
	require.NoError(t, cmd.Run(), log.String())
	return out.Bytes()
}

// rows reads JSON, one object a line.
func rows(t *testing.T, lines []byte) (list []map[string]any) {
	t.Helper()
	for line := range bytes.Lines(lines) {
		var row map[string]any
		require.NoError(t, json.Unmarshal(line, &row), "%s", line)
		list = append(list, row)
	}
	return list
}

// alike compares rows. Two engines add the same numbers up in another order, and
// Spark leaves out what is null.
func alike(t *testing.T, want, got []map[string]any) {
	t.Helper()
	require.Len(t, got, len(want))
	for i, row := range want {
		for name, value := range row {
			if number, ok := value.(float64); ok {
				assert.InDelta(t, number, got[i][name], 1e-12, "%s of %v", name, row)
			} else {
				assert.Equal(t, value, got[i][name], "%s of %v", name, row)
			}
		}
	}
}
