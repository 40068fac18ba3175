package repotest

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

type manifest struct {
	Dist struct {
		Version     string `yaml:"version"`
		CGOEnabled  bool   `yaml:"cgo_enabled"`
		BuildTags   string `yaml:"build_tags"`
		OutputPath  string `yaml:"output_path"`
		Description string `yaml:"description"`
	} `yaml:"dist"`
	Receivers  []component `yaml:"receivers"`
	Processors []component `yaml:"processors"`
	Exporters  []component `yaml:"exporters"`
	Extensions []component `yaml:"extensions"`
	Connectors []component `yaml:"connectors"`
	Providers  []component `yaml:"providers"`
}

type component struct {
	Gomod  string `yaml:"gomod"`
	Import string `yaml:"import"`
}

func (c component) module() (name, version string) {
	name, version, _ = strings.Cut(c.Gomod, " ")
	return name, version
}

func (c component) importPath() string {
	if c.Import != "" {
		return c.Import
	}
	name, _ := c.module()
	return name
}

func readManifest(t *testing.T) manifest {
	t.Helper()
	var m manifest
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "builder-config.yaml")), &m))
	return m
}

func (m manifest) components() []component {
	var all []component
	for _, kind := range [][]component{m.Receivers, m.Processors, m.Exporters, m.Extensions, m.Connectors, m.Providers} {
		all = append(all, kind...)
	}
	return all
}

// The builder runs without looking at versions (--skip-get-modules), so that
// the manifest could name others than go.mod does and nobody would notice.
func TestManifestNamesTheVersionsOfGoMod(t *testing.T) {
	gomod := read(t, "go.mod")
	for _, c := range readManifest(t).components() {
		name, version := c.module()
		if name == module {
			continue
		}
		assert.Regexp(t, `(?m)^\s*`+regexp.QuoteMeta(name+" "+version)+`(\s|$)`, gomod, "go.mod has another version of %s", name)
	}
}

func TestManifestListsEveryComponentFolder(t *testing.T) {
	listed := map[string]bool{}
	for _, c := range readManifest(t).components() {
		if ours, ok := strings.CutPrefix(c.importPath(), module+"/"); ok {
			assert.DirExists(t, filepath.Join(root, ours))
			listed[ours] = true
		}
	}
	for _, kind := range []string{"receiver", "processor", "exporter"} {
		entries, err := os.ReadDir(filepath.Join(root, kind))
		require.NoError(t, err)
		for _, e := range entries {
			folder := path.Join(kind, e.Name())
			assert.True(t, listed[folder], "builder-config.yaml does not list %s", folder)
			assert.True(t, strings.HasSuffix(e.Name(), kind), "%s: a component's folder ends in its kind", folder)
		}
	}
}

func TestDistroIsWhatTheManifestSays(t *testing.T) {
	m := readManifest(t)
	components, main := read(t, "distro/components.go"), read(t, "distro/main.go")
	n := 0
	for _, c := range m.components() {
		assert.Contains(t, components+main, `"`+c.importPath()+`"`, "run make generate")
		n++
	}
	imports := regexp.MustCompile(`(?m)^\t\w+ "[^"]+/(receiver|processor|exporter|extension|connector|provider)/`).FindAllString(components+main, -1)
	assert.Len(t, imports, n, "distro imports a component that the manifest does not list: run make generate")
	assert.Contains(t, main, `"`+m.Dist.Version+`"`)
}

// The flags of make build are those that the manifest would give the builder.
func TestMakefileBuildsWhatTheManifestSays(t *testing.T) {
	m := readManifest(t)
	makefile := read(t, "Makefile")
	assert.False(t, m.Dist.CGOEnabled)
	assert.Contains(t, makefile, "CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -tags "+m.Dist.BuildTags+" -o $@ "+m.Dist.OutputPath)
}

func TestOneVersion(t *testing.T) {
	assert.Contains(t, read(t, "trainer/cmd/tracegrad/version.go"), `const release = "`+readManifest(t).Dist.Version+`"`)
}
