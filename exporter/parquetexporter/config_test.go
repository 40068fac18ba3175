package parquetexporter

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
)

func load(t *testing.T, file, id string) *Config {
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", file))
	require.NoError(t, err)
	sub, err := conf.Sub(id)
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(cfg))
	return cfg
}

func TestConfig(t *testing.T) {
	cfg := load(t, "config.yaml", "parquet")
	require.NoError(t, confmap.Validate(cfg))
	assert.Equal(t, "/var/lib/tracegrad", cfg.Directory)
	queue := cfg.QueueConfig.Get()
	require.NotNil(t, queue)
	assert.Equal(t, exporterhelper.RequestSizerTypeBytes, queue.Sizer)
	batch := queue.Batch.Get()
	require.NotNil(t, batch, "batching must be on: without it every trajectory would be a file set")
	assert.Equal(t, 10*time.Second, batch.FlushTimeout)
	assert.Zero(t, batch.MaxSize)
	assert.Zero(t, cfg.RetryConfig.MaxElapsedTime, "retried until it works")

	all := load(t, "config.yaml", "parquet/all")
	require.NoError(t, confmap.Validate(all))
	assert.Equal(t, "node-7", all.Writer)
	assert.Equal(t, int64(1024), all.Quarantine.MaxBytes)
	assert.Equal(t, "file_storage", all.QueueConfig.Get().StorageID.String())
	assert.Equal(t, time.Minute, all.QueueConfig.Get().Batch.Get().FlushTimeout)

	bare := load(t, "config.yaml", "parquet/no_queue")
	require.NoError(t, confmap.Validate(bare))
	assert.False(t, bare.QueueConfig.HasValue())
}

func TestConfigOfABucket(t *testing.T) {
	cfg := load(t, "config.yaml", "parquet/bucket")
	require.NoError(t, confmap.Validate(cfg))
	cfg.Directory = "ftp://host/data"
	require.ErrorContains(t, confmap.Validate(cfg), "`directory`: ftp://host/data: ftp:// is not known: use s3://, gs:// or az://")
}

func TestConfigRefuses(t *testing.T) {
	cfg := load(t, "invalid.yaml", "parquet")
	err := confmap.Validate(cfg)
	for _, want := range []string{
		"`directory` must be set to the folder of the dataset",
		"`quarantine::max_bytes` must not be negative",
		"`sending_queue::batch::max_size` must be 0",
	} {
		assert.ErrorContains(t, err, want)
	}
}
