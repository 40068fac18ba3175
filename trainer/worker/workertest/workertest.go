// Package workertest gives tests a real worker on a tiny model, made on the spot.
package workertest

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tracegrad/tracegrad/trainer/worker"
)

//go:embed tiny.py
var tiny []byte

// Name is what the worker of [Start] calls its base model: a random Qwen3 of
// 106,880 parameters with 512 token ids and a context of 1,024.
const Name = "tiny"

// Environment is that of the tests. It skips the test unless `make test-worker`
// runs it: an environment of 1.7 GB is no part of the Go tests.
func Environment(t testing.TB) worker.Environment {
	t.Helper()
	cache := os.Getenv("TRACEGRAD_TEST_WORKER")
	if cache == "" {
		t.Skip("needs a worker: make test-worker")
	}
	return worker.Environment{Cache: cache}
}

// Model makes the tiny model in a folder of the test.
func Model(t testing.TB) string {
	t.Helper()
	python, err := Environment(t).Provision(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	script := filepath.Join(folder, "tiny.py")
	if err := os.WriteFile(script, tiny, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, script, filepath.Join(folder, Name))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make the tiny model: %v\n%s", err, out)
	}
	return filepath.Join(folder, Name)
}

// Start is a worker that serves model, a folder of [Model], until the test ends.
// Checkpoints of workers that are given the same folder outlive each of them.
func Start(t testing.TB, model, checkpoints string) *worker.Worker {
	t.Helper()
	w, err := worker.Start(t.Context(), worker.Options{
		Model: model, Name: Name, Checkpoints: checkpoints, Device: "cpu", Threads: 1, Environment: Environment(t), Log: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}
