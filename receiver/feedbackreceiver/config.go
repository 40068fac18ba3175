package feedbackreceiver

import (
	"errors"
	"fmt"
	"net"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/confignet"
)

// Config defines the feedback receiver's configuration.
type Config struct {
	// Server holds the settings of the HTTP server: endpoint (default
	// 127.0.0.1:4319), tls, auth, cors, max_request_body_size (default 1 MiB).
	Server confighttp.ServerConfig `mapstructure:",squash"`

	// AllowUnauthenticated permits an endpoint that other machines can reach
	// without auth. Whoever can post feedback decides what is learned: set it
	// only where something else (a mesh, a proxy) authenticates. Default false.
	AllowUnauthenticated bool `mapstructure:"allow_unauthenticated"`

	// prevent unkeyed literal initialization
	_ struct{}
}

var _ component.Config = (*Config)(nil)

// Validate checks what the HTTP server's own validation does not.
func (c *Config) Validate() error {
	var errs []error
	if c.Server.NetAddr.Endpoint == "" {
		errs = append(errs, errors.New("endpoint is empty: set it, such as 127.0.0.1:4319"))
	} else if !c.AllowUnauthenticated && !c.Server.Auth.HasValue() && !local(c.Server.NetAddr) {
		errs = append(errs, fmt.Errorf("endpoint %s can be reached from other machines and has no auth: set auth: {authenticator: …}, bind 127.0.0.1, "+
			"or set allow_unauthenticated: true if something in front of it authenticates", c.Server.NetAddr.Endpoint))
	}
	if c.Server.MaxRequestBodySize <= 0 {
		errs = append(errs, fmt.Errorf("max_request_body_size is %d: it must be positive", c.Server.MaxRequestBodySize))
	}
	return errors.Join(errs...)
}

// local reports whether only this machine can reach the address. Names other
// than localhost may resolve to anything.
func local(addr confignet.AddrConfig) bool {
	switch addr.Transport {
	case confignet.TransportTypeUnix, confignet.TransportTypeNpipe:
		return true
	}
	host, _, err := net.SplitHostPort(addr.Endpoint)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
