package repotest

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Names that say nothing about what is inside.
var bannedNames = []string{"util", "utils", "common", "helper", "helpers", "types", "misc", "shared", "base", "core", "models", "lib"}

func TestPackageNames(t *testing.T) {
	for _, p := range allPackages(t) {
		assert.NotContains(t, bannedNames, p.Name, p.path())
		for _, folder := range strings.Split(p.path(), "/") {
			assert.NotContains(t, bannedNames, folder, p.path())
		}
	}
}

// TestEveryPackageHasOneDoc: one file says what the package is for; two would
// drift apart.
func TestEveryPackageHasOneDoc(t *testing.T) {
	for _, p := range allPackages(t) {
		if base := filepath.Base(p.Dir); base == "metadata" || base == "metadatatest" {
			continue // mdatagen's
		}
		var documented []string
		files := slices.Concat(p.GoFiles, p.CgoFiles)
		for _, name := range files {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
			require.NoError(t, err)
			if f.Doc != nil && !strings.HasPrefix(f.Doc.Text(), "Code generated") {
				documented = append(documented, name)
			}
		}
		if len(files) > 0 {
			assert.Len(t, documented, 1, "%s: files with a package doc: %v", p.path(), documented)
		}
	}
}
