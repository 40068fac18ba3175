package worker

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLockWithoutCUDA(t *testing.T) {
	lean := string(withoutCUDA(requirements))
	for _, name := range []string{"torch", "transformers", "peft", "safetensors", "tokenizers", "nvidia-cuda-runtime", "nvidia-cuda-cupti"} {
		if !strings.Contains("\n"+lean, "\n"+name+"==") {
			t.Errorf("%s is missing", name)
		}
	}
	for line := range strings.Lines(lean) {
		for _, prefix := range []string{"nvidia-cu", "nvidia-nccl", "nvidia-nv", "triton", "cuda-"} {
			if strings.HasPrefix(line, prefix) && !strings.HasPrefix(line, "nvidia-cuda-runtime") && !strings.HasPrefix(line, "nvidia-cuda-cupti") {
				t.Errorf("%s is left", strings.TrimSpace(line))
			}
		}
	}
}

// Every package of every lock has its hashes, and no lock names a registry.
func TestLocksAreWhole(t *testing.T) {
	for _, name := range []string{"requirements.lock", "tests.lock", "parity.lock"} {
		lock, err := os.ReadFile(filepath.Join("python", name))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(lock, []byte("://")) {
			t.Errorf("%s names an address", name)
		}
		pinned, hashed := "", true
		for line := range strings.Lines(string(lock) + "end==0\n") {
			if strings.Contains(line, "==") && !strings.HasPrefix(line, " ") {
				if !hashed {
					t.Errorf("%s: %s has no hash", name, pinned)
				}
				pinned, hashed = strings.Fields(line)[0], false
			}
			hashed = hashed || strings.Contains(line, "--hash=sha256:")
		}
	}
}

func TestSupported(t *testing.T) {
	for _, c := range []struct {
		system, machine string
		ok              bool
	}{{"linux", "amd64", true}, {"linux", "arm64", true}, {"darwin", "arm64", true}, {"darwin", "amd64", false}, {"windows", "amd64", false}} {
		if err := supported(c.system, c.machine); (err == nil) != c.ok {
			t.Errorf("%s/%s: %v", c.system, c.machine, err)
		}
	}
}

// What is unpacked is what is embedded, once.
func TestUnpack(t *testing.T) {
	cache := t.TempDir()
	folder, err := unpack(cache)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"__init__.py", "__main__.py", "losses.py"} {
		want, err := sources.ReadFile("python/tracegrad_worker/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(folder, "tracegrad_worker", name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if again, err := unpack(cache); err != nil || again != folder {
		t.Errorf("a second time: %s, %v", again, err)
	}
	if entries, err := os.ReadDir(filepath.Join(cache, "worker")); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestTail(t *testing.T) {
	var to bytes.Buffer
	said := tail{to: &to}
	for range 3000 {
		_, _ = said.Write([]byte("noise\n"))
	}
	_, _ = said.Write([]byte("ValueError: no such model\n\n"))
	if got := said.last(); got != "ValueError: no such model" {
		t.Error(got)
	}
	if len(said.kept) > tailKept || to.Len() < 18000 {
		t.Errorf("kept %d, passed on %d", len(said.kept), to.Len())
	}
}
