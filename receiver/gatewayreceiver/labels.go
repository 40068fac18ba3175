package gatewayreceiver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/receiver/gatewayreceiver/internal/metadata"
)

// maxRetry is the longest pause before a bundle that could not be opened is
// tried again.
const maxRetry = time.Minute

// follower serves the bundles of one section of the configuration: the one that
// its label, and the label canary, name at the moment. A call takes what it needs
// once, at its start; what follows does not change under it.
type follower struct {
	section string // the section's key, for messages
	cfg     BundleConfig
	kinds   []bundle.Kind // those it takes

	production, canary followed
	telemetry          *metadata.TelemetryBuilder
	log                *zap.Logger
}

// followed is a label and the bundle that it named last and that was whole.
// Only the watching goroutine writes.
type followed struct {
	label   string // "" = the section names the bundle itself
	current atomic.Pointer[bundle.Bundle]

	failure string // what is wrong with the label now
	failing string // the id that could not be opened
	pause   time.Duration
	retry   time.Time
}

func newFollower(section string, cfg BundleConfig, kinds ...bundle.Kind) *follower {
	f := &follower{section: section, cfg: cfg, kinds: kinds, log: zap.NewNop()}
	f.production.label = cfg.Label
	if cfg.CanaryPercent > 0 {
		f.canary.label = bundle.LabelCanary
	}
	return f
}

// start takes the production bundle. A label that is not set is none; a bundle
// that cannot be served is an error, for there is no last one.
func (f *follower) start() error {
	if f.cfg.Directory == "" {
		return fmt.Errorf("%s::directory: is empty: name a bundle, or remove %[1]s", f.section)
	}
	if f.cfg.Label == "" {
		b, err := f.open(f.cfg.Directory)
		if err != nil {
			return fmt.Errorf("%s::directory: %w", f.section, err)
		}
		f.production.current.Store(b)
		f.say("Applying a bundle", &f.production)
		return nil
	}
	id, err := f.labelled(&f.production)
	if err == nil && id != "" {
		err = f.take(&f.production, id)
	}
	if err != nil {
		return fmt.Errorf("%s::label: %w", f.section, err)
	}
	if id == "" {
		f.log.Warn("A label is not set: calls pass without a bundle until it is", zap.String("label", f.cfg.Label), zap.String("directory", f.cfg.Directory))
	}
	return nil
}

// watch looks at the labels until ctx ends. It polls: a folder may be a network
// share or a mounted volume, where notices of changes do not arrive.
func (f *follower) watch(ctx context.Context) {
	if f.cfg.Label == "" || f.cfg.RefreshInterval <= 0 {
		return
	}
	ticks := time.NewTicker(f.cfg.RefreshInterval)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticks.C:
			f.look(&f.production, now)
			f.look(&f.canary, now)
		}
	}
}

// look takes a label's bundle if it is another. If that fails, the last one
// stays: the failure is counted and logged once, and tried again ever more
// seldom, since the bundle may still be on its way.
func (f *follower) look(l *followed, now time.Time) {
	if l.label == "" {
		return
	}
	id, err := f.labelled(l)
	if err == nil {
		if has := l.current.Load(); has == nil && id == "" || has != nil && has.ID() == id {
			l.failure, l.failing = "", ""
			return
		}
		if id == l.failing && id != "" && now.Before(l.retry) {
			return
		}
		err = f.take(l, id)
	}
	if err == nil {
		l.failure, l.failing = "", ""
		return
	}
	if id != l.failing {
		l.failing, l.pause = id, f.cfg.RefreshInterval
	}
	l.retry, l.pause = now.Add(l.pause), min(2*l.pause, maxRetry)
	if text := err.Error(); text != l.failure {
		l.failure = text
		f.telemetry.ReceiverLlmGatewayLabelErrors.Add(context.Background(), 1, metric.WithAttributes(attribute.String("label", l.label)))
		f.log.Warn("A label names no bundle that can be served: the last one stays", zap.String("label", l.label), zap.Error(err), zap.String("serving", idOf(l.current.Load())))
	}
}

// labelled is the id that a label holds; "" = it is not set. A folder that is not
// there yet has no labels; one that is gone for a moment has not unset them.
func (f *follower) labelled(l *followed) (string, error) {
	id, err := bundle.LabelID(f.cfg.Directory, l.label)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err = os.Stat(f.cfg.Directory); errors.Is(err, fs.ErrNotExist) && l.current.Load() == nil {
			err = nil
		}
	}
	return id, err
}

// take puts a bundle, or none, in service.
func (f *follower) take(l *followed, id string) error {
	if id == "" {
		l.current.Store(nil)
		f.log.Info("A label is no longer set: its calls pass without a bundle", zap.String("label", l.label))
		return nil
	}
	dir, err := bundle.Resolve(f.cfg.Directory, id)
	if err != nil {
		return err
	}
	b, err := f.open(dir)
	if err != nil {
		return err
	}
	if b.ID() != id {
		return fmt.Errorf("%s holds bundle %s: a bundle's directory is named by its id", dir, b.ID())
	}
	l.current.Store(b)
	f.say("Applying a bundle", l)
	return nil
}

// open opens and verifies a bundle, and refuses one that must not be served.
func (f *follower) open(dir string) (*bundle.Bundle, error) {
	b, err := bundle.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := bundle.Verify(b); err != nil {
		return nil, err
	}
	if !slices.Contains(f.kinds, b.Manifest.Kind) {
		return nil, fmt.Errorf("%s is a bundle of kind %q, and %s serves %q: label another", dir, b.Manifest.Kind, f.section, f.kinds)
	}
	if m := b.Manifest; m.Status != bundle.StatusReleased && !f.cfg.AllowCandidate {
		return nil, fmt.Errorf("%s is a %s: its gate has not passed (%s): set %s::allow_candidate: true to apply it all the same",
			dir, m.Status, m.Gate.Reason, f.section)
	}
	return b, nil
}

func (f *follower) say(what string, l *followed) {
	m := l.current.Load().Manifest
	f.log.Info(what, zap.String("id", m.ID), zap.String("name", m.Name), zap.String("kind", string(m.Kind)), zap.String("status", string(m.Status)), zap.String("label", l.label))
}

func idOf(b *bundle.Bundle) string {
	if b == nil {
		return "none"
	}
	return b.ID()
}
