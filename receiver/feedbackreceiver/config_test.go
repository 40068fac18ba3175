package feedbackreceiver

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
)

func TestConfig(t *testing.T) {
	const open = " can be reached from other machines and has no auth: set auth: {authenticator: …}, bind 127.0.0.1, " +
		"or set allow_unauthenticated: true if something in front of it authenticates"
	for key, want := range map[string]string{
		"feedback": "", "feedback/all": "", "feedback/mesh": "", "feedback/socket": "",
		"feedback/open":           "endpoint 0.0.0.0:4319" + open,
		"feedback/all_interfaces": "endpoint :4319" + open,
		"feedback/name":           "endpoint collector:4319" + open,
		"feedback/empty":          "endpoint is empty: set it, such as 127.0.0.1:4319\nmax_request_body_size is -1: it must be positive",
		"feedback/unknown_key":    "endpiont",
	} {
		t.Run(key, func(t *testing.T) {
			conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
			require.NoError(t, err)
			sub, err := conf.Sub(key)
			require.NoError(t, err)
			cfg := createDefaultConfig().(*Config)
			if err = sub.Unmarshal(cfg); err == nil {
				err = confmap.Validate(cfg)
			}
			if want == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, want)
		})
	}
}

func TestDefaults(t *testing.T) {
	c := createDefaultConfig().(*Config)
	assert.Equal(t, "127.0.0.1:4319", c.Server.NetAddr.Endpoint)
	assert.Equal(t, int64(1<<20), c.Server.MaxRequestBodySize)
	assert.False(t, c.AllowUnauthenticated)
}
