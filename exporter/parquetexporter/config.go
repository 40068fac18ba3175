package parquetexporter

import (
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/tracegrad/tracegrad/internal/bucket"
)

// Config of the parquet exporter.
type Config struct {
	// Directory is the root of the dataset: a folder, which is made if need be, or
	// the URL of a bucket that is there: s3://, gs:// or az://. Required.
	Directory string `mapstructure:"directory"`

	// Writer names this collector in the names of files. It must be stable over
	// restarts and differ between all that write to one dataset. Characters that
	// do not belong into a file name are replaced. Empty: the host's name, with
	// the component's own name behind it where it has one.
	Writer string `mapstructure:"writer"`

	// Quarantine is for data that cannot be read.
	Quarantine QuarantineConfig `mapstructure:"quarantine"`

	// QueueConfig is the queue in front of the files; one batch of it becomes one file set.
	QueueConfig configoptional.Optional[exporterhelper.QueueBatchConfig] `mapstructure:"sending_queue"`

	// RetryConfig says how to go on after an error of the disk.
	RetryConfig configretry.BackOffConfig `mapstructure:"retry_on_failure"`

	_ struct{}
}

// QuarantineConfig bounds what is kept of data that cannot be read.
type QuarantineConfig struct {
	// MaxBytes bounds the folder `quarantine/<writer>` of the dataset. What no
	// longer fits is only counted. 0 keeps nothing.
	MaxBytes int64 `mapstructure:"max_bytes"`

	_ struct{}
}

var _ component.Config = (*Config)(nil)

// Validate names every key that must be set differently.
func (c *Config) Validate() error {
	var errs []error
	if c.Directory == "" {
		errs = append(errs, errors.New("`directory` must be set to the folder of the dataset"))
	}
	if err := bucket.Check(c.Directory); err != nil {
		errs = append(errs, fmt.Errorf("`directory`: %w", err))
	}
	if c.Quarantine.MaxBytes < 0 {
		errs = append(errs, errors.New("`quarantine::max_bytes` must not be negative; 0 keeps nothing"))
	}
	if q := c.QueueConfig.Get(); q != nil {
		if b := q.Batch.Get(); b != nil && b.MaxSize > 0 {
			errs = append(errs, errors.New("`sending_queue::batch::max_size` must be 0: a split could cut a trajectory in two"))
		}
	}
	return errors.Join(errs...)
}
