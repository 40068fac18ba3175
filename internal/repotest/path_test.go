package repotest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// demo runs the demo with the built binaries and leaves its outputs in dir.
func demo(t *testing.T, dir string, args ...string) (output string, err error) {
	t.Helper()
	collector(t)
	tracegrad(t)
	program := build(t, "quickstart", "./examples/quickstart")
	cmd := exec.Command(program, append([]string{"-bin", bin, "-dir", dir}, args...)...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestWholePath goes from captures to an injected request, with nothing but
// what is shipped: the demo does it, this looks at what it left.
func TestWholePath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	output, err := demo(t, dir)
	require.NoError(t, err, output)
	truth := strings.Count(read(t, "testdata/captures/truth.jsonl"), "\n")

	t.Run("every run became one trajectory with its verdict", func(t *testing.T) {
		assert.Equal(t, map[string]int{"runs": truth, "trainable": truth, "closed": truth}, ask(t, dir,
			`SELECT count(*) AS runs, count(*) FILTER (trainable) AS trainable, count(*) FILTER (close_reason IN ('complete', 'idle')) AS closed
			FROM trajectories WHERE source = 'spans'`))
		assert.Equal(t, map[string]int{"facts": truth, "runs": truth}, ask(t, dir,
			`SELECT count(*) AS facts, count(DISTINCT trajectory_id) AS runs FROM facts JOIN trajectories USING (trajectory_id) WHERE name = 'solved'`))
		assert.Equal(t, map[string]int{"known": truth}, ask(t, dir, `SELECT count(value) AS known FROM rewards WHERE name = 'solved'`))
	})

	t.Run("the query that init proposes shows them", func(t *testing.T) {
		m := regexp.MustCompile(`(?m) sql "(.*)"$`).FindStringSubmatch(run(t, t.TempDir(), nil, tracegrad(t), "init"))
		require.NotNil(t, m)
		var rows []map[string]any
		runJSON(t, &rows, "sql", "--json", "--dataset", filepath.Join(dir, "dataset"), m[1])
		require.NotEmpty(t, rows)
		assert.Len(t, rows[0], 4)
	})

	bundles := one(t, filepath.Join(dir, "bundles", "*", "bundle.json"))
	id := filepath.Base(filepath.Dir(bundles))
	t.Run("the gateway's calls say which bundle served them", func(t *testing.T) {
		assert.Equal(t, map[string]int{"calls": 2}, ask(t, dir, `SELECT sum(model_calls)::INTEGER AS calls FROM trajectories WHERE source = 'gateway' AND bundle = '`+id+`'`))
	})
	t.Run("the bundle is whole", func(t *testing.T) {
		assert.Contains(t, run(t, root, nil, tracegrad(t), "bundle", "verify", filepath.Dir(bundles)), "is whole")
	})

	t.Run("the model received the guidance, and nothing else changed", func(t *testing.T) {
		sent, received := readFile(t, dir, "sent.json"), readFile(t, dir, "received.json")
		var prompt struct {
			Items []struct {
				Text string `json:"text"`
			} `json:"items"`
		}
		require.NoError(t, json.Unmarshal([]byte(readFile(t, filepath.Dir(bundles), "prompt/items.json")), &prompt))
		require.NotEmpty(t, prompt.Items)
		for _, item := range prompt.Items {
			assert.Contains(t, output, "+ - "+item.Text)
		}
		assert.True(t, isInsertion(sent, received), "%s\n%s", sent, received)
		assert.Regexp(t, `streamed: \d+ events`, output)
	})

	t.Run("the report is one file", func(t *testing.T) {
		report := one(t, filepath.Join(dir, "runs", "*", "report.html"))
		assert.Contains(t, output, report)
		page := readFile(t, "", report)
		assert.NotRegexp(t, `(?i)(src|href)="(https?:)?//|<link|@import|<script[^>]+src`, page)
		assert.Contains(t, page, "gate")
	})

	t.Run("the same night again is the same bundle", func(t *testing.T) {
		// A night of its own: the gateway has added calls to the demo's dataset.
		again := t.TempDir()
		night := []string{"train", "--json", "--config", "examples/quickstart/train.yaml", "--dataset", filepath.Join(dir, "dataset"),
			"--runs", filepath.Join(again, "runs"), "--bundles", filepath.Join(again, "bundles")}
		var first, resumed, dry struct {
			Counts, Items any
			Bundle        struct{ ID, Dir string }
			Dir, Report   string
		}
		runJSON(t, &first, night...)
		runJSON(t, &resumed, append(night, "--resume", "last")...)
		assert.Equal(t, first, resumed)
		runJSON(t, &dry, append(night, "--dry-run")...)
		assert.Equal(t, first.Counts, dry.Counts)
		assert.Equal(t, first.Items, dry.Items)
		assert.Len(t, glob(t, filepath.Join(again, "runs", "2*")), 1, "a dry run leaves nothing")
		assert.Empty(t, dry.Bundle.Dir+dry.Dir+dry.Report, "nor names what it removed")
	})

	t.Run("everything was stopped", func(t *testing.T) {
		for _, log := range []string{"collector.log", "gateway.log"} {
			assert.Contains(t, readFile(t, dir, "logs/"+log), "Shutdown complete.")
		}
	})
}

// TestDemoFailsLoudly: a stage that fails stops the demo, what runs is
// stopped, and the exit code says so.
func TestDemoFailsLoudly(t *testing.T) {
	captures := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(captures, "truth.jsonl"), nil, 0o600))
	dir := filepath.Join(t.TempDir(), "demo")
	output, err := demo(t, dir, "-captures", captures)
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 1, exit.ExitCode())
	assert.Regexp(t, `(?m)^demo: Send it what real agents emitted: find captures: nothing matches `, output)
	assert.Contains(t, readFile(t, dir, "logs/collector.log"), "Shutdown complete.")
}

// TestInitIsReadyToRun: the built Collector takes what init writes, as it is.
func TestInitIsReadyToRun(t *testing.T) {
	dir := t.TempDir()
	out := run(t, dir, nil, tracegrad(t), "init")
	assert.Contains(t, out, filepath.Dir(tracegrad(t))+"/tracegrad-collector --config gateway.yaml\n", "by the path that init was called by")
	run(t, dir, nil, collector(t), "validate", "--config", "collector.yaml")
	run(t, dir, withBundle(t), collector(t), "validate", "--config", "gateway.yaml")
}

// ask runs a query that gives one row of numbers.
func ask(t *testing.T, dir, query string) map[string]int {
	t.Helper()
	var rows []map[string]int
	runJSON(t, &rows, "sql", "--json", "--dataset", filepath.Join(dir, "dataset"), query)
	require.Len(t, rows, 1)
	return rows[0]
}

// runJSON runs a command of ours in the root and decodes what it prints.
func runJSON(t *testing.T, into any, args ...string) {
	t.Helper()
	cmd := exec.Command(tracegrad(t), args...)
	cmd.Dir = root
	out, err := cmd.Output()
	require.NoError(t, err, "%s", cmd)
	require.NoError(t, json.Unmarshal(out, into), "%s", out)
}

func readFile(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	require.NoError(t, err)
	return string(data)
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	require.NoError(t, err)
	return found
}

func one(t *testing.T, pattern string) string {
	t.Helper()
	found := glob(t, pattern)
	require.Len(t, found, 1, pattern)
	return found[0]
}

// isInsertion reports whether longer is shorter with one run of bytes inserted.
func isInsertion(shorter, longer string) bool {
	head := 0
	for head < len(shorter) && head < len(longer) && shorter[head] == longer[head] {
		head++
	}
	return len(longer) > len(shorter) && strings.HasSuffix(longer, shorter[head:])
}
