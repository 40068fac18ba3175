package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/tracegrad/tracegrad/internal/cmd/bench/load"
	"github.com/tracegrad/tracegrad/internal/localcollector"
)

// lab is what all runs share.
type lab struct {
	opt              *options
	shape            load.Shape
	groups           int // a run
	agents, ordinary *load.Set
	config, stock    string       // paths
	sent             atomic.Int64 // spans that were taken
	delivered        *sweeper     // of a soak: what was written and removed again; nil = no soak
}

// measurement is one run.
type measurement struct {
	Shape    string  `json:"shape"`
	Pipeline string  `json:"pipeline"`
	Round    int     `json:"round"`
	CPU      float64 `json:"cpu_s_per_million_spans"`
	RSS      float64 `json:"peak_rss_mb"`
	Held     float64 `json:"held_mb"`    // by the trajectory processor when all was in
	Written  float64 `json:"written_mb"` // to files
	Reopened float64 `json:"reopened"`   // trajectories that came out again
	Wall     float64 `json:"wall_s"`     // of sending
}

func newLab(o *options, shape load.Shape, plan []pipeline, start time.Time) (*lab, error) {
	l := &lab{
		opt: o, shape: shape, config: filepath.Join(o.work, "config.yaml"), stock: filepath.Join(o.work, "stock-config.yaml"),
		groups: (o.spans + shape.GroupSpans() - 1) / shape.GroupSpans(),
	}
	for _, p := range plan {
		var err error
		switch {
		case p.ordinary && l.ordinary == nil:
			l.ordinary, err = load.New(load.Ordinary, start)
		case !p.ordinary && l.agents == nil:
			l.agents, err = load.NewShaped(load.Kind(o.kind), shape, start)
		}
		if err != nil {
			return nil, err
		}
	}
	return l, errors.Join(os.WriteFile(l.config, config, 0o600), os.WriteFile(l.stock, stockConfig, 0o600))
}

func (l *lab) spans() int        { return l.groups * l.shape.GroupSpans() }
func (l *lab) trajectories() int { return l.groups * l.shape.Traces }

// measure runs one pipeline.
func (l *lab) measure(ctx context.Context, p pipeline) (m measurement, err error) {
	out, store := filepath.Join(l.opt.work, "out"), filepath.Join(l.opt.work, "store")
	if err := errors.Join(os.RemoveAll(store), os.RemoveAll(out), os.MkdirAll(out, 0o755)); err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(out), os.RemoveAll(store)) }()
	binary, config := l.opt.collector, l.config
	if p.stock {
		binary, config = l.opt.stock, l.stock
	}
	c, err := localcollector.Start(ctx, localcollector.Options{
		Binary: binary, Config: config, Log: filepath.Join(l.opt.work, p.ID+".log"),
		Env: map[string]string{
			"BENCH_PROCESSORS": p.processors, "BENCH_EXPORTERS": p.exporters, "BENCH_OUT": out,
			"BENCH_STORE": store, "BENCH_EXTENSIONS": "[health_check" + p.extensions + "]",
			"BENCH_MEMORY_MIB": strconv.Itoa(l.opt.memory),
			"BENCH_REWARDS":    l.opt.rewards, "GOMAXPROCS": strconv.Itoa(l.opt.procs),
		},
	})
	if err != nil {
		return m, err
	}
	m.Shape, m.Pipeline = l.shape.Name, p.ID
	if err := l.feed(ctx, c, p, &m); err != nil {
		return m, errors.Join(err, c.Stop())
	}
	if p.check != nil {
		if err := p.check(l, out); err != nil {
			return m, err
		}
	}
	m.Written, err = sizeOf(out)
	return m, err
}

// feed sends the spans of a run, stops the Collector and says what it cost from
// the first span to the end of the process.
func (l *lab) feed(ctx context.Context, c *localcollector.Collector, p pipeline, m *measurement) error {
	rss := watchRSS(c)
	before, err := cpuOf(c.PID())
	if err != nil {
		return err
	}
	if err := l.through(ctx, c, p, m); err != nil {
		return err
	}
	if err := c.Stop(); err != nil {
		return err
	}
	state := c.State()
	m.CPU = (state.UserTime() + state.SystemTime() - before).Seconds() * 1e6 / float64(l.spans())
	m.RSS = float64(<-rss) / (1 << 20)
	return nil
}

// through sends the spans of a run and waits until all of them are through.
func (l *lab) through(ctx context.Context, c *localcollector.Collector, p pipeline, m *measurement) (err error) {
	if l.delivered != nil {
		sending, stop := context.WithCancel(ctx)
		watched := make(chan error, 1)
		go func() { watched <- l.delivered.watch(sending, c, l.opt.soak) }()
		defer func() { stop(); err = errors.Join(err, <-watched) }()
	}
	began := time.Now()
	if err := l.send(ctx, c.Address(localcollector.OTLPGRPC), p); err != nil {
		return err
	}
	m.Wall = time.Since(began).Seconds()
	return l.settle(ctx, c, p, m)
}

func sizeOf(dir string) (mb float64, err error) {
	err = filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			mb += float64(info.Size()) / 1e6
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("measure output: %w", err)
	}
	return mb, nil
}
