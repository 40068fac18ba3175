//go:build unix

// Package vllmtest gives tests a real vLLM on the CPU, which serves a tiny random
// model.
package vllmtest

import (
	"bytes"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Server is a vLLM. It serves its model under the name base and, by vLLM's
// resolver of adapters, each folder of Adapters under that folder's name; there
// is one, tuned. Adapters can be loaded and unloaded while it runs.
type Server struct {
	URL      string
	Python   string // that runs it; has torch, transformers and peft, too
	Run      string // the folder that it runs in
	Model    string // folder
	Adapters string // folder of folders
}

// Start starts vLLM 0.32.0 by the script testdata/start.sh, of which repository
// is the root as the test sees it. It ends with the test. Tests other than those
// of `make test-systems` are skipped, and those on machines that cannot run it.
func Start(t testing.TB, repository string) *Server {
	t.Helper()
	cache := os.Getenv("TRACEGRAD_TEST_SYSTEMS")
	if cache == "" {
		t.Skip("needs a live server: make test-systems")
	}
	if os.Getenv("TRACEGRAD_TEST_VLLM") == "skip" {
		t.Skip("vLLM is left out: VLLM=skip, which .ci/run says when time is short")
	}
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{URL: "http://127.0.0.1:" + port, Run: t.TempDir()}
	s.Model, s.Adapters = filepath.Join(s.Run, "model"), filepath.Join(s.Run, "adapters")
	s.run(t, filepath.Join(s.script(repository), "start.sh"), cache, port, s.Run)
	python, err := os.ReadFile(filepath.Join(s.Run, "python"))
	if err != nil {
		t.Fatal(err)
	}
	s.Python = strings.TrimSpace(string(python))
	return s
}

func (s *Server) script(repository string) string {
	return filepath.Join(repository, "internal", "vllmtest", "testdata")
}

// run starts the script and waits until the server is healthy. It is ended by
// SIGTERM: the engine is a process of its own, which lives on after SIGKILL.
func (s *Server) run(t testing.TB, script string, args ...string) {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command("bash", append([]string{script}, args...)...) //nolint:gosec,noctx // our own; ended in order below
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = &log, &log, &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var failure error // once ended is closed
	ended := make(chan struct{})
	go func() {
		failure = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
		}
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what may be left of its group
	})
	for {
		select {
		case <-ended:
			if cmd.ProcessState.ExitCode() == 77 {
				t.Skip(log.String())
			}
			t.Fatalf("vLLM ended: %v\n%s", failure, tail(log.String()))
		case <-time.After(500 * time.Millisecond):
		}
		if response, err := http.Get(s.URL + "/health"); err == nil { //nolint:gosec,noctx // on loopback, until the test's own deadline
			_ = response.Body.Close()
			return
		}
	}
}

// Truth runs testdata/truth.py: one line of JSON of calls in, one line out.
func (s *Server) Truth(t testing.TB, repository string, calls []byte) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), s.Python, filepath.Join(s.script(repository), "truth.py"), s.Model, s.Adapters) //nolint:gosec // our own
	cmd.Env = append(os.Environ(), "HF_HUB_OFFLINE=1", "OMP_NUM_THREADS=1", "TOKENIZERS_PARALLELISM=false")
	cmd.Stdin = bytes.NewReader(calls)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, tail(errs.String()))
	}
	return out.Bytes()
}

func tail(s string) string { return s[max(0, len(s)-4000):] }

func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port), listener.Close()
}
