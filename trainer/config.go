package trainer

import (
	"errors"
	"math"
	"strconv"
	"time"
)

// Config is train.yaml. [Load] reads it; docs/training.md has the reference.
type Config struct {
	Name      string          `yaml:"name" json:"name"`                                   // of the runs and bundles
	Dataset   string          `yaml:"dataset" json:"dataset"`                             // directory, or the URL of a bucket; required
	Rewards   RewardsConfig   `yaml:"rewards" json:"rewards"`                             //
	Window    Window          `yaml:"window" json:"window"`                               // how far back; default all
	MinAge    Duration        `yaml:"min_age" json:"min_age"`                             // wait for late facts; default 0s
	MaxUses   int             `yaml:"max_uses" json:"max_uses"`                           // nights that may train an adapter on a trajectory; 0 = any number
	Most      int             `yaml:"max_trajectories" json:"max_trajectories,omitempty"` // trained on in one night, the newest; 0 = any number
	Where     string          `yaml:"where" json:"where"`                                 // SQL over trajectories; default all
	GroupBy   string          `yaml:"group_by" json:"group_by"`                           // SQL over trajectories; default task_key
	Agents    []string        `yaml:"agents" json:"agents"`                               // whom the bundle is for; default all
	Algorithm AlgorithmConfig `yaml:"algorithm" json:"algorithm"`                         //
	Policy    PolicyConfig    `yaml:"policy" json:"policy"`                               //
	Adapter   AdapterConfig   `yaml:"adapter" json:"adapter"`                             // of policy: adapter
	Gate      GateConfig      `yaml:"gate" json:"gate"`                                   //
	Base      string          `yaml:"base" json:"base"`                                   // starting policy: label, id or directory; default label production, if set
	Runs      string          `yaml:"runs" json:"runs"`                                   // directory; default runs
	Bundles   string          `yaml:"bundles" json:"bundles"`                             // directory; default bundles
	Seed      uint64          `yaml:"seed" json:"seed"`                                   // of the resampling; default 1

	history string           // directory with the nights so far; "" = Runs
	places  map[string]place // of the keys in the file, for errors that come later
}

// RewardsConfig says how trajectories are scored.
type RewardsConfig struct {
	File      string `yaml:"file" json:"file"`             // the rewards file; required
	WriteBack bool   `yaml:"write_back" json:"write_back"` // append changed values to the dataset; default true
}

// Kinds of policy.
const (
	KindPrompt  = "prompt"  // guidance in the prompt
	KindAdapter = "adapter" // a LoRA adapter of the model
)

// PolicyConfig says what is learned.
type PolicyConfig struct {
	Kind           string `yaml:"kind" json:"kind"`                     // prompt or adapter; policy: adapter is short for policy: {kind: adapter}
	MaxItems       int    `yaml:"max_items" json:"max_items"`           // of guidance
	MinSupport     int    `yaml:"min_support" json:"min_support"`       // trajectories with and without a feature, each
	Demonstrations Count  `yaml:"demonstrations" json:"demonstrations"` // off, or how many
}

// GateConfig says what a release must show.
type GateConfig struct {
	Holdout    float64 `yaml:"holdout" json:"holdout"`         // share of the tasks that is never trained on
	HoldoutBy  string  `yaml:"holdout_by" json:"holdout_by"`   // SQL over trajectories; default task_key
	MinSupport int     `yaml:"min_support" json:"min_support"` // matched pairs
	Confidence float64 `yaml:"confidence" json:"confidence"`   // of the interval
	Threshold  float64 `yaml:"threshold" json:"threshold"`     // the lower bound must be above it

	// For policy: adapter, which is judged by what it generates.
	Server      string   `yaml:"server" json:"server"`           // url of an inference server; "" = nobody is asked, and nothing released
	Model       string   `yaml:"model" json:"model"`             // the base model as the server knows it; "" = adapter.base_model
	Prompts     int      `yaml:"prompts" json:"prompts"`         // most held-out prompts that are asked; 0 = all
	Rollouts    int      `yaml:"rollouts" json:"rollouts"`       // of each prompt, by each policy
	Concurrency int      `yaml:"concurrency" json:"concurrency"` // requests at a time
	Temperature Optional `yaml:"temperature" json:"temperature"` // instead of what was logged
	MaxTokens   int      `yaml:"max_tokens" json:"max_tokens"`   // of a reply, instead of what was logged; 0 = as logged
	Seeds       bool     `yaml:"seeds" json:"seeds"`             // send seeds
	TaskFacts   []string `yaml:"task_facts" json:"task_facts"`   // names of facts about tasks, which hold for every attempt
}

// Duration is a span of time, written 90m or 6h.
type Duration time.Duration

// MarshalText writes the duration as Go does: 6h0m0s.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads a duration. Its error says what would have been one.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return errors.New("use a duration such as 90m or 6h")
	}
	*d = Duration(v)
	return nil
}

// Window is a span of time up to now; 0 is written "all".
type Window time.Duration

// MarshalText writes a duration, or all.
func (w Window) MarshalText() ([]byte, error) {
	if w == 0 {
		return []byte("all"), nil
	}
	return Duration(w).MarshalText()
}

// UnmarshalText reads a duration, or all.
func (w *Window) UnmarshalText(text []byte) error {
	if string(text) == "all" {
		*w = 0
		return nil
	}
	if (*Duration)(w).UnmarshalText(text) != nil {
		return errors.New("use all, or a duration such as 24h")
	}
	return nil
}

// Count is a number; 0 is written "off".
type Count int

// MarshalText writes a number, or off.
func (c Count) MarshalText() ([]byte, error) {
	if c == 0 {
		return []byte("off"), nil
	}
	return strconv.AppendInt(nil, int64(c), 10), nil
}

// UnmarshalText reads a number, or off.
func (c *Count) UnmarshalText(text []byte) error {
	v, err := strconv.ParseUint(string(text), 10, 16)
	if err != nil && string(text) != "off" && string(text) != "false" {
		return errors.New("use off, or a number")
	}
	*c = Count(v)
	return nil
}

// Optional is a number, or none.
type Optional struct{ Value *float64 }

// MarshalText writes a number, or none.
func (o Optional) MarshalText() ([]byte, error) {
	if o.Value == nil {
		return []byte("none"), nil
	}
	return strconv.AppendFloat(nil, *o.Value, 'g', -1, 64), nil
}

// UnmarshalText reads a number, or none.
func (o *Optional) UnmarshalText(text []byte) error {
	o.Value = nil
	if string(text) == "none" {
		return nil
	}
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return errors.New("use a number, or none")
	}
	o.Value = &v
	return nil
}

// Default is the config of an empty file, but for the required keys.
func Default() Config {
	return Config{
		Name:      "prompt",
		Rewards:   RewardsConfig{WriteBack: true},
		MaxUses:   1,
		GroupBy:   "task_key",
		Algorithm: defaultAlgorithm(),
		Policy:    PolicyConfig{Kind: KindPrompt, MaxItems: 8, MinSupport: 5},
		Adapter:   defaultAdapter(),
		Gate: GateConfig{
			Holdout: 0.2, HoldoutBy: "task_key", MinSupport: 8, Confidence: 0.95, Prompts: 200, Rollouts: 4, Concurrency: 8, Seeds: true,
		},
		Runs:    "runs",
		Bundles: "bundles",
		Seed:    1,
	}
}
