//go:build unix

// Package enginetest gives tests real servers of the Tinker training protocol.
package enginetest

import (
	"bytes"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// SkyRL starts SkyRL 0.4.0 on the CPU, with model as its base model, by the
// script trainer/engine/testdata/skyrl/start.sh, of which engine is the folder
// trainer/engine as the test sees it. It says at which address, and ends with
// the test. Tests other than those of `make test-systems` are skipped, and those
// on machines that cannot run it.
func SkyRL(t testing.TB, engine, model string) (url string) {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "bash", filepath.Join(engine, "testdata", "skyrl", "start.sh"), Cache(t), model, port, t.TempDir())
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = &log, &log, &syscall.SysProcAttr{Setpgid: true}
	end := func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // what it started as well
	cmd.Cancel = end
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = end() })
	url = "http://127.0.0.1:" + port
	for {
		select {
		case err := <-ended:
			if cmd.ProcessState.ExitCode() == 77 {
				t.Skip(log.String())
			}
			t.Fatalf("SkyRL ended: %v\n%s", err, log.String())
		case <-time.After(500 * time.Millisecond):
		}
		if response, err := http.Get(url + "/api/v1/healthz"); err == nil { //nolint:gosec,noctx // on loopback, until the test's own deadline
			_ = response.Body.Close()
			return url
		}
	}
}

// Cache is where the environments of servers are; tests without one are skipped.
func Cache(t testing.TB) string {
	t.Helper()
	cache := os.Getenv("TRACEGRAD_TEST_SYSTEMS")
	if cache == "" {
		t.Skip("needs a live server: make test-systems")
	}
	return cache
}

func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port), listener.Close()
}
