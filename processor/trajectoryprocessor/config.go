package trajectoryprocessor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/tracegrad/tracegrad/rewards"
)

// What joins spans to trajectories.
const (
	keyAuto       = "auto"
	keyAttributes = "attributes"
)

// What leaves the processor.
const (
	emitTrajectories = "trajectories"
	emitSpans        = "spans"
)

// Config of the trajectory processor.
type Config struct {
	// Key says what one trajectory is. "auto": what the spans themselves tell
	// (rollout id, agent or other root, conversation, message history).
	// "attributes": spans with the same values of KeyAttributes.
	Key string `mapstructure:"key"`

	// KeyAttributes are span or resource attributes, for key: attributes. A
	// trace in which no span has all of them is a trajectory of its own.
	KeyAttributes []string `mapstructure:"key_attributes"`

	// TaskKey names attributes of which the first present is the task key of
	// the trajectory. Without one it is a hash of the input.
	TaskKey []string `mapstructure:"task_key"`

	// TenantKey names attributes of which the first present is the tenant.
	// Tenants are never joined, grouped or shown to each other.
	TenantKey []string `mapstructure:"tenant_key"`

	// Attributes are span and resource attributes kept on the trajectory and
	// its steps.
	Attributes []string `mapstructure:"attributes"`

	// RootGrace is how long a trajectory whose root has ended waits for
	// stragglers.
	RootGrace time.Duration `mapstructure:"root_grace"`

	// Idle is how long a trajectory without such a root waits for its next span.
	Idle time.Duration `mapstructure:"idle"`

	// MaxAge closes trajectories that never rest. They are not trained on.
	MaxAge time.Duration `mapstructure:"max_age"`

	// LateWindow is how long a trajectory that was handed on still takes spans;
	// each makes it come out again as a higher revision. 0 = not at all.
	LateWindow time.Duration `mapstructure:"late_window"`

	// MaxTrajectoryMiB bounds one trajectory; what is larger is truncated.
	MaxTrajectoryMiB int `mapstructure:"max_trajectory_mib"`

	// MaxMemoryMiB bounds all that is held. Beyond it senders are asked to
	// retry.
	MaxMemoryMiB int `mapstructure:"max_memory_mib"`

	// MaxOpen bounds how many trajectories wait at the same time. Beyond it the
	// one that is quiet for longest is closed.
	MaxOpen int `mapstructure:"max_open"`

	// Storage names a storage extension that keeps what was acknowledged until it
	// is handed on for good: it survives a crash. The next component must return
	// when it is done, so an exporter must not have a queue of its own. Empty:
	// what is held is lost when the process is killed.
	Storage *component.ID `mapstructure:"storage"`

	// FlushInterval is how long trajectories wait for others to be handed on
	// together, where there is Storage. Without it they do not wait.
	FlushInterval time.Duration `mapstructure:"flush_interval"`

	// Emit is what leaves: "trajectories", one span each, or "spans", the
	// original spans with ids and rewards.
	Emit string `mapstructure:"emit"`

	// Rewards are computed once per trajectory.
	Rewards RewardsConfig `mapstructure:"rewards"`

	// Writer names this collector in the dataset, so that a trajectory whose
	// spans reached two collectors is noticed. "" = the host name.
	Writer string `mapstructure:"writer"`

	_ struct{}
}

// RewardsConfig says where the reward rules are.
type RewardsConfig struct {
	// File is a rewards file; "" = no rewards are computed here.
	File string `mapstructure:"file"`

	_ struct{}
}

var _ component.Config = (*Config)(nil)

// Validate checks the rewards file: its rules are compiled.
func (c *RewardsConfig) Validate() error {
	_, err := c.load()
	return err
}

// load returns nil where no file is configured.
func (c *RewardsConfig) load() (*rewards.Engine, error) {
	if c.File == "" {
		return nil, nil
	}
	e, err := rewards.Load(c.File)
	if dir, unknown := os.Getwd(); errors.Is(err, fs.ErrNotExist) && !filepath.IsAbs(c.File) && unknown == nil {
		err = fmt.Errorf("%w (file: is relative to the working directory, which is %s)", err, dir)
	}
	return e, err
}

// Validate reports every problem of the configuration.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch {
	case c.Key != keyAuto && c.Key != keyAttributes:
		bad("key: %q is not known; use %s or %s", c.Key, keyAuto, keyAttributes)
	case c.Key == keyAttributes && len(c.KeyAttributes) == 0:
		bad("key_attributes: list the attributes that join spans, or use key: %s", keyAuto)
	case c.Key == keyAuto && len(c.KeyAttributes) > 0:
		bad("key_attributes: needs key: %s", keyAttributes)
	}
	if c.Emit != emitTrajectories && c.Emit != emitSpans {
		bad("emit: %q is not known; use %s or %s", c.Emit, emitTrajectories, emitSpans)
	}
	for _, d := range []struct {
		key string
		v   time.Duration
	}{{"root_grace", c.RootGrace}, {"idle", c.Idle}, {"max_age", c.MaxAge}, {"flush_interval", c.FlushInterval}} {
		if d.v <= 0 {
			bad("%s: must be greater than 0", d.key)
		}
	}
	if c.LateWindow < 0 {
		bad("late_window: must not be negative")
	}
	if c.MaxAge > 0 && (c.MaxAge < c.Idle || c.MaxAge < c.RootGrace) {
		bad("max_age: must not be less than idle and root_grace")
	}
	for _, n := range []struct {
		key string
		v   int
	}{{"max_trajectory_mib", c.MaxTrajectoryMiB}, {"max_memory_mib", c.MaxMemoryMiB}, {"max_open", c.MaxOpen}} {
		if n.v <= 0 {
			bad("%s: must be greater than 0", n.key)
		}
	}
	if c.MaxTrajectoryMiB > c.MaxMemoryMiB {
		bad("max_trajectory_mib: must not be greater than max_memory_mib")
	}
	return errors.Join(errs...)
}
