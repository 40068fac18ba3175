package repotest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCISaysWhatFailed runs .ci/run in an empty repository, with programs in
// PATH that stand for make and go: two parts fail, one of them without saying
// why.
func TestCISaysWhatFailed(t *testing.T) {
	dir, programs := t.TempDir(), t.TempDir()
	write := func(path, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o755))
	}
	write(filepath.Join(dir, ".ci", "run"), read(t, ".ci/run"))
	write(filepath.Join(dir, ".gitignore"), "/.cache/\n")
	write(filepath.Join(programs, "go"), "#!/bin/sh\n")
	write(filepath.Join(programs, "make"), `#!/bin/sh
case "$1" in
test) echo "--- FAIL: TestShift (0.00s)"; seq 100; echo "ok  	example.com/fine"; exit 2 ;;
demo) seq 100; exit 1 ;;
*) echo "$1 done" ;;
esac
`)
	run(t, dir, nil, "git", "init", "--quiet")
	run(t, dir, nil, "git", "add", ".")

	cmd := exec.Command(filepath.Join(dir, ".ci", "run"))
	cmd.Env = append(os.Environ(), "PATH="+programs+string(filepath.ListSeparator)+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "%s", out)
	assert.Equal(t, 1, exit.ExitCode())

	_, end, found := strings.Cut(string(out), " s in all; 2 failed, 0 skipped\n")
	require.True(t, found, "%s", out)
	assert.Contains(t, end, "FAILED test: make test (all of it: .cache/ci/test.log)\n  1:--- FAIL: TestShift (0.00s)\n")
	assert.Contains(t, end, "FAILED demo: make demo (all of it: .cache/ci/demo.log)\n  86\n")
	assert.Equal(t, 2, strings.Count(end, "FAILED"), "what went well is not in the end: %s", end)
	assert.NotContains(t, end, "done")
	assert.FileExists(t, filepath.Join(dir, ".cache", "ci", "test.log"))
}
