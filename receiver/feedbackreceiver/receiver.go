package feedbackreceiver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.uber.org/zap"

	"github.com/tracegrad/tracegrad/receiver/feedbackreceiver/internal/metadata"
)

// feedbackReceiver is the server; handler has what it does.
type feedbackReceiver struct {
	config  *Config
	set     receiver.Settings
	handler *handler

	server  *http.Server
	serving sync.WaitGroup
}

func newReceiver(set receiver.Settings, cfg *Config, next consumer.Logs, now func() time.Time) (*feedbackReceiver, error) {
	report, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID: set.ID, Transport: "http", ReceiverCreateSettings: set,
	})
	if err != nil {
		return nil, err
	}
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	return &feedbackReceiver{config: cfg, set: set, handler: &handler{
		next: next, now: now, report: report, telemetry: telemetry,
		maxBody: cfg.Server.MaxRequestBodySize, slots: make(chan struct{}, maxInFlight),
	}}, nil
}

// Start begins to listen.
func (r *feedbackReceiver) Start(ctx context.Context, host component.Host) error {
	mux := http.NewServeMux()
	mux.Handle(path, r.handler)
	mux.HandleFunc("/", r.handler.notFound)
	server, err := r.config.Server.ToServer(ctx, host.GetExtensions(), r.set.TelemetrySettings, mux, confighttp.WithErrorHandler(r.handler.refuse))
	if err != nil {
		return fmt.Errorf("set up the feedback server: %w", err)
	}
	listener, err := r.config.Server.ToListener(ctx)
	if err != nil {
		return fmt.Errorf("listen for feedback: %w", err)
	}
	r.server = server
	r.set.Logger.Info("Listening for feedback", zap.String("endpoint", listener.Addr().String()))
	r.serving.Go(func() {
		if err := server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			componentstatus.ReportStatus(host, componentstatus.NewFatalErrorEvent(err))
		}
	})
	return nil
}

// Shutdown waits for requests at work, at most until ctx ends.
func (r *feedbackReceiver) Shutdown(ctx context.Context) error {
	if r.server == nil {
		return nil
	}
	err := r.server.Shutdown(ctx)
	if err != nil {
		_ = r.server.Close() // ctx ended first: cut what is left
	}
	r.serving.Wait()
	r.handler.telemetry.Shutdown()
	return err
}
