package gatewayreceiver

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/confignet"
	"go.opentelemetry.io/collector/config/configoptional"

	"github.com/tracegrad/tracegrad/internal/bundle"
)

// Config configures the gateway.
type Config struct {
	// ServerConfig is where agents connect. The default endpoint is
	// 127.0.0.1:4320; max_request_body_size defaults to 32 MiB and there is no
	// write_timeout, which would cut long answers.
	ServerConfig confighttp.ServerConfig `mapstructure:",squash"`

	// AllowUnauthenticated allows an endpoint that other machines can reach
	// without auth. Whoever reaches it can use the model server.
	AllowUnauthenticated bool `mapstructure:"allow_unauthenticated"`

	// Upstream is the model server. Its endpoint is an OpenAI base URL, with or
	// without the closing /v1. Headers set here replace the agent's, such as
	// authorization.
	Upstream confighttp.ClientConfig `mapstructure:"upstream"`

	// Bundle is what calls are served: guidance that is added to them, or an
	// adapter that they are routed to. Without it, they pass unchanged.
	Bundle configoptional.Optional[BundleConfig] `mapstructure:"bundle"`

	// Adapter is an adapter's bundle beside Bundle, which is guidance then. Its
	// demonstrations have no meaning.
	Adapter configoptional.Optional[BundleConfig] `mapstructure:"adapter"`

	// Provider is the gen_ai.provider.name of the spans. Default: openai.
	Provider string `mapstructure:"provider"`

	// Agent is the name of the agent behind this gateway, for requests that do
	// not name theirs. Empty: not known.
	Agent string `mapstructure:"agent"`

	// AgentHeader is the request header that names the agent. Default:
	// x-agent-name. Empty: none.
	AgentHeader string `mapstructure:"agent_header"`

	// ConversationHeader is the request header that holds the conversation's id.
	// Default: x-conversation-id. Empty: none.
	ConversationHeader string `mapstructure:"conversation_header"`

	// CaptureContent puts messages and tools on the spans. Default: true.
	CaptureContent bool `mapstructure:"capture_content"`

	// TokenIDs says whether the upstream is asked for the ids and
	// log-probabilities of tokens, which go on the spans and not to the agent
	// unless it asked itself: auto (default) asks a vLLM, as which the upstream's
	// list of models shows; on; off. Without CaptureContent nothing is asked.
	TokenIDs string `mapstructure:"token_ids"`

	// LogprobsMode is what vLLM's --logprobs-mode says: raw (of the model) or
	// processed (after temperature, top-k and top-p). Servers do not tell it.
	// Default: empty, not known.
	LogprobsMode string `mapstructure:"logprobs_mode"`

	// MaxCaptureBytes bounds what is kept of one call's request and of its
	// answer. Larger content is left out of the span, whole, and counted in its
	// dropped attributes. Default: 8 MiB.
	MaxCaptureBytes int `mapstructure:"max_capture_bytes"`

	// MaxQueueBytes bounds what waits for the pipeline. When it is full, spans
	// are dropped and counted; calls go on. Default: 128 MiB.
	MaxQueueBytes int64 `mapstructure:"max_queue_bytes"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// BundleConfig names a bundle and how it is used.
type BundleConfig struct {
	// Directory is a bundle, or with Label the directory that holds bundles.
	Directory string `mapstructure:"directory"`

	// Label, such as production, names the bundle in Directory, at any time: it is
	// followed while the gateway runs. While it is not set, there is no bundle.
	// Empty: Directory is the bundle itself.
	Label string `mapstructure:"label"`

	// RefreshInterval is how often the labels are looked at. Default: 1s. 0: at
	// start only.
	RefreshInterval time.Duration `mapstructure:"refresh_interval"`

	// CanaryPercent is the share of conversations that the label canary serves,
	// while it is set. Default: 0.
	CanaryPercent float64 `mapstructure:"canary_percent"`

	// Models are the names, as agents ask for them, of the model that an adapter
	// is for. Default: the bundle's base model.
	Models []string `mapstructure:"models"`

	// AllowCandidate allows a bundle whose gate did not pass. Default: false.
	AllowCandidate bool `mapstructure:"allow_candidate"`

	// Demonstrations adds the bundle's demonstrations that belong to no tenant.
	// Default: false.
	Demonstrations bool `mapstructure:"demonstrations"`

	// prevent unkeyed literal initialization
	_ struct{}
}

var _ component.Config = (*Config)(nil)

// Validate checks the configuration, and the bundle as a whole.
func (c *Config) Validate() error {
	_, upstreamErr := c.upstreamURL()
	errs := []error{c.validateExposure(), upstreamErr}
	if c.Upstream.Cookies.HasValue() {
		errs = append(errs, errors.New("upstream::cookies: agents must not share cookies: remove it"))
	}
	if c.MaxCaptureBytes <= 0 {
		errs = append(errs, fmt.Errorf("max_capture_bytes: is %d: must be above 0; use capture_content: false to keep no content", c.MaxCaptureBytes))
	}
	if c.MaxQueueBytes <= 0 {
		errs = append(errs, fmt.Errorf("max_queue_bytes: is %d: must be above 0", c.MaxQueueBytes))
	}
	if c.Provider == "" {
		errs = append(errs, errors.New("provider: is empty: name the provider, such as openai"))
	}
	if !slices.Contains([]string{idsAuto, idsOn, idsOff}, c.TokenIDs) {
		errs = append(errs, fmt.Errorf("token_ids: is %q: must be auto, on or off", c.TokenIDs))
	}
	if !slices.Contains([]string{"", "raw", "processed"}, c.LogprobsMode) {
		errs = append(errs, fmt.Errorf("logprobs_mode: is %q: must be raw or processed, as the server's --logprobs-mode, or empty", c.LogprobsMode))
	}
	for _, f := range c.followers() {
		errs = append(errs, f.validate(), f.start())
	}
	return errors.Join(errs...)
}

// followers are the sections that name bundles. Two of one kind would undo each
// other.
func (c *Config) followers() []*follower {
	var out []*follower
	if c.Bundle.HasValue() {
		kinds := []bundle.Kind{bundle.KindPrompt, bundle.KindAdapter}
		if c.Adapter.HasValue() {
			kinds = kinds[:1]
		}
		out = append(out, newFollower("bundle", *c.Bundle.Get(), kinds...))
	}
	if c.Adapter.HasValue() {
		out = append(out, newFollower("adapter", *c.Adapter.Get(), bundle.KindAdapter))
	}
	return out
}

// validate checks a section's own values.
func (f *follower) validate() error {
	var errs []error
	if !percentage(f.cfg.CanaryPercent) {
		errs = append(errs, fmt.Errorf("%s::canary_percent: is %g: use 0 to 100", f.section, f.cfg.CanaryPercent))
	}
	if f.cfg.CanaryPercent > 0 && f.cfg.Label == "" {
		errs = append(errs, fmt.Errorf("%s::canary_percent: needs label: production is what the other calls are served", f.section))
	}
	if f.cfg.Label == bundle.LabelCanary && f.cfg.CanaryPercent > 0 {
		errs = append(errs, fmt.Errorf("%s::label: is canary, which canary_percent serves: name production, or remove canary_percent", f.section))
	}
	if f.cfg.RefreshInterval < 0 {
		errs = append(errs, fmt.Errorf("%s::refresh_interval: is %s: use 0 to read the labels at start only", f.section, f.cfg.RefreshInterval))
	}
	return errors.Join(errs...)
}

// validateExposure refuses an open door: off loopback, callers must be known.
func (c *Config) validateExposure() error {
	addr := c.ServerConfig.NetAddr
	if addr.Endpoint == "" {
		return errors.New("endpoint: is empty: set host:port, such as 127.0.0.1:4320")
	}
	if c.ServerConfig.Auth.HasValue() || c.AllowUnauthenticated || addr.Transport == confignet.TransportTypeUnix || loopback(addr.Endpoint) {
		return nil
	}
	return fmt.Errorf("endpoint: other machines can reach %s: set auth, or allow_unauthenticated: true if the network keeps strangers out", addr.Endpoint)
}

func loopback(endpoint string) bool {
	host, _, err := net.SplitHostPort(endpoint)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// upstreamURL is the URL that /v1/… paths are put behind.
func (c *Config) upstreamURL() (*url.URL, error) {
	if c.Upstream.Endpoint == "" {
		return nil, errors.New("upstream::endpoint: is empty: set the model server's base URL, such as http://127.0.0.1:8000/v1")
	}
	u, err := url.Parse(c.Upstream.Endpoint)
	switch {
	case err != nil:
		return nil, errors.New("upstream::endpoint: is not a URL: use one such as http://127.0.0.1:8000/v1")
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, errors.New("upstream::endpoint: must begin with http:// or https:// and a host, such as http://127.0.0.1:8000/v1")
	case u.User != nil:
		return nil, errors.New("upstream::endpoint: holds credentials: move them to upstream::headers")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("upstream::endpoint: must end with its path: remove what follows ? or #")
	}
	u.Path = strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/v1")
	u.RawPath = ""
	return u, nil
}
