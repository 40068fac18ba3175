package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/tracegrad/tracegrad/internal/localcollector"
)

// member is one Collector over all its lives: the same store, dataset and name,
// another process.
type member struct {
	name    string
	options localcollector.Options
	log     string // folder
	lives   int
	kills   int                       // of them that were killed
	slowest time.Duration             // start, from nothing to healthy
	to      atomic.Pointer[address]   // what senders use; of the last life that was healthy
	running *localcollector.Collector // nil = not running
	clock   *clock
	noClock error // why there is none
}

// address is where senders reach a life of a Collector.
type address struct {
	otlp     *grpc.ClientConn
	feedback string // URL
}

// newMember is a Collector that was never started.
func newMember(o *options, root, logs string, number int, ports *localcollector.Ports) *member {
	name := fmt.Sprintf("writer-%d", number+1)
	return &member{
		name: name, log: logs,
		options: localcollector.Options{
			Binary: o.collector, Config: o.config, Ports: ports,
			Args: []string{
				"--set=exporters::parquet::writer=" + name, "--set=processors::trajectory::writer=" + name,
				"--set=processors::trajectory::late_window=" + o.lateWindow.String(),
			},
			Env: map[string]string{
				"TRACEGRAD_DATA": filepath.Join(root, "dataset"), "TRACEGRAD_STORE": filepath.Join(root, "store", name),
				"TRACEGRAD_REWARDS":    o.rewards,
				"TRACEGRAD_ROOT_GRACE": "1s", "TRACEGRAD_IDLE": "4s", "TRACEGRAD_FLUSH": "500ms",
			},
		},
	}
}

// start starts the next life and returns once it is healthy. spawned may be nil.
func (m *member) start(ctx context.Context, spawned func(pid int)) error {
	m.lives++
	opt := m.options
	opt.Log = filepath.Join(m.log, fmt.Sprintf("%s-%03d.log", m.name, m.lives))
	opt.Spawned = spawned
	began := time.Now()
	c, err := localcollector.Start(ctx, opt)
	if err != nil {
		return fmt.Errorf("start %s, life %d: %w", m.name, m.lives, err)
	}
	conn, err := grpc.NewClient(c.Address(localcollector.OTLPGRPC), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		c.Kill()
		return fmt.Errorf("connect to %s: %w", m.name, err)
	}
	m.slowest = max(m.slowest, time.Since(began))
	m.running = c
	m.clock, m.noClock = takeClock(c.PID())
	if old := m.to.Swap(&address{conn, feedbackURL(c)}); old != nil {
		return old.otlp.Close()
	}
	return nil
}

// kill ends the process at once.
func (m *member) kill() {
	m.kills++
	m.running.Kill()
	m.running = nil
}

// stop ends it in order.
func (m *member) stop() error {
	if m.running == nil {
		return nil
	}
	c := m.running
	m.running = nil
	if err := c.Stop(); err != nil {
		return fmt.Errorf("%s, life %d: %w", m.name, m.lives, err)
	}
	return nil
}

func (m *member) signal(s syscall.Signal) error {
	if err := syscall.Kill(m.running.PID(), s); err != nil {
		return fmt.Errorf("signal %s: %w", m.name, err)
	}
	return nil
}

// count reads one of the Collector's own counters; 0 until it counts.
func (m *member) count(ctx context.Context, name string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	counts, err := m.running.Metrics(ctx)
	return int(counts[name]), err
}
