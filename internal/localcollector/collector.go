// Package localcollector runs a built Collector as a child process on free
// loopback ports: for the demo, the grader and the tests of the whole path.
package localcollector

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// The environment variables through which the shipped configurations take
// their addresses. Each holds a host:port.
const (
	OTLPGRPC = "TRACEGRAD_OTLP_GRPC"
	OTLPHTTP = "TRACEGRAD_OTLP_HTTP"
	Feedback = "TRACEGRAD_FEEDBACK"
	Gateway  = "TRACEGRAD_GATEWAY"
	Health   = "TRACEGRAD_HEALTH"

	// MetricsPort holds a port only: that is how the Collector's telemetry is
	// configured.
	MetricsPort = "TRACEGRAD_METRICS_PORT"
)

// addresses are all of them, whether or not a configuration uses them.
var addresses = []string{OTLPGRPC, OTLPHTTP, Feedback, Gateway, Health, MetricsPort}

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 30 * time.Second
	pollInterval = 50 * time.Millisecond
)

// Options say what to run.
type Options struct {
	Binary string            // the built Collector
	Config string            // its configuration file
	Args   []string          // more arguments, --set=… for instance
	Env    map[string]string // variables for the configuration, besides the addresses
	Log    string            // file for what the Collector prints
	Ports  *Ports            // nil = ports of its own; share one among Collectors that run side by side

	// Spawned, where it is set, is told the process id before the Collector is
	// healthy.
	Spawned func(pid int)
}

// Collector is a running Collector. Stop must be called.
type Collector struct {
	addr   map[string]string
	log    string
	cmd    *exec.Cmd
	exited chan struct{}
	err    error // of the process; valid once exited is closed
	asked  bool  // to stop
}

// Start runs a Collector and returns once it is healthy. A Collector that
// finds one of its ports taken meanwhile is started again on others.
func Start(ctx context.Context, opt Options) (*Collector, error) {
	if opt.Ports == nil {
		opt.Ports = new(Ports)
	}
	for attempt := 1; ; attempt++ {
		c, err := start(ctx, opt)
		if err == nil || attempt == 3 || !strings.Contains(tail(opt.Log), "address already in use") {
			return c, err
		}
	}
}

func start(ctx context.Context, opt Options) (*Collector, error) {
	c := &Collector{addr: map[string]string{}, log: opt.Log, exited: make(chan struct{})}
	for _, name := range addresses {
		addr, err := opt.Ports.free()
		if err != nil {
			return nil, err
		}
		c.addr[name] = addr
	}
	log, err := os.Create(opt.Log)
	if err != nil {
		return nil, fmt.Errorf("create log: %w", err)
	}
	defer log.Close()
	c.cmd = exec.Command(opt.Binary, append([]string{"--config", opt.Config}, opt.Args...)...)
	c.cmd.Env = append(os.Environ(), c.environ(opt.Env)...)
	c.cmd.Stdout, c.cmd.Stderr = log, log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // ^C reaches us only: we stop it in order
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start collector: %w", err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.exited)
	}()
	if opt.Spawned != nil {
		opt.Spawned(c.PID())
	}
	if err := c.waitHealthy(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func (c *Collector) environ(extra map[string]string) []string {
	var env []string
	for name, addr := range c.addr {
		if name == MetricsPort {
			_, addr, _ = strings.Cut(addr, ":")
		}
		env = append(env, name+"="+addr)
	}
	for name, value := range extra {
		env = append(env, name+"="+value)
	}
	return env
}

// URL is the base URL behind one of the addresses.
func (c *Collector) URL(address string) string { return "http://" + c.addr[address] }

// Address is the host:port behind one of the addresses.
func (c *Collector) Address(address string) string { return c.addr[address] }

func (c *Collector) waitHealthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("collector not healthy after %s: %s", startTimeout, tail(c.log)))
	defer cancel()
	return c.Until(ctx, func(ctx context.Context) (bool, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL(Health), nil)
		if err != nil {
			return false, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false, nil // not listening yet
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK, nil
	})
}

// Until asks again and again until the answer is true, there is an error, the
// Collector exits or ctx ends.
func (c *Collector) Until(ctx context.Context, is func(context.Context) (bool, error)) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		if ok, err := is(ctx); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.exited:
			return fmt.Errorf("collector exited: %w: %s", errOr(c.err, "no error"), tail(c.log))
		}
	}
}

// Stop asks the Collector to shut down (SIGTERM: it flushes what it holds) and
// waits for it. It may be called twice.
func (c *Collector) Stop() error {
	if c.asked {
		<-c.exited
		return nil
	}
	c.asked = true
	select {
	case <-c.exited:
		return fmt.Errorf("collector had exited: %w: %s", errOr(c.err, "no error"), tail(c.log))
	default:
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop collector: %w", err)
	}
	select {
	case <-c.exited:
		if c.err != nil {
			return fmt.Errorf("collector stopped: %w: %s", c.err, tail(c.log))
		}
		return nil
	case <-time.After(stopTimeout):
		_ = c.cmd.Process.Kill()
		<-c.exited
		return fmt.Errorf("collector did not stop within %s: %s", stopTimeout, tail(c.log))
	}
}

func errOr(err error, otherwise string) error {
	if err == nil {
		return errors.New(otherwise)
	}
	return err
}

// tail is the last lines of a log that say what went wrong.
func tail(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return "its log ends with:\n" + strings.Join(lines[max(0, len(lines)-5):], "\n")
}
