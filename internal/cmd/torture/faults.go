package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"
)

// fault is something that happens to a Collector or its disk while the senders
// are at work, and is over when strike returns. What strike says of it goes into
// the report.
type fault struct {
	name   string
	place  place
	strike func(context.Context, *ground) (string, error)
}

// place is where a fault can be had.
type place int

const (
	ofDisk      place = iota // a folder of the machine's disk
	ofSmallDisk              // a file system of our own, see ownDisks
	ofBucket                 // object storage
	places
)

// faults in the order in which they take turns.
var faults = []fault{
	{name: "kill", strike: kill},
	{name: "term", strike: term},
	{name: "drain", strike: drain},
	{name: "crashloop", strike: crashLoop},
	{name: "freeze", strike: freeze},
	{name: "clock", strike: clockJump},
	{name: "readonly", place: ofSmallDisk, strike: readOnly},
	{name: "full", place: ofSmallDisk, strike: fullDisk},
	{name: "bucket-kill", place: ofBucket, strike: kill},
	{name: "slow-bucket", place: ofBucket, strike: slowBucket},
	{name: "failing-bucket", place: ofBucket, strike: failingBucket},
	{name: "dead-bucket", place: ofBucket, strike: deadBucket},
}

// onGround are the faults that can be had there.
func onGround(all []fault, p place) (list []fault) {
	for _, f := range all {
		if f.place == p {
			list = append(list, f)
		}
	}
	return list
}

func names(all []fault) (list []string) {
	for _, f := range all {
		list = append(list, f.name)
	}
	return list
}

func joined(all []fault) string { return strings.Join(names(all), ", ") }

const (
	feltWithin = 15 * time.Second // or the fault did not strike
	lookEvery  = 100 * time.Millisecond
)

// kill is a SIGKILL at any moment of the load and of what comes after it, and a
// start soon after.
func kill(ctx context.Context, g *ground) (string, error) {
	m, after := g.any(), g.upTo(g.busy)
	if err := sleep(ctx, after); err != nil {
		return "", err
	}
	m.kill()
	if err := sleep(ctx, g.upTo(500*time.Millisecond)); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s killed after %s", m.name, after), m.start(ctx, nil)
}

// crashLoop kills a Collector, and then again while it starts.
func crashLoop(ctx context.Context, g *ground) (string, error) {
	return crashAgain(ctx, g, 1+g.random.IntN(3))
}

func crashAgain(ctx context.Context, g *ground, times int) (string, error) {
	m := g.any()
	if err := sleep(ctx, g.upTo(g.shape.Over)); err != nil {
		return "", err
	}
	m.kill()
	for range times {
		if err := m.startAndKill(ctx, g.upTo(1500*time.Millisecond)); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%s killed, and %d more times while it started", m.name, times), m.start(ctx, nil)
}

// startAndKill starts the next life and kills it after a time, healthy or not.
func (m *member) startAndKill(ctx context.Context, after time.Duration) error {
	killed := make(chan struct{})
	err := m.start(ctx, func(pid int) {
		go func() {
			defer close(killed)
			if sleep(ctx, after) == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL) // gone already shows in start's error
			}
		}()
	})
	select {
	case <-killed:
	default:
		if err != nil {
			return fmt.Errorf("it ended by itself: %w", err)
		}
		<-killed
	}
	if m.running == nil { // it was not healthy yet
		m.kills++
		return context.Cause(ctx)
	}
	m.kill()
	return context.Cause(ctx)
}

// term is a SIGTERM under load: the Collector must end in order, and soon.
func term(ctx context.Context, g *ground) (string, error) {
	m, after := g.any(), g.upTo(g.busy)
	if err := sleep(ctx, after); err != nil {
		return "", err
	}
	began := time.Now()
	if err := m.stop(); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s stopped after %s, within %s", m.name, after, round(time.Since(began))), m.start(ctx, nil)
}

// drain is a SIGTERM in the moment in which the last span is acknowledged, when
// most runs still wait for more.
func drain(ctx context.Context, g *ground) (string, error) {
	select {
	case <-g.sent:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	began := time.Now()
	for _, m := range g.fleet {
		if err := m.stop(); err != nil {
			return "", err
		}
	}
	took := round(time.Since(began))
	for _, m := range g.fleet {
		if err := m.start(ctx, nil); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("all stopped when all was acknowledged, within %s", took), nil
}

// freeze is a process that the machine does not run for some seconds: senders
// lose patience and send again what it may have taken.
func freeze(ctx context.Context, g *ground) (string, error) {
	m := g.any()
	if err := sleep(ctx, g.upTo(g.shape.Over)); err != nil {
		return "", err
	}
	if err := m.signal(syscall.SIGSTOP); err != nil {
		return "", err
	}
	frozen := g.upTo(answerWithin * 3 / 2)
	return fmt.Sprintf("%s frozen for %s", m.name, frozen), errors.Join(sleep(ctx, frozen), m.signal(syscall.SIGCONT))
}

var jumps = []time.Duration{90 * time.Second, -90 * time.Second, time.Hour, -time.Hour, 26 * time.Hour, -26 * time.Hour}

// clockJump sets a Collector's wall clock ahead or back and, some time later, to
// the truth, be it by another jump or because a killed one is started anew.
func clockJump(ctx context.Context, g *ground) (string, error) {
	m, jump := g.any(), jumps[g.random.IntN(len(jumps))]
	if m.noClock != nil {
		return "", fmt.Errorf("%w: %w", errSkipped, m.noClock)
	}
	if err := sleep(ctx, g.upTo(g.shape.Over)); err != nil {
		return "", err
	}
	if err := m.clock.jump(jump); err != nil {
		return "", err
	}
	if err := sleep(ctx, g.upTo(4*time.Second)); err != nil {
		return "", err
	}
	if g.random.IntN(2) == 0 {
		m.kill()
		return fmt.Sprintf("%s's clock jumped by %s, killed", m.name, jump), m.start(ctx, nil)
	}
	return fmt.Sprintf("%s's clock jumped by %s and back", m.name, jump), m.clock.jump(0)
}

// readOnly makes the dataset's folder read-only for some time.
func readOnly(ctx context.Context, g *ground) (string, error) {
	return g.whileBroken(ctx, "the disk was read-only", func() (heal func() error, err error) { return protect(g.dataset) })
}

// fullDisk leaves no byte free where the dataset and the stores lie.
func fullDisk(ctx context.Context, g *ground) (string, error) {
	return g.whileBroken(ctx, "the disk was full", func() (heal func() error, err error) { return fill(g.disk) })
}

// whileBroken breaks what the dataset lies on, waits until Collectors or senders feel it and
// some time more, and heals it. In every third case a Collector is killed
// meanwhile, and started when all is well.
func (g *ground) whileBroken(ctx context.Context, how string, breakIt func() (func() error, error)) (string, error) {
	if err := sleep(ctx, g.upTo(g.shape.Over/2)); err != nil {
		return "", err
	}
	began := time.Now()
	before, err := g.felt(ctx)
	if err != nil {
		return "", err
	}
	heal, err := breakIt()
	if err != nil {
		return "", err
	}
	err = g.untilFelt(ctx, before)
	if err == nil {
		err = sleep(ctx, g.upTo(3*time.Second))
	}
	killed, again := g.maybeKill()
	if err = errors.Join(err, heal()); err == nil {
		err = again(ctx)
	}
	return fmt.Sprintf("%s for %s%s", how, round(time.Since(began)), killed), err
}

// maybeKill kills a Collector in every third case; again starts it.
func (g *ground) maybeKill() (what string, again func(context.Context) error) {
	if g.random.IntN(3) > 0 {
		return "", func(context.Context) error { return nil }
	}
	m := g.any()
	m.kill()
	return ", and " + m.name + " killed", func(ctx context.Context) error { return m.start(ctx, nil) }
}

// felt counts what a broken disk or bucket makes rise.
func (g *ground) felt(ctx context.Context) (int, error) {
	sum := int(g.senders.retries.Load() + g.senders.gaveUp.Load())
	for _, m := range g.fleet {
		n, err := m.count(ctx, "exporter_parquet_failures")
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

func (g *ground) untilFelt(ctx context.Context, before int) error {
	for began := time.Now(); time.Since(began) < feltWithin; {
		now, err := g.felt(ctx)
		if err != nil || now > before {
			return err
		}
		if err := sleep(ctx, lookEvery); err != nil {
			return err
		}
	}
	return fmt.Errorf("nobody noticed what was broken within %s", feltWithin)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }
