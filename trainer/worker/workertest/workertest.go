// Package workertest gives tests a real worker on a tiny model, made on the spot.
package workertest

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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

// Model is the tiny model in a folder of the test's own. It is made once per
// environment: starting torch takes longer than all else.
func Model(t testing.TB) string {
	t.Helper()
	sum := sha256.Sum256(tiny)
	kept := filepath.Join(Environment(t).Cache, "tiny-"+hex.EncodeToString(sum[:])[:16])
	if _, err := os.Stat(kept); err != nil {
		makeModel(t, kept)
	}
	folder := filepath.Join(t.TempDir(), Name)
	if err := os.CopyFS(folder, os.DirFS(kept)); err != nil {
		t.Fatal(err)
	}
	return folder
}

func makeModel(t testing.TB, kept string) {
	t.Helper()
	python, err := Environment(t).Provision(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	partial := kept + ".partial-" + strconv.Itoa(os.Getpid()) // beside it, to be renamed
	if err := os.MkdirAll(partial, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(partial)
	script, made := filepath.Join(partial, "tiny.py"), filepath.Join(partial, Name)
	if err := os.WriteFile(script, tiny, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), python, script, made).CombinedOutput(); err != nil {
		t.Fatalf("make the tiny model: %v\n%s", err, out)
	}
	if err := os.Rename(made, kept); err != nil {
		if _, missing := os.Stat(kept); missing != nil { // tests of another package may have been faster
			t.Fatal(err)
		}
	}
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
