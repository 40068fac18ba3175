package repotest

import (
	"os"
	"path/filepath"
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
	paths := []string{"/home/", "/Users/"}
	if home, err := os.UserHomeDir(); err == nil && home != "/" {
		paths = append(paths, home+"/")
	}
	if here, err := filepath.Abs("../.."); err == nil {
		paths = append(paths, here+"/") // this checkout's own
	}
	for _, file := range tracked(t) {
		if strings.HasPrefix(file, "testdata/captures/") || strings.HasPrefix(file, "internal/repotest/") {
			continue // captures are as they were recorded
		}
		text := read(t, file)
		assert.Less(t, len(text), 4_000_000, file)
		for _, path := range paths {
			assert.NotContains(t, text, path, file)
		}
	}
}
