package gatewayreceiver

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/tracegrad/tracegrad/receiver/gatewayreceiver/internal/metadata"
)

const (
	defaultEndpoint           = "127.0.0.1:4320"
	defaultMaxRequestBodySize = 32 << 20
	defaultMaxCaptureBytes    = 8 << 20
	defaultMaxQueueBytes      = 128 << 20
	defaultRefreshInterval    = time.Second
	// One model server is one host: net/http's default of 2 idle connections
	// would open a new one for nearly every concurrent call.
	defaultMaxIdleConns = 512
)

// NewFactory makes the factory of the llm_gateway receiver.
func NewFactory() receiver.Factory {
	return receiver.NewFactory(
		metadata.Type,
		createDefaultConfig,
		receiver.WithTraces(createTraces, metadata.TracesStability),
	)
}

func createDefaultConfig() component.Config {
	server := confighttp.NewDefaultServerConfig()
	server.NetAddr.Endpoint = defaultEndpoint
	server.MaxRequestBodySize = defaultMaxRequestBodySize
	server.WriteTimeout = 0
	upstream := confighttp.NewDefaultClientConfig()
	upstream.MaxIdleConns = defaultMaxIdleConns
	upstream.MaxIdleConnsPerHost = defaultMaxIdleConns
	return &Config{
		ServerConfig:       server,
		Upstream:           upstream,
		Bundle:             configoptional.Default(BundleConfig{RefreshInterval: defaultRefreshInterval}),
		Adapter:            configoptional.Default(BundleConfig{RefreshInterval: defaultRefreshInterval}),
		Provider:           "openai",
		AgentHeader:        "x-agent-name",
		ConversationHeader: "x-conversation-id",
		CaptureContent:     true,
		TokenIDs:           idsAuto,
		MaxCaptureBytes:    defaultMaxCaptureBytes,
		MaxQueueBytes:      defaultMaxQueueBytes,
	}
}

func createTraces(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Traces) (receiver.Traces, error) {
	return newGateway(cfg.(*Config), set, next)
}
