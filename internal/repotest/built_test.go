package repotest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// bin holds the binaries that the tests build, each once.
var bin string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "tracegrad-repotest-")
	if err != nil {
		panic(err)
	}
	bin = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// build builds a package of the repository the way the Makefile does and
// returns the binary's path.
func build(t *testing.T, name, pkg string, env ...string) string {
	t.Helper()
	path := filepath.Join(bin, name)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	run(t, root, env, "go", "build", "-trimpath", "-ldflags=-s -w", "-tags", "grpcnotrace", "-o", path, pkg)
	return path
}

func collector(t *testing.T) string {
	t.Helper()
	return build(t, "tracegrad-collector", "./distro", "CGO_ENABLED=0")
}

func tracegrad(t *testing.T) string {
	t.Helper()
	return build(t, "tracegrad", "./trainer/cmd/tracegrad", "CGO_ENABLED=1")
}

// run runs a command in dir, with env on top of ours, and returns what it
// printed.
func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s\n%s", cmd, out)
	return string(out)
}
