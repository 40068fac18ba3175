package repotest

import (
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var pipelines = regexp.MustCompile(`(?m)^service:`)

// shipped lists the collector configurations among our files.
func shipped(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, f := range tracked(t) {
		if path.Ext(f) == ".yaml" && (strings.HasPrefix(f, "examples/") || strings.HasPrefix(f, "trainer/")) && pipelines.MatchString(read(t, f)) {
			all = append(all, f)
		}
	}
	require.NotEmpty(t, all)
	return all
}

// TestShippedConfigsAreValid: with their defaults, but for what only the user
// can have: reward rules in the working directory and a bundle.
func TestShippedConfigsAreValid(t *testing.T) {
	env := withBundle(t)
	for _, config := range shipped(t) {
		if strings.Contains(read(t, config), "load_balancing:") {
			continue // for another Collector: internal/scaleout runs them
		}
		abs, err := filepath.Abs(filepath.Join(root, config))
		require.NoError(t, err)
		run(t, filepath.Join(root, "examples/quickstart"), env, collector(t), "validate", "--config", abs)
	}
}

// TestFittedConfigsAreValid: what init makes of a real capture is a configuration
// that the Collector takes.
func TestFittedConfigsAreValid(t *testing.T) {
	captures, err := filepath.Glob(filepath.Join(root, "testdata/captures/*__*.jsonl"))
	require.NoError(t, err)
	require.NotEmpty(t, captures)
	for _, capture := range captures {
		abs, err := filepath.Abs(capture)
		require.NoError(t, err)
		dir := t.TempDir()
		run(t, dir, nil, tracegrad(t), "init", "--from", abs)
		run(t, dir, nil, collector(t), "validate", "--config", "collector.yaml")
	}
}

// withBundle lets gateway.yaml find a bundle before there is one.
func withBundle(t *testing.T) []string {
	t.Helper()
	vector, err := filepath.Abs(filepath.Join(root, "internal/bundle/testdata/vector"))
	require.NoError(t, err)
	return []string{"TRACEGRAD_BUNDLES=" + vector, "TRACEGRAD_LABEL="}
}

// TestShippedConfigsAreSafe: loopback only, memory bounded first.
func TestShippedConfigsAreSafe(t *testing.T) {
	endpoint := regexp.MustCompile(`(?m)^\s*endpoint: (.*)$`)
	processors := regexp.MustCompile(`(?m)^\s*processors: \[([^\],]*)`)
	for _, config := range shipped(t) {
		text := read(t, config)
		for _, m := range endpoint.FindAllStringSubmatch(text, -1) {
			assert.Regexp(t, `(:-|^)(http://)?(127\.0\.0\.1|localhost):\d+\}?$`, m[1], config)
		}
		for _, m := range processors.FindAllStringSubmatch(text, -1) {
			assert.Equal(t, "memory_limiter", m[1], config)
		}
	}
}

// TestQuickstartVariablesAreDocumented: with their defaults, and no others.
func TestQuickstartVariablesAreDocumented(t *testing.T) {
	readme := read(t, "examples/quickstart/README.md")
	used := map[string]bool{}
	for _, config := range shipped(t) {
		for _, m := range regexp.MustCompile(`\$\{env:(TRACEGRAD_\w+):-([^}]*)\}`).FindAllStringSubmatch(read(t, config), -1) {
			used[m[1]] = true
			row := regexp.MustCompile(`(?m)^\|.*` + "`" + m[1] + "`" + `.*\|$`).FindString(readme)
			assert.Contains(t, row, m[2], "%s of %s", m[1], config)
		}
	}
	for _, m := range regexp.MustCompile("`(TRACEGRAD_\\w+)`").FindAllStringSubmatch(readme, -1) {
		assert.True(t, used[m[1]], "%s is in no configuration", m[1])
	}
}
