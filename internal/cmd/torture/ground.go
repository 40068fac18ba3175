package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"golang.org/x/sync/errgroup"

	"github.com/tracegrad/tracegrad/internal/cmd/bench/load"
	"github.com/tracegrad/tracegrad/internal/cmd/torture/delivery"
	"github.com/tracegrad/tracegrad/internal/cmd/torture/ledger"
	"github.com/tracegrad/tracegrad/internal/localcollector"
)

const judgeEvery = 300 * time.Millisecond

// skews are by how much the clocks of the agents are wrong.
var skews = []time.Duration{0, 26 * time.Hour, 0, -26 * time.Hour}

// errSkipped is a fault that this machine cannot have.
var errSkipped = errors.New("skipped")

// ground is where rounds take place: a dataset, its Collectors with their
// stores, and what was sent to them.
type ground struct {
	opt      *options
	faults   []fault
	rounds   int
	disk     string // folder that holds the dataset and the stores
	dataset  string
	unmount  func() error
	bucket   *bucket // nil = the dataset is in a folder
	random   *rand.Rand
	shape    delivery.Shape
	busy     time.Duration // from a round's start until all of it should be committed
	loads    []*load.Set   // they take turns
	requests int           // taken from the loads so far
	fleet    []*member
	senders  *senders
	sent     chan struct{} // closed when the round's load was acknowledged or given up
	rows     ledger.Rows
}

// grounds are three at most: faults that need no mounts meet a real disk, where a
// sync takes as long as it takes; others a small one of their own, or a bucket.
func grounds(o *options) (list []*ground) {
	left := o.rounds
	for p := range places {
		some := onGround(o.faults, p)
		if len(some) == 0 {
			continue
		}
		g := &ground{
			opt: o, faults: some, rounds: o.rounds * len(some) / len(o.faults),
			disk:   filepath.Join(o.work, []string{"disk", "small-disk", "bucket"}[p]),
			random: rand.New(rand.NewPCG(o.seed, uint64(p))), //nolint:gosec // to be repeated
			shape:  o.shape,
		}
		left -= g.rounds
		g.shape.Collectors = o.collectors
		g.busy = g.shape.Over + g.shape.Spread + g.shape.Late
		list = append(list, g)
	}
	if len(list) > 0 {
		list[0].rounds += left
	}
	return list
}

// run runs all rounds of the ground. It ends with the first one after which
// something is missing or twice, and leaves everything as it is then.
func (g *ground) run(ctx context.Context, report *report) (err error) {
	if err := g.open(ctx); err != nil {
		return errors.Join(err, g.close())
	}
	defer func() { err = errors.Join(err, g.close()) }()
	for n := range g.rounds {
		f := g.faults[n%len(g.faults)]
		killed := g.kills()
		line := line{Fault: f.name, began: time.Now()}
		if err := g.round(ctx, f, &line); err != nil {
			return errors.Join(fmt.Errorf("round %d, %s: %w", len(report.Rounds)+1, f.name, err), g.keep())
		}
		line.Kills, report.Slowest = g.kills()-killed, max(report.Slowest, g.slowest())
		report.add(line)
	}
	for _, m := range g.fleet {
		if err := m.stop(); err != nil {
			return err
		}
	}
	return g.settle(ctx, &line{}) // what the end of the Collectors wrote is no duplicate
}

func (g *ground) open(ctx context.Context) (err error) {
	if err := errors.Join(os.RemoveAll(g.disk), os.MkdirAll(g.disk, 0o755)); err != nil {
		return err
	}
	g.dataset = filepath.Join(g.disk, "dataset")
	switch g.faults[0].place {
	case ofSmallDisk:
		if g.unmount, err = smallDisk(g.disk); err != nil {
			return err
		}
	case ofBucket:
		if g.bucket, err = openBucket(ctx, g.opt.s3, g.disk); err != nil {
			return err
		}
		g.dataset = g.bucket.folder
	}
	now := time.Now()
	for _, skew := range skews {
		set, err := load.New(load.Mix, now.Add(skew))
		if err != nil {
			return err
		}
		g.loads = append(g.loads, set)
	}
	logs := filepath.Join(g.opt.work, filepath.Base(g.disk)+"-logs")
	if err := errors.Join(os.RemoveAll(logs), os.MkdirAll(logs, 0o755), os.MkdirAll(g.dataset, 0o755)); err != nil {
		return err
	}
	ports := new(localcollector.Ports)
	for i := range g.opt.collectors {
		m := newMember(g.opt, g.disk, logs, i, ports)
		if g.bucket != nil {
			maps.Copy(m.options.Env, g.bucket.env())
			m.options.Env["TMPDIR"] = g.disk // files are written there first
		}
		if err := os.MkdirAll(m.options.Env["TRACEGRAD_STORE"], 0o750); err != nil {
			return err
		}
		g.fleet = append(g.fleet, m)
		if err := m.start(ctx, nil); err != nil {
			return err
		}
	}
	g.senders = &senders{fleet: g.fleet, ledger: &ledger.Ledger{}}
	return nil
}

func (g *ground) close() (err error) {
	for _, m := range g.fleet {
		if m.running != nil {
			m.kill()
		}
	}
	if g.bucket != nil {
		err = g.bucket.close()
	}
	if g.unmount != nil {
		err = g.unmount()
	}
	return err
}

// round sends one load while a fault strikes, and judges.
func (g *ground) round(ctx context.Context, f fault, l *line) error {
	runs, err := g.runs()
	if err != nil {
		return err
	}
	plan, err := delivery.Plan(g.random, runs, g.shape)
	if err != nil {
		return err
	}
	for _, d := range plan {
		g.senders.ledger.Plan(d.Spans)
	}
	retries, gaveUp := g.senders.retries.Load(), g.senders.gaveUp.Load()
	seed := rand.NewPCG(g.random.Uint64(), 0)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	g.sent = make(chan struct{})
	var sendErr error
	go func() {
		defer close(g.sent)
		sendErr = g.send(ctx, rand.New(seed), plan) //nolint:gosec // to be repeated
		if sendErr != nil {
			cancel(sendErr) // or the fault would wait for what cannot come
		}
	}()
	if l.What, err = f.strike(ctx, g); errors.Is(err, errSkipped) {
		l.What, err = err.Error(), nil
	}
	if err != nil {
		cancel(err)
	}
	<-g.sent
	if err := errors.Join(err, sendErr); err != nil {
		return err
	}
	l.Retries, l.GaveUp = int(g.senders.retries.Load()-retries), int(g.senders.gaveUp.Load()-gaveUp)
	return g.settle(ctx, l)
}

// send sends spans, and verdicts about them.
func (g *ground) send(ctx context.Context, r *rand.Rand, plan []delivery.Delivery) error {
	group, ctx := errgroup.WithContext(ctx)
	var traces []string
	for _, d := range plan {
		traces = append(traces, d.Spans[0].Trace)
	}
	of := rand.New(rand.NewPCG(r.Uint64(), 0)) //nolint:gosec // to be repeated
	group.Go(func() error { return g.senders.judgeRuns(ctx, of, traces, g.busy) })
	group.Go(func() error { return g.senders.deliver(ctx, r, plan) })
	return group.Wait()
}

// settle waits until the dataset is what it must be.
func (g *ground) settle(ctx context.Context, l *line) error {
	for began := time.Now(); ; {
		if err := g.rows.Refresh(g.dataset); err != nil {
			return err
		}
		v := g.senders.ledger.Judge(&g.rows)
		if v.Clean() {
			l.Planned, l.Acked = g.senders.ledger.Count()
			l.Trajectories = v.Trajectories
			return nil
		}
		if time.Since(began) > g.opt.settle {
			return fmt.Errorf("%s after all was acknowledged the dataset is not what it must be: %s", g.opt.settle, v)
		}
		if err := sleep(ctx, judgeEvery); err != nil {
			return err
		}
	}
}

// runs are the next runs of agents: no id in them was sent before.
func (g *ground) runs() (list []ptrace.Traces, err error) {
	for range (g.opt.traces + load.TracesPerRequest - 1) / load.TracesPerRequest {
		req := ptraceotlp.NewExportRequest()
		if err := req.UnmarshalProto(g.loads[g.requests/len(g.loads)%len(g.loads)].Append(nil, g.requests)); err != nil {
			return nil, fmt.Errorf("decode load: %w", err)
		}
		list = append(list, req.Traces())
		g.requests++
	}
	return list, nil
}

func (g *ground) kills() (n int) {
	for _, m := range g.fleet {
		n += m.kills
	}
	return n
}

func (g *ground) slowest() (d time.Duration) {
	for _, m := range g.fleet {
		d = max(d, m.slowest)
	}
	return d
}

func (g *ground) any() *member { return g.fleet[g.random.IntN(len(g.fleet))] }

// upTo is a random time.
func (g *ground) upTo(most time.Duration) time.Duration {
	return time.Duration(g.random.Int64N(int64(most/time.Millisecond))) * time.Millisecond
}

// keep copies what a mount holds to where it outlives this process.
func (g *ground) keep() error {
	if g.unmount == nil {
		return nil
	}
	to := filepath.Join(g.opt.work, "failed")
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.CopyFS(to, os.DirFS(g.disk)); err != nil {
		return fmt.Errorf("keep %s: %w", g.disk, err)
	}
	return nil
}
