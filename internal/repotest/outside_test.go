package repotest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestOutsideModule is the drop-in that users do: a distribution of their own,
// a module outside this one, with our components beside the otlp receiver,
// without cgo. The builder writes its sources; the versions are ours, so that
// nothing needs the network.
func TestOutsideModule(t *testing.T) {
	collector(t) // whatever the build needs is in the module cache now
	checkout, err := filepath.Abs(root)
	require.NoError(t, err)
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	manifest := write("builder-config.yaml", outsideManifest(readManifest(t), dir, checkout))
	run(t, root, nil, "go", "tool", "builder", "--config", manifest, "--skip-get-modules", "--skip-compilation")

	gomod := strings.Replace(read(t, "go.mod"), "module "+module+"\n", "module example.com/outside\n", 1)
	gomod = regexp.MustCompile(`(?s)\ntool \(.*?\n\)\n`).ReplaceAllString(gomod, "\n")
	write("go.mod", fmt.Sprintf("%s\nrequire %s v0.0.0\n\nreplace %s => %s\n", gomod, module, module, checkout))
	write("go.sum", read(t, "go.sum"))
	binary := filepath.Join(dir, "outside")
	run(t, dir, []string{"CGO_ENABLED=0", "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off"}, "go", "build", "-trimpath", "-tags", "grpcnotrace", "-o", binary, ".")

	listed := run(t, dir, nil, binary, "components")
	for _, name := range []string{"trajectory", "parquet", "feedback", "llm_gateway", "otlp"} {
		assert.Regexp(t, `name: `+name+`\n`, listed)
	}
}

// outsideManifest has our components and the otlp receiver only, and the
// providers of ours.
func outsideManifest(m manifest, dir, checkout string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "dist: {module: example.com/outside, name: outside, output_path: %s}\n", dir)
	for _, section := range []struct {
		kind string
		all  []component
	}{{"receivers", m.Receivers}, {"processors", m.Processors}, {"exporters", m.Exporters}, {"providers", m.Providers}} {
		fmt.Fprintf(&b, "%s:\n", section.kind)
		for _, c := range section.all {
			name, _ := c.module()
			if name == module || section.kind == "providers" || strings.HasSuffix(name, "/otlpreceiver") {
				fmt.Fprintf(&b, "  - gomod: %s\n    import: %s\n", c.Gomod, c.importPath())
			}
		}
	}
	fmt.Fprintf(&b, "replaces:\n  - %s => %s\n", module, checkout)
	return b.String()
}
