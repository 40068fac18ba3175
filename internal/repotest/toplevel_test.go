package repotest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// topLevel is all that may lie in the root, besides dotfiles.
var topLevel = []string{
	"receiver", "processor", "exporter", "trainer", "rewards", "builder-config.yaml", "distro", "go.mod", "go.sum", "README.md",
	"internal", "docs", "examples", "testdata", "Makefile", "LICENSE",
}

func TestTopLevel(t *testing.T) {
	for _, file := range tracked(t) {
		first, _, _ := strings.Cut(file, "/")
		if !strings.HasPrefix(first, ".") {
			assert.Contains(t, topLevel, first, file)
		}
	}
}

// TestNothingForeignIsTracked: no machine's paths, no large files.
func TestNothingForeignIsTracked(t *testing.T) {
	for _, file := range tracked(t) {
		if strings.HasPrefix(file, "testdata/captures/") || strings.HasPrefix(file, "internal/repotest/") {
			continue // captures are as they were recorded
		}
		text := read(t, file)
		assert.Less(t, len(text), 4_000_000, file)
		for _, path := range []string{"/home/", "/root/", "/Users/", "/work/"} {
			assert.NotContains(t, text, path, file)
		}
	}
}
