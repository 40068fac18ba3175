package feedbackreceiver

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/tracegrad/tracegrad/receiver/feedbackreceiver/internal/metadata"
)

const (
	defaultEndpoint    = "127.0.0.1:4319"
	defaultMaxBody     = 1 << 20
	defaultReadTimeout = 30 * time.Second
)

// NewFactory creates the factory of the feedback receiver: HTTP in, one
// gen_ai.evaluation.result log record per item out.
func NewFactory() receiver.Factory {
	return receiver.NewFactory(
		metadata.Type,
		createDefaultConfig,
		receiver.WithLogs(createLogs, metadata.LogsStability),
	)
}

func createDefaultConfig() component.Config {
	server := confighttp.NewDefaultServerConfig()
	server.NetAddr.Endpoint = defaultEndpoint
	server.MaxRequestBodySize = defaultMaxBody
	server.ReadTimeout = defaultReadTimeout
	return &Config{Server: server}
}

func createLogs(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs) (receiver.Logs, error) {
	return newReceiver(set, cfg.(*Config), next, time.Now)
}
