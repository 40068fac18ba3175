package repotest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	yamlBlock    = regexp.MustCompile("(?s)```yaml\n(.*?)```")
	collectorKey = regexp.MustCompile(`(?m)^(receivers|processors|exporters|extensions|service):`)
	environment  = regexp.MustCompile(`\$\{env:(\w+)`)
)

// skeleton completes an example that shows a part of a configuration: the
// Collector merges the two, and the example's keys win.
const skeleton = `
receivers: {otlp: {protocols: {grpc: {}, http: {}}}, feedback: {}}
processors: {memory_limiter: {check_interval: 1s, limit_mib: 64}, trajectory: {}}
exporters: {parquet: {directory: dataset}}
service:
  pipelines:
    traces: {receivers: [otlp], processors: [memory_limiter, trajectory], exporters: [parquet]}
    logs: {receivers: [otlp, feedback], processors: [memory_limiter, trajectory], exporters: [parquet]}
`

// TestReadmeExamplesAreValid: the built Collector takes every example of a
// Collector's configuration in the components' READMEs.
func TestReadmeExamplesAreValid(t *testing.T) {
	for _, component := range []string{"receiver/*", "processor/*", "exporter/*"} {
		for _, readme := range glob(t, filepath.Join(root, component, "README.md")) {
			name := strings.TrimPrefix(filepath.ToSlash(readme), root+"/")
			for i, m := range yamlBlock.FindAllStringSubmatch(read(t, name), -1) {
				if collectorKey.MatchString(m[1]) {
					t.Run(fmt.Sprintf("%s example %d", name, i+1), func(t *testing.T) {
						out, err := validate(t, m[1])
						assert.NoError(t, err, "%s\n%s", m[1], out)
					})
				}
			}
		}
	}
}

// TestReadmeExampleCheckBites: in a part that no pipeline uses, too.
func TestReadmeExampleCheckBites(t *testing.T) {
	for _, example := range []string{
		"receivers:\n  llm_gateway: {endpoint: 127.0.0.1:4320, nonsense: 1}\n",
		"processors:\n  trajectory: {idle: -5s}\n",
		"exporters:\n  parquet: {directory: ''}\n",
		"service:\n  pipelines:\n    traces: {receivers: [feedback]}\n",
	} {
		out, err := validate(t, example)
		assert.Error(t, err, "%s\n%s", example, out)
	}
}

// validate lets the Collector look at an example in a directory that has what
// examples name: rewards.yaml and a bundle called production.
func validate(t *testing.T, example string) (output string, err error) {
	t.Helper()
	dir := t.TempDir()
	vector := filepath.Join(root, "internal/bundle/testdata/vector")
	id := regexp.MustCompile(`"id": ?"([0-9a-f]{64})"`).FindStringSubmatch(readFile(t, vector, "bundle.json"))
	require.NotNil(t, id)
	require.NoError(t, os.CopyFS(filepath.Join(dir, "bundles", id[1]), os.DirFS(vector)))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "bundles", "labels"), 0o755))
	for name, text := range map[string]string{
		"bundles/labels/production": id[1] + "\n",
		"rewards.yaml":              read(t, "examples/quickstart/rewards.yaml"),
		"skeleton.yaml":             skeleton,
		"example.yaml":              example,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), []byte(text), 0o600))
	}
	cmd := exec.Command(collector(t), "validate", "--config", "skeleton.yaml", "--config", "example.yaml")
	cmd.Dir, cmd.Env = dir, os.Environ()
	for _, m := range environment.FindAllStringSubmatch(example, -1) {
		cmd.Env = append(cmd.Env, m[1]+"=secret")
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}
