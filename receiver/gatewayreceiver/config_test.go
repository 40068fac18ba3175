package gatewayreceiver

import (
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/confignet"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/receiver/gatewayreceiver/internal/metadata"
)

func load(t *testing.T, id component.ID) *Config {
	t.Helper()
	cm, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	sub, err := cm.Sub(id.String())
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(cfg))
	return cfg
}

func TestConfig(t *testing.T) {
	cfg := load(t, component.NewID(metadata.Type))
	require.NoError(t, confmap.Validate(cfg))
	want := createDefaultConfig().(*Config)
	want.Upstream.Endpoint = "http://127.0.0.1:8000/v1"
	assert.Equal(t, want, cfg)
	assert.Equal(t, "127.0.0.1:4320", cfg.ServerConfig.NetAddr.Endpoint)
	assert.Zero(t, cfg.ServerConfig.WriteTimeout, "a write timeout would cut long answers")
	assert.True(t, cfg.CaptureContent)

	cfg = load(t, component.NewIDWithName(metadata.Type, "all"))
	assert.Equal(t, "production", cfg.Bundle.Get().Label)
	assert.True(t, cfg.Bundle.Get().Demonstrations)
	assert.Equal(t, 10*time.Minute, cfg.Upstream.Timeout)
	require.NoError(t, confmap.Validate(cfg), "there may be no bundle yet, nor a folder for them")
	u, err := cfg.upstreamURL()
	require.NoError(t, err)
	assert.Equal(t, "https://models.example.com/openai", u.String())
}

func TestConfigErrors(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   string // empty: valid
	}{
		"no upstream":    {func(c *Config) { c.Upstream.Endpoint = "" }, "upstream::endpoint: is empty: set the model server's base URL"},
		"no scheme":      {func(c *Config) { c.Upstream.Endpoint = "localhost:8000" }, "upstream::endpoint: must begin with http://"},
		"credentials":    {func(c *Config) { c.Upstream.Endpoint = "http://u:secret@h/v1" }, "upstream::endpoint: holds credentials: move them to upstream::headers"},
		"bad url":        {func(c *Config) { c.Upstream.Endpoint = "http://u:secret@h:x/v1" }, "upstream::endpoint: is not a URL"},
		"query":          {func(c *Config) { c.Upstream.Endpoint = "http://h/v1?a=b" }, "upstream::endpoint: must end with its path"},
		"cookies":        {func(c *Config) { c.Upstream.Cookies = configoptional.Some(confighttp.CookiesConfig{}) }, "upstream::cookies"},
		"no endpoint":    {func(c *Config) { c.ServerConfig.NetAddr.Endpoint = "" }, "endpoint: is empty"},
		"all addresses":  {func(c *Config) { c.ServerConfig.NetAddr.Endpoint = "0.0.0.0:1" }, "other machines can reach 0.0.0.0:1: set auth, or allow_unauthenticated: true"},
		"no address":     {func(c *Config) { c.ServerConfig.NetAddr.Endpoint = ":1" }, "other machines can reach"},
		"a name":         {func(c *Config) { c.ServerConfig.NetAddr.Endpoint = "gateway:1" }, "other machines can reach"},
		"six":            {func(c *Config) { c.ServerConfig.NetAddr.Endpoint = "[::]:1" }, "other machines can reach"},
		"loopback six":   {func(c *Config) { c.ServerConfig.NetAddr.Endpoint = "[::1]:1" }, ""},
		"loopback range": {func(c *Config) { c.ServerConfig.NetAddr.Endpoint = "127.8.8.8:1" }, ""},
		"localhost":      {func(c *Config) { c.ServerConfig.NetAddr.Endpoint = "localhost:1" }, ""},
		"a socket": {func(c *Config) {
			c.ServerConfig.NetAddr = confignet.AddrConfig{Endpoint: "/run/gateway.sock", Transport: confignet.TransportTypeUnix}
		}, ""},
		"with auth": {func(c *Config) {
			c.ServerConfig.NetAddr.Endpoint = "0.0.0.0:1"
			c.ServerConfig.Auth = configoptional.Some(confighttp.AuthConfig{Config: configauth.Config{AuthenticatorID: component.MustNewID("bearertokenauth")}})
		}, ""},
		"capture":      {func(c *Config) { c.MaxCaptureBytes = 0 }, "max_capture_bytes: is 0"},
		"queue":        {func(c *Config) { c.MaxQueueBytes = -1 }, "max_queue_bytes: is -1"},
		"provider":     {func(c *Config) { c.Provider = "" }, "provider: is empty"},
		"no bundle":    {withBundle(""), "bundle::directory: is empty"},
		"not there":    {withBundle("testdata/none"), "bundle::directory: open bundle: open testdata/none"},
		"not one":      {withBundle("testdata"), "name a directory that holds bundle.json"},
		"candidate":    {withBundle(writeBundle(t, bundle.StatusCandidate).Dir), "is a candidate: its gate has not passed (too few): set bundle::allow_candidate: true"},
		"tampered":     {withBundle(tampered(t)), "README.md: its SHA-256 is"},
		"canary":       {withCanary("", 5), "bundle::canary_percent: needs label"},
		"percent":      {withCanary("production", 101), "bundle::canary_percent: is 101: use 0 to 100"},
		"no percent":   {withCanary("production", math.NaN()), "bundle::canary_percent: is NaN"},
		"two canaries": {withCanary("canary", 5), "bundle::label: is canary, which canary_percent serves"},
		"refresh": {func(c *Config) {
			c.Bundle = configoptional.Some(BundleConfig{Directory: t.TempDir(), Label: "production", RefreshInterval: -1})
		}, "bundle::refresh_interval: is -1ns"},
		"unset":     {withCanary("production", 5), ""},
		"bad label": {withCanary("Production", 5), "bundle::label: label \"Production\": must be"},
		"not an adapter": {func(c *Config) {
			c.Adapter = configoptional.Some(BundleConfig{Directory: writeBundle(t, bundle.StatusReleased).Dir})
		}, `is a bundle of kind "prompt", and adapter serves ["adapter"]: label another`},
		"good": {withBundle(writeBundle(t, bundle.StatusReleased).Dir), ""},
		"candidate!": {func(c *Config) {
			withBundle(writeBundle(t, bundle.StatusCandidate).Dir)(c)
			c.Bundle.Get().AllowCandidate = true
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := createDefaultConfig().(*Config)
			cfg.Upstream.Endpoint = "http://127.0.0.1:8000"
			c.change(cfg)
			err := confmap.Validate(cfg)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
			assert.NotContains(t, err.Error(), "secret")
		})
	}
}

func withBundle(dir string) func(*Config) {
	return func(c *Config) { c.Bundle = configoptional.Some(BundleConfig{Directory: dir}) }
}

func withCanary(label string, percent float64) func(*Config) {
	return func(c *Config) {
		c.Bundle = configoptional.Some(BundleConfig{Directory: os.TempDir(), Label: label, CanaryPercent: percent})
	}
}

// writeBundle writes a bundle with two items, one of them for one agent only.
func writeBundle(tb testing.TB, status bundle.Status) *bundle.Bundle {
	tb.Helper()
	m := bundle.Manifest{
		Kind: bundle.KindPrompt, Name: "weather", Status: status,
		CreatedAt: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC),
		Gate:      bundle.Gate{Passed: status == bundle.StatusReleased, Reason: "too few"},
	}
	files, err := bundle.PromptFiles(m, bundle.Prompt{Items: []bundle.Item{
		{ID: "g1", Text: "Look up the weather first."},
		{ID: "g2", Text: "Say where it comes from.", Scope: bundle.Scope{Agent: "shop-assistant"}},
	}})
	require.NoError(tb, err)
	b, err := bundle.Add(filepath.Join(tb.TempDir(), "bundles"), m, files)
	require.NoError(tb, err)
	return b
}

func tampered(t *testing.T) string {
	t.Helper()
	dir := writeBundle(t, bundle.StatusReleased).Dir
	name := filepath.Join(dir, bundle.ReadmeFile)
	raw, err := os.ReadFile(name)
	require.NoError(t, err)
	raw[0] ^= 1
	require.NoError(t, os.WriteFile(name, raw, 0o600))
	return dir
}
