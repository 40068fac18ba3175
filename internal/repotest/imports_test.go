package repotest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A room is a folder whose packages share one rule. The longest matching
// folder decides.
type room struct {
	folder  string
	imports []string // folders of ours it may import, besides its own
	std     bool     // nothing beyond the standard library and imports
	pdata   bool     // may touch the Collector's packages
}

var nouns = []string{"internal/trajectory", "internal/genai", "internal/dataset", "rewards"}

// rooms is the direction of imports: trajectory ← {genai, rewards, dataset} ←
// components and trainer; trajectory ← pack ← buffer ← processor; bundle ← {gateway, trainer}; components ← distro.
// Components never import each other.
var rooms = []room{
	{folder: "internal/trajectory", std: true},
	{folder: "internal/genai", imports: []string{"internal/trajectory"}, pdata: true},
	{folder: "internal/pack", imports: []string{"internal/trajectory"}, std: true},
	{folder: "internal/buffer", imports: []string{"internal/trajectory", "internal/pack"}, std: true},
	{folder: "internal/dataset", imports: []string{"internal/trajectory"}},
	{folder: "internal/bucket", imports: []string{"internal/dataset", "internal/trajectory"}},
	{folder: "internal/bundle"},
	{folder: "internal/vllm", imports: []string{"internal/bundle"}},
	{folder: "internal/records"},
	{folder: "internal/otlp", imports: []string{"internal/records"}, pdata: true},
	{folder: "internal/doctor", imports: []string{"internal/trajectory", "internal/genai", "internal/buffer", "internal/otlp"}, pdata: true}, // reads requests
	{folder: "internal/history", imports: []string{"internal/records", "internal/otlp"}, pdata: true},
	{folder: "internal/backfill", imports: append([]string{"internal/bucket", "internal/history", "internal/otlp", "internal/records", "internal/buffer"}, nouns...), pdata: true},
	{folder: "internal/localcollector"},
	{folder: "internal/vllmtest", std: true}, // a server for tests
	{folder: "internal/cmd", imports: []string{"internal/otlp", "internal/localcollector"}},
	{folder: "internal/cmd/bench", imports: append([]string{"internal/otlp", "internal/localcollector"}, nouns...), pdata: true}, // makes its own load
	{folder: "internal/cmd/torture", imports: []string{"internal/localcollector", "internal/dataset"}, pdata: true},              // sends spans
	{folder: "internal/cmd/frameworks", imports: []string{"internal/doctor"}},
	{folder: "internal/cmd/benchgroups", imports: []string{"internal/dataset", "internal/trajectory", "rewards", "trainer/grpo", "trainer/query"}},
	{folder: "internal/repotest"},
	{folder: "internal/scaleout"}, // tests of several Collectors
	{folder: "rewards", imports: []string{"internal/trajectory", "rewards/measure"}},
	{folder: "rewards/measure"},
	{folder: "receiver", imports: append([]string{"internal/bundle"}, nouns...), pdata: true},
	{folder: "processor", imports: append([]string{"internal/buffer"}, nouns...), pdata: true},
	{folder: "exporter", imports: append([]string{"internal/bucket"}, nouns...), pdata: true},
	{folder: "trainer", imports: append([]string{"internal/bucket", "internal/bundle", "internal/vllm", "internal/otlp", "internal/doctor", "internal/backfill", "examples"}, nouns...)},
	{folder: "trainer/grpo", std: true},
	{folder: "distro", imports: []string{"receiver", "processor", "exporter"}, pdata: true},
	{folder: "examples", imports: []string{"internal/otlp", "internal/localcollector", "internal/bundle", "internal/vllm", "trainer/paired"}},
}

func TestImportsRunOneWay(t *testing.T) {
	for _, p := range allPackages(t) {
		r, ok := roomOf(p.path())
		if !assert.True(t, ok, "%s lies in no room: add it to rooms, or move it", p.path()) {
			continue
		}
		for _, imported := range p.Imports {
			assert.NoError(t, r.allows(p.path(), imported))
		}
	}
}

func TestTheRulesBite(t *testing.T) {
	for _, c := range []struct{ from, to string }{
		{"internal/trajectory", module + "/internal/genai"},
		{"internal/trajectory", "github.com/stretchr/testify/assert"},
		{"processor/trajectoryprocessor", module + "/exporter/parquetexporter"},
		{"processor/trajectoryprocessor", module + "/trainer/grpo"},
		{"rewards", "go.opentelemetry.io/collector/pdata/ptrace"},
		{"internal/buffer", "go.opentelemetry.io/collector/pdata/ptrace"},
		{"internal/buffer", module + "/internal/genai"},
		{"trainer", module + "/processor/trajectoryprocessor"},
		{"trainer/query", "go.opentelemetry.io/collector/component"},
		{"trainer/grpo", module + "/internal/trajectory"},
		{"internal/bundle", module + "/trainer"},
		{"distro", module + "/trainer"},
	} {
		r, ok := roomOf(c.from)
		require.True(t, ok, c.from)
		assert.Error(t, r.allows(c.from, c.to), "%s → %s", c.from, c.to)
	}
	r, _ := roomOf("receiver/feedbackreceiver")
	assert.NoError(t, r.allows("receiver/feedbackreceiver", module+"/receiver/feedbackreceiver/internal/metadata"))
}

// TestStoresAreLinkedWhereUsed: the SDKs of object stores are tens of MB; who
// uses our processor, receivers or gateway must not get them.
func TestStoresAreLinkedWhereUsed(t *testing.T) {
	linked := map[string]bool{}
	for _, p := range allPackages(t) {
		for _, dep := range p.Deps {
			for _, sdk := range []string{"gocloud.dev/", "github.com/aws/aws-sdk-go-v2/service/s3", "google.golang.org/api/storage/", "github.com/Azure/azure-sdk-for-go/sdk/storage"} {
				if strings.HasPrefix(dep, sdk) {
					linked[strings.Join(strings.Split(p.path(), "/")[:min(2, strings.Count(p.path(), "/")+1)], "/")] = true
				}
			}
		}
	}
	for _, folder := range []string{"internal/bucket", "exporter/parquetexporter", "distro"} {
		assert.True(t, linked[folder], folder)
	}
	for folder := range linked {
		for _, without := range []string{"receiver", "processor", "rewards", "internal/dataset", "internal/trajectory", "internal/genai", "internal/buffer", "internal/bundle"} {
			assert.False(t, within(without, folder), "%s reaches an object store's SDK", folder)
		}
	}
}

// TestTheCollectorIsStatic: the collector is built without cgo, and the
// trainer without the collector.
func TestTheCollectorIsStatic(t *testing.T) {
	for _, p := range allPackages(t) {
		banned := []string(nil)
		switch {
		case p.path() == "distro":
			banned = []string{"github.com/duckdb/", "github.com/marcboeker/go-duckdb", module + "/trainer"}
		case within("trainer", p.path()):
			banned = []string{"go.opentelemetry.io/collector/component", "github.com/open-telemetry/opentelemetry-collector-contrib/", module + "/receiver", module + "/processor", module + "/exporter"}
		}
		for _, dep := range p.Deps {
			for _, ban := range banned {
				assert.False(t, strings.HasPrefix(dep, ban), "%s reaches %s", p.path(), dep)
			}
		}
	}
}

func roomOf(path string) (room, bool) {
	var found room
	for _, r := range rooms {
		if within(r.folder, path) && len(r.folder) > len(found.folder) {
			found = r
		}
	}
	return found, found.folder != ""
}

func (r room) allows(from, imported string) error {
	if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
		if within(unit(from), ours) || slices.ContainsFunc(r.imports, func(f string) bool { return within(f, ours) }) {
			return nil
		}
		return fmt.Errorf("%s must not import %s: see the rooms in imports_test.go", from, ours)
	}
	first, _, _ := strings.Cut(imported, "/")
	external := strings.Contains(first, ".")
	switch {
	case r.std && external:
		return fmt.Errorf("%s must know the standard library only, not %s", from, imported)
	case !r.pdata && (strings.HasPrefix(imported, "go.opentelemetry.io/collector/") || strings.HasPrefix(imported, "github.com/open-telemetry/")):
		return fmt.Errorf("%s must not touch the Collector's packages (%s): that is for internal/genai, internal/otlp and the components", from, imported)
	}
	return nil
}

// unit is the tree whose packages may import each other: one component, or the
// room's folder.
func unit(path string) string {
	parts := strings.Split(path, "/")
	switch parts[0] {
	case "receiver", "processor", "exporter", "internal":
		return strings.Join(parts[:min(2, len(parts))], "/")
	}
	if within("trainer/grpo", path) {
		return "trainer/grpo"
	}
	return parts[0]
}

// within reports whether path is folder or lies in it.
func within(folder, path string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}
