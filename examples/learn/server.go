package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// server is a vLLM that serves the model, and adapters that it is asked to load.
type server struct {
	url    string
	cmd    *exec.Cmd
	exited chan struct{}
}

const serverStart = 5 * time.Minute

// serve starts vLLM on the CPU. Its model is named by its folder, relative to the
// folder above it: an adapter's base model must be the very same name.
func (s *seed) serve(ctx context.Context) (*server, error) {
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(s.path("logs", "vllm.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(s.lab.vllm, "-m", "vllm.entrypoints.openai.api_server",
		"--model", filepath.Base(s.lab.model), "--host", "127.0.0.1", "--port", port,
		"--dtype", "bfloat16", "--max-model-len", "512",
		// On a CPU, a seeded request whose prompt is read in two parts ends the server.
		"--max-num-batched-tokens", "16384",
		"--block-size", "32", // the least: prompts begin alike for less than the default of 128
		"--enable-lora", "--max-lora-rank", "8", "--max-loras", "2", "--max-cpu-loras", "4",
		"--logprobs-mode", "processed_logprobs", "--generation-config", "vllm")
	cmd.Dir = filepath.Dir(s.lab.model)
	cmd.Env = append(os.Environ(), "VLLM_CPU_KVCACHE_SPACE=1", "VLLM_NO_USAGE_STATS=1", "DO_NOT_TRACK=1", "HF_HUB_OFFLINE=1",
		"VLLM_ALLOW_RUNTIME_LORA_UPDATING=True", "OMP_WAIT_POLICY=PASSIVE")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // ^C reaches us only: we stop it in order
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start vLLM: %w", err)
	}
	v := &server{url: s.url(), cmd: cmd, exited: make(chan struct{})}
	go func() { _ = cmd.Wait(); close(v.exited) }()
	if err := v.ready(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: see %s", err, log.Name()), v.stop())
	}
	return v, nil
}

func (v *server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, serverStart, errors.New("vLLM did not start in time"))
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.url+"/health", nil)
		if err != nil {
			return err
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-v.exited:
			return errors.New("vLLM ended while it started")
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// stop ends vLLM with its engine processes. It may be called twice.
func (v *server) stop() error {
	if v == nil {
		return nil
	}
	_ = v.cmd.Process.Signal(syscall.SIGTERM) // its own way out: killed, it would leave its engine behind
	select {
	case <-v.exited:
		return nil
	case <-time.After(time.Minute):
	}
	return syscall.Kill(-v.cmd.Process.Pid, syscall.SIGKILL)
}
