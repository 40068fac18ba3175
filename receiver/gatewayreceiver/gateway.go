package gatewayreceiver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
	"go.uber.org/zap"

	"github.com/tracegrad/tracegrad/receiver/gatewayreceiver/internal/metadata"
)

// gateway is the receiver.
type gateway struct {
	cfg       *Config
	set       receiver.Settings
	telemetry *metadata.TelemetryBuilder
	recorder  *recorder
	now       func() time.Time
	random    func([]byte)

	upstream  *url.URL
	followers []*follower // of bundles, in the order in which they are applied
	client    *http.Client
	asker     asker
	proxy     *httputil.ReverseProxy
	server    *http.Server
	listener  net.Listener

	serving   sync.WaitGroup     // the server's goroutine
	watching  sync.WaitGroup     // those that follow labels
	stopWatch context.CancelFunc // ends them
	calls     door
}

var _ receiver.Traces = (*gateway)(nil)

func newGateway(cfg *Config, set receiver.Settings, next consumer.Traces) (*gateway, error) {
	tb, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	upstream, err := cfg.upstreamURL()
	if err != nil {
		return nil, err
	}
	rec, err := newRecorder(cfg, set, tb, upstream, next)
	if err != nil {
		return nil, err
	}
	g := &gateway{
		cfg: cfg, set: set, telemetry: tb, recorder: rec, upstream: upstream, now: time.Now,
		random: func(b []byte) { _, _ = rand.Read(b) }, // never fails
		asker:  asker{mode: cfg.TokenIDs},
	}
	rec.told = g.told
	return g, nil
}

// Start opens the endpoint. Bundles are verified again: they are read now.
func (g *gateway) Start(ctx context.Context, host component.Host) (err error) {
	g.followers = g.cfg.followers()
	for _, f := range g.followers {
		f.telemetry, f.log = g.telemetry, g.set.Logger
		if err := f.start(); err != nil {
			return err
		}
		f.look(&f.canary, g.now()) // if it cannot be served, production is
	}
	g.warnAboutCredentials()

	// Without providers, the client does not write its own traceparent over the
	// call's.
	plain := g.set.TelemetrySettings
	plain.TracerProvider, plain.MeterProvider = nil, nil
	if g.client, err = g.cfg.Upstream.ToClient(ctx, host.GetExtensions(), plain); err != nil {
		return fmt.Errorf("upstream: %w", err)
	}
	g.proxy = g.newProxy(refusals{&fallback{next: g.client.Transport, gone: g.unknownAdapter}, g})
	g.server, err = g.cfg.ServerConfig.ToServer(ctx, host.GetExtensions(), g.set.TelemetrySettings, g.handler(), confighttp.WithErrorHandler(rejectBody))
	if err != nil {
		return err
	}
	if g.listener, err = g.cfg.ServerConfig.ToListener(ctx); err != nil {
		return fmt.Errorf("endpoint: listen on %s: %w", g.cfg.ServerConfig.NetAddr.Endpoint, err)
	}
	g.recorder.start()
	g.follow()
	g.set.Logger.Info("Serving the gateway", zap.Stringer("endpoint", g.listener.Addr()), zap.String("upstream", g.upstream.Redacted()))
	g.serving.Go(func() {
		if err := g.server.Serve(g.listener); !errors.Is(err, http.ErrServerClosed) {
			componentstatus.ReportStatus(host, componentstatus.NewFatalErrorEvent(err))
		}
	})
	return nil
}

// follow follows the labels until Shutdown.
func (g *gateway) follow() {
	ctx, cancel := context.WithCancel(context.Background())
	g.stopWatch = cancel
	for _, f := range g.followers {
		g.watching.Go(func() { f.watch(ctx) })
	}
}

// unknownAdapter says that a server does not have an adapter that a label names.
func (g *gateway) unknownAdapter(r *routing) {
	g.notRouted(notRoutedUnknown)
	g.set.Logger.Warn("The model server does not have the adapter: the base model answers. Load it with tracegrad bundle deploy",
		zap.String("adapter", r.adapter), zap.String("label", r.label), zap.String("bundle", r.bundle.ID()))
}

// warnAboutCredentials says when the gateway's own credential would go upstream.
func (g *gateway) warnAboutCredentials() {
	_, replaced := g.cfg.Upstream.Headers.Get("authorization")
	if _, canonical := g.cfg.Upstream.Headers.Get("Authorization"); g.cfg.ServerConfig.Auth.HasValue() && !replaced && !canonical && !g.cfg.Upstream.Auth.HasValue() {
		g.set.Logger.Warn("The authorization header that agents send to this gateway goes on to the model server: set upstream::headers or upstream::auth to replace it")
	}
}

// Shutdown stops accepting, waits for the calls under way until ctx ends, then
// cuts them, and hands what was seen to the pipeline.
func (g *gateway) Shutdown(ctx context.Context) error {
	if g.server == nil {
		g.telemetry.Shutdown()
		return nil
	}
	err := g.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("wait for calls: %w: they were cut", err), g.server.Close())
	}
	g.serving.Wait()
	g.stopWatch()
	g.watching.Wait()
	g.calls.close()
	g.client.CloseIdleConnections()
	err = errors.Join(err, g.recorder.stop(ctx))
	g.telemetry.Shutdown()
	return err
}

// door counts calls and can be closed for good.
type door struct {
	mu     sync.RWMutex
	closed bool
	inside sync.WaitGroup
}

func (d *door) enter() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if !d.closed {
		d.inside.Add(1)
	}
	return !d.closed
}

func (d *door) leave() { d.inside.Done() }

// close lets nobody in any more and waits until everybody has left.
func (d *door) close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.inside.Wait()
}
