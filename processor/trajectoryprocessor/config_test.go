package trajectoryprocessor

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/tracegrad/tracegrad/processor/trajectoryprocessor/internal/metadata"
)

func loadConfig(t *testing.T, name string) *Config {
	t.Helper()
	cm, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	sub, err := cm.Sub(component.NewIDWithName(metadata.Type, name).String())
	require.NoError(t, err)
	cfg := NewFactory().CreateDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(cfg))
	return cfg
}

func TestConfig(t *testing.T) {
	cfg := loadConfig(t, "")
	require.NoError(t, confmap.Validate(cfg))
	assert.Equal(t, createDefaultConfig(), cfg)

	store := component.MustNewIDWithName("file_storage", "trajectories")
	cfg = loadConfig(t, "all")
	require.NoError(t, confmap.Validate(cfg))
	assert.Equal(t, &Config{
		Key: "attributes", KeyAttributes: []string{"session.id", "app.run"}, TaskKey: []string{"app.task"}, TenantKey: []string{"tenant.id"},
		Attributes: []string{"deployment.environment.name"}, RootGrace: time.Second, Idle: 10 * time.Second, MaxAge: 30 * time.Minute,
		FlushInterval: 30 * time.Second, Storage: &store, MaxTrajectoryMiB: 4, MaxMemoryMiB: 64, MaxOpen: 1000, Emit: "spans",
		Rewards: RewardsConfig{File: "testdata/rewards.yaml"}, Writer: "collector-1",
	}, cfg)
}

func TestBadConfigNamesKeys(t *testing.T) {
	here, err := os.Getwd()
	require.NoError(t, err)
	for name, want := range map[string][]string{
		"bad": {
			`key: "trace" is not known; use auto or attributes`, `emit: "steps" is not known`, "root_grace: must be greater than 0",
			"max_age: must not be less than idle", "late_window: must not be negative", "max_trajectory_mib: must not be greater than max_memory_mib",
			"max_open: must be greater than 0",
		},
		"bad_attributes": {"key_attributes: list the attributes"},
		"bad_auto":       {"key_attributes: needs key: attributes"},
		"bad_rewards":    {"rewards: ", "testdata/bad_rewards.yaml:3:", "outputs", "^"},
		"no_rewards":     {"rewards: ", "testdata/nowhere.yaml", "relative to the working directory, which is " + here},
	} {
		t.Run(name, func(t *testing.T) {
			err := confmap.Validate(loadConfig(t, name))
			require.Error(t, err)
			for _, w := range want {
				assert.ErrorContains(t, err, w)
			}
		})
	}
}

// TestREADME loads the configurations that the README shows.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	t.Chdir("testdata") // has a rewards.yaml
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(readme, -1)
	require.Len(t, blocks, 3)
	for _, block := range blocks {
		retrieved, err := confmap.NewRetrievedFromYAML(block[1])
		require.NoError(t, err)
		cm, err := retrieved.AsConf()
		require.NoError(t, err)
		sub, err := cm.Sub("processors::trajectory")
		require.NoError(t, err)
		cfg := createDefaultConfig()
		require.NoError(t, sub.Unmarshal(cfg))
		require.NoError(t, confmap.Validate(cfg))
		assert.NotEqual(t, createDefaultConfig(), cfg)
	}
}
