package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/internal/localcollector"
)

// seed is one run of all nights, in a folder of its own.
type seed struct {
	lab    *lab
	number uint64
	dir    string
	kinds  []string // of tickets, the same every day
	r      *rand.Rand

	address string // of vLLM, whenever it runs
	vllm    *server
	days    int
}

func (l *lab) newSeed(number uint64) (*seed, error) {
	r := rand.New(rand.NewPCG(number, 0)) //nolint:gosec // tickets are no secret
	address, err := freeAddress()
	return &seed{lab: l, number: number, dir: filepath.Join(l.dir, fmt.Sprintf("seed-%d", number)), r: r, kinds: kinds(r, l.kinds), address: address}, err
}

// clear begins the seed's folder anew.
func (s *seed) clear() error {
	if err := os.RemoveAll(s.dir); err != nil {
		return err
	}
	for _, folder := range []string{"logs", "bundles"} {
		if err := os.MkdirAll(s.path(folder), 0o755); err != nil {
			return err
		}
	}
	for _, name := range []string{"train.yaml", "rewards.yaml"} {
		text, err := os.ReadFile(filepath.Join("examples", "learn", name))
		if err != nil {
			return fmt.Errorf("%w: run make learn in the root of the repository", err)
		}
		text = []byte(strings.NewReplacer("${VLLM}", s.url(), "${SEED}", fmt.Sprint(s.number)).Replace(string(text)))
		if err := os.WriteFile(s.path(name), text, 0o644); err != nil {
			return err
		}
	}
	return os.Symlink(s.lab.model, s.path(filepath.Base(s.lab.model)))
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

func (s *seed) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

func (s *seed) url() string { return "http://" + s.address }

// day lets the agent answer its tickets, through the gateway, with the policy
// that is in production.
func (s *seed) day(ctx context.Context) (err error) {
	s.days++
	if err := s.open(ctx); err != nil {
		return err
	}
	file := s.path(fmt.Sprintf("tickets-%d.txt", s.days))
	lines := strings.Join(tickets(s.r, s.kinds, s.lab.times), "\n") + "\n"
	if err := os.WriteFile(file, []byte(lines), 0o644); err != nil {
		return err
	}
	var ports localcollector.Ports
	env := map[string]string{
		"TRACEGRAD_DATA": s.path("dataset"), "TRACEGRAD_REWARDS": s.path("rewards.yaml"),
		// The gateway's spans wait for those of the agent, which leave it every five seconds.
		"TRACEGRAD_ROOT_GRACE": "2s", "TRACEGRAD_IDLE": "20s", "TRACEGRAD_FLUSH": "2s",
	}
	collector, err := s.collector(ctx, "collector", env, &ports)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, collector.Stop()) }()
	gateway, err := s.collector(ctx, "gateway", map[string]string{
		"TRACEGRAD_UPSTREAM": s.url(), "TRACEGRAD_BUNDLES": s.path("bundles"),
		"TRACEGRAD_COLLECTOR": collector.Address(localcollector.OTLPGRPC),
	}, &ports)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, gateway.Stop()) }()
	if err := s.agent(ctx, file, gateway, collector); err != nil {
		return err
	}
	if err := gateway.Stop(); err != nil {
		return err
	}
	n, err := collector.Settle(ctx)
	fmt.Printf("The agent answered %d tickets: %d trajectories.\n", strings.Count(lines, "\n"), n)
	return err
}

// open starts vLLM and loads what is in production.
func (s *seed) open(ctx context.Context) (err error) {
	if s.vllm == nil {
		fmt.Println("vLLM starts …")
		if s.vllm, err = s.serve(ctx); err != nil {
			return err
		}
	}
	if _, err := bundle.Resolve(s.path("bundles"), "production"); err != nil {
		return nil //nolint:nilerr // before the first release there is none
	}
	return s.must(ctx, "bundle", "deploy", "--vllm", s.url(), "bundles/production")
}

func (s *seed) close() error {
	err := s.vllm.stop()
	s.vllm = nil
	return err
}

func (s *seed) collector(ctx context.Context, name string, env map[string]string, ports *localcollector.Ports) (*localcollector.Collector, error) {
	return localcollector.Start(ctx, localcollector.Options{
		Binary: filepath.Join(s.lab.bin, "tracegrad-collector"), Config: filepath.Join("examples", "quickstart", name+".yaml"),
		Env: env, Log: s.path("logs", fmt.Sprintf("%s-%d.log", name, s.days)), Ports: ports,
	})
}

func (s *seed) agent(ctx context.Context, file string, gateway, collector *localcollector.Collector) error {
	log, err := os.Create(s.path("logs", fmt.Sprintf("agent-%d.log", s.days)))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, filepath.Join(filepath.Dir(s.lab.agent), "opentelemetry-instrument"), s.lab.agent, filepath.Join("examples", "learn", "agent.py"), file)
	cmd.Env = append(os.Environ(),
		"OPENAI_BASE_URL="+gateway.URL(localcollector.Gateway)+"/v1", "OPENAI_API_KEY=none",
		"OTEL_SERVICE_NAME=desk", "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL(localcollector.OTLPHTTP),
		"OTEL_METRICS_EXPORTER=none", "OTEL_LOGS_EXPORTER=none")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("the agent: %w: see %s", err, log.Name())
	}
	return nil
}

// gatePending is how train says that the update is done and the gate's server
// is not there.
const gatePending = 3

// night trains while vLLM is stopped, lets the gate ask both policies, and puts
// what it released into production.
func (s *seed) night(ctx context.Context) (out nightly, err error) {
	if err := s.close(); err != nil {
		return out, err
	}
	code, err := s.tracegrad(ctx, "train", "--config", "train.yaml")
	if err != nil {
		return out, err
	}
	if code == gatePending {
		if err := s.open(ctx); err != nil {
			return out, err
		}
		if code, err = s.tracegrad(ctx, "train", "--config", "train.yaml"); err != nil {
			return out, err
		}
	}
	if code != 0 {
		return out, fmt.Errorf("tracegrad train: exit code %d", code)
	}
	made, err := s.newest()
	if err != nil {
		return out, err
	}
	out = nightlyOf(made.Manifest)
	if made.Manifest.Status != bundle.StatusReleased {
		return out, nil
	}
	return out, s.must(ctx, "bundle", "promote", "bundles/"+bundle.ShortID(made.Manifest.ID))
}

// newest is the bundle that the night made.
func (s *seed) newest() (*bundle.Bundle, error) {
	manifests, err := filepath.Glob(s.path("bundles", "*", bundle.ManifestName))
	if err != nil {
		return nil, err
	}
	var last *bundle.Bundle
	for _, m := range manifests {
		b, err := bundle.Open(filepath.Dir(m))
		if err != nil {
			return nil, err
		}
		if last == nil || b.Manifest.CreatedAt.After(last.Manifest.CreatedAt) {
			last = b
		}
	}
	if last == nil {
		return nil, errors.New("the night made no bundle")
	}
	return last, nil
}

func (s *seed) must(ctx context.Context, args ...string) error {
	code, err := s.tracegrad(ctx, args...)
	if err == nil && code != 0 {
		err = fmt.Errorf("tracegrad %s: exit code %d", strings.Join(args[:2], " "), code)
	}
	return err
}
