package worker

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Environment says where the worker's Python is from. The zero value makes a
// virtual environment under the user's cache folder, once, with what the
// embedded lock names.
type Environment struct {
	// Ready is a Python that has torch, transformers and peft already, such as one
	// with a torch for other hardware; nothing is installed then. "" = the variable
	// TRACEGRAD_WORKER_PYTHON, or else an environment is made.
	Ready string

	Python string // makes the environment; "" = the first of python3, python3.14 … 3.11 that is new enough
	Cache  string // "" = the folder tracegrad in the user's cache folder
	Whole  bool   // also without an NVIDIA GPU install the libraries of CUDA that torch's wheel links (5.4 GB)
}

//go:embed python/requirements.lock
var requirements []byte

//go:embed stand-ins.sh
var standIns []byte

// cache is an absolute path: the worker may run in another folder.
func (e Environment) cache() (string, error) {
	if e.Cache != "" {
		return filepath.Abs(e.Cache)
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a folder for the worker's environment: %w; set XDG_CACHE_HOME", err)
	}
	return filepath.Join(base, "tracegrad"), nil
}

// Provision makes the environment that [Start] would make and says which Python
// to run, printing progress to log. It takes up where an earlier one was cut off.
func (e Environment) Provision(ctx context.Context, log io.Writer) (string, error) {
	python, err := e.provision(ctx, log)
	if err != nil {
		return "", fmt.Errorf("set up worker: %w", err)
	}
	return python, nil
}

func (e Environment) provision(ctx context.Context, log io.Writer) (string, error) {
	if ready := cmp.Or(e.Ready, os.Getenv("TRACEGRAD_WORKER_PYTHON")); ready != "" {
		return ready, nil
	}
	if err := supported(runtime.GOOS, runtime.GOARCH); err != nil {
		return "", err
	}
	host, err := find(ctx, e.Python)
	if err != nil {
		return "", err
	}
	if lean := !e.Whole && canBeLean(); lean {
		python, err := e.install(ctx, host, true, log)
		if err == nil || ctx.Err() != nil {
			return python, err
		}
		fmt.Fprintf(log, "worker: %v; installing the libraries of CUDA too\n", err)
	}
	return e.install(ctx, host, false, log)
}

// install makes an environment and marks it ready once torch runs in it.
func (e Environment) install(ctx context.Context, host hostPython, lean bool, log io.Writer) (string, error) {
	lock := requirements
	if lean {
		lock = withoutCUDA(lock)
	}
	sum := sha256.New()
	for _, part := range [][]byte{lock, standIns, []byte(host.version)} {
		sum.Write(part)
	}
	cache, err := e.cache()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(cache, "worker", hex.EncodeToString(sum.Sum(nil))[:16])
	python, ready := filepath.Join(folder, "bin", "python"), filepath.Join(folder, "ready")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	unlock, err := lockFile(ctx, folder+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(ready); err == nil {
		return python, nil
	}
	fmt.Fprintf(log, "worker: installing torch, transformers and peft for Python %s into %s (once)\n", host.version, folder)
	file := filepath.Join(folder, "requirements.lock")
	if err := os.WriteFile(file, lock, 0o644); err != nil {
		return "", err
	}
	steps := [][]string{
		{host.path, "-m", "venv", folder},
		{python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off",
			"--only-binary", ":all:", "--no-deps", "--require-hashes", "-r", file},
	}
	if lean {
		script := filepath.Join(folder, "stand-ins.sh")
		if err := os.WriteFile(script, standIns, 0o644); err != nil {
			return "", err
		}
		steps = append(steps, []string{"bash", script, python})
	}
	steps = append(steps, []string{python, "-c", "import torch, transformers, peft; assert float((torch.ones(2, 2) @ torch.ones(2, 2)).sum()) == 8"})
	for _, step := range steps {
		if err := run(ctx, log, step); err != nil {
			return "", err
		}
	}
	return python, os.WriteFile(ready, nil, 0o644)
}

// run runs one step of the set-up; the error has the last thing it said.
func run(ctx context.Context, log io.Writer, step []string) error {
	said := &tail{to: log}
	cmd := exec.CommandContext(ctx, step[0], step[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = said, said, grace
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		name := filepath.Base(step[0]) + " " + strings.Join(step[1:min(len(step), 4)], " ")
		return fmt.Errorf("%s: %w: %s", name, err, said.last())
	}
	return nil
}

func supported(system, machine string) error {
	switch system + "/" + machine {
	case "linux/amd64", "linux/arm64", "darwin/arm64":
		return nil
	}
	return fmt.Errorf("torch is not made for %s on %s: run the worker elsewhere and name it with --engine, or name a Python that has torch with TRACEGRAD_WORKER_PYTHON", system, machine)
}

// canBeLean says whether CUDA's libraries can be left out: nothing here would
// call them, and what stands in for them can be built.
func canBeLean() bool {
	if runtime.GOOS != "linux" {
		return false
	}
	for _, device := range []string{"/dev/nvidiactl", "/proc/driver/nvidia/version", "/dev/dxg"} {
		if _, err := os.Stat(device); !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	for _, tool := range []string{"bash", "gcc", "nm", "readelf", "awk"} {
		if _, err := exec.LookPath(tool); err != nil {
			return false
		}
	}
	return true
}

// withoutCUDA is a lock without the libraries of CUDA, but the two small ones
// that torch calls on any machine.
func withoutCUDA(lock []byte) []byte {
	var out bytes.Buffer
	keep := true
	for line := range bytes.Lines(lock) {
		if name, _, ok := bytes.Cut(line, []byte("==")); ok && line[0] != ' ' {
			cuda := bytes.HasPrefix(name, []byte("nvidia-")) || bytes.HasPrefix(name, []byte("cuda-")) || string(name) == "triton"
			keep = !cuda || string(name) == "nvidia-cuda-cupti" || string(name) == "nvidia-cuda-runtime"
		}
		if keep {
			out.Write(line)
		}
	}
	return out.Bytes()
}
