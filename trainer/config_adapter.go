package trainer

import (
	"cmp"
	"fmt"
	"net/url"
	"path/filepath"

	"github.com/tracegrad/tracegrad/trainer/grpo"
)

// AlgorithmConfig says how returns become advantages and, for an adapter,
// advantages a gradient. What is empty or 0 is as the algorithm's paper has it
// ([grpo.RecipeOf]); docs/algorithms.md has the formulas.
type AlgorithmConfig struct {
	Name      string             `yaml:"name" json:"name"`           // see grpo.Algorithms
	Normalize grpo.Normalization `yaml:"normalize" json:"normalize"` // of centred returns; "" = the algorithm's

	Reduce      grpo.Reduction  `yaml:"reduce" json:"reduce"`             // what losses are divided by; "" = the algorithm's
	ClipLow     float64         `yaml:"clip_low" json:"clip_low"`         // range of the ratio; 0 = the algorithm's
	ClipHigh    float64         `yaml:"clip_high" json:"clip_high"`       //
	Baseline    string          `yaml:"baseline" json:"baseline"`         // of groups of one: drop, tracker, batch or leave_one_out
	Credit      string          `yaml:"credit" json:"credit"`             // trajectory, agent or step
	Gamma       float64         `yaml:"gamma" json:"gamma"`               // discount of what follows
	Lambda      float64         `yaml:"lambda" json:"lambda"`             // of GAE
	LeastReturn Optional        `yaml:"least_return" json:"least_return"` // of an example, for sft
	OffPolicy   OffPolicyConfig `yaml:"off_policy" json:"off_policy"`     //
	KL          KLConfig        `yaml:"kl" json:"kl"`                     //
	Stop        StopConfig      `yaml:"stop" json:"stop"`                 //
}

// OffPolicyConfig weighs tokens that another policy generated. What is 0 is as
// kind has it.
type OffPolicyConfig struct {
	Kind         string  `yaml:"kind" json:"kind"` // none, truncate, icepop, stale or topr
	Cap          float64 `yaml:"cap" json:"cap"`
	TokenLow     float64 `yaml:"token_low" json:"token_low"`
	TokenHigh    float64 `yaml:"token_high" json:"token_high"`
	SequenceLow  float64 `yaml:"sequence_low" json:"sequence_low"`
	SequenceHigh float64 `yaml:"sequence_high" json:"sequence_high"`
	Veto         float64 `yaml:"veto" json:"veto"`
	Stale        float64 `yaml:"stale" json:"stale"`
}

// KLConfig is the penalty towards the base model.
type KLConfig struct {
	Beta      float64        `yaml:"beta" json:"beta"`           // 0 = none
	Estimator grpo.Estimator `yaml:"estimator" json:"estimator"` // k1, k2 or k3
	Corrected bool           `yaml:"corrected" json:"corrected"` // k3 times the ratio
}

// StopConfig ends an update before its last step; 0 = no limit.
type StopConfig struct {
	MaxKL  float64 `yaml:"max_kl" json:"max_kl"`   // nats per token that the policy may move in a night
	MinESS float64 `yaml:"min_ess" json:"min_ess"` // least effective sample size, as a share of the tokens
}

// Values of AlgorithmConfig.Baseline and Credit.
const (
	baselineDrop     = "drop"
	creditTrajectory = "trajectory" // every token gets its trajectory's advantage
	creditAgent      = "agent"      // advantages per agent
	creditStep       = "step"       // rewards of steps credit what led to them
)

// AdapterConfig says what is trained, where and how fast.
type AdapterConfig struct {
	BaseModel     string     `yaml:"base_model" json:"base_model"`         // as the engine and those who serve it know it; required
	Folder        string     `yaml:"folder" json:"folder"`                 // of its files on this machine, for our worker; "" = base_model is a folder, or a name on a hub
	Engine        string     `yaml:"engine" json:"engine"`                 // url of a server of the Tinker training protocol; "" = our own worker, started for the run
	Models        []string   `yaml:"models" json:"models"`                 // models whose calls are trained on; default the base model and its adapters
	LoRA          LoRAConfig `yaml:"lora" json:"lora"`                     //
	LearningRate  float64    `yaml:"learning_rate" json:"learning_rate"`   //
	WeightDecay   float64    `yaml:"weight_decay" json:"weight_decay"`     //
	Epochs        int        `yaml:"epochs" json:"epochs"`                 // passes over the night's rollouts
	StepRollouts  int        `yaml:"step_rollouts" json:"step_rollouts"`   // most rollouts per optimizer step
	BatchTokens   int        `yaml:"batch_tokens" json:"batch_tokens"`     // most tokens that the engine is sent at a time
	MaxLength     int        `yaml:"max_length" json:"max_length"`         // of a row, in tokens
	Temperature   float64    `yaml:"temperature" json:"temperature"`       // of sampling: log-probabilities are computed at it, and recorded ones must be of it
	Constrained   bool       `yaml:"constrained" json:"constrained"`       // train also on replies that a grammar bent
	SaveEvery     int        `yaml:"save_every" json:"save_every"`         // optimizer steps between checkpoints
	HoldoutTokens int        `yaml:"holdout_tokens" json:"holdout_tokens"` // of the holdout that are scored with the candidate; 0 = none
}

// LoRAConfig is the shape of the adapter.
type LoRAConfig struct {
	Rank    int      `yaml:"rank" json:"rank"`
	Alpha   float64  `yaml:"alpha" json:"alpha"`     // 0 = 2 × rank
	Targets []string `yaml:"targets" json:"targets"` // attn, mlp; default both
}

func defaultAlgorithm() AlgorithmConfig {
	return AlgorithmConfig{
		Name: string(grpo.GRPO), Baseline: baselineDrop, Credit: creditTrajectory, Gamma: 1, Lambda: 1,
		OffPolicy: OffPolicyConfig{Kind: "truncate"}, KL: KLConfig{Estimator: grpo.K3},
		Stop: StopConfig{MaxKL: grpo.DefaultMaxKL, MinESS: grpo.DefaultMinESS},
	}
}

func defaultAdapter() AdapterConfig {
	return AdapterConfig{
		LoRA: LoRAConfig{Rank: 16}, LearningRate: 1e-5, Epochs: 1, StepRollouts: 64, BatchTokens: 16384,
		MaxLength: 8192, Temperature: 1, SaveEvery: 1, HoldoutTokens: 100_000,
	}
}

// recipe is the algorithm with what the config replaces. The config was checked.
func (a *AlgorithmConfig) recipe() grpo.Recipe {
	r, err := grpo.RecipeOf(grpo.Algorithm(a.Name))
	if err != nil {
		panic("internal error: " + err.Error())
	}
	r.Normalize = cmp.Or(a.Normalize, r.Normalize)
	r.Reduce = cmp.Or(a.Reduce, r.Reduce)
	r.Loss.Low, r.Loss.High = cmp.Or(a.ClipLow, r.Loss.Low), cmp.Or(a.ClipHigh, r.Loss.High)
	return r
}

// rule is what turns log-probabilities into gradients.
func (a *AlgorithmConfig) rule() grpo.Rule {
	c, err := grpo.CorrectionOf(a.OffPolicy.Kind)
	if err != nil {
		panic("internal error: " + err.Error())
	}
	o := a.OffPolicy
	for _, x := range []struct {
		into *float64
		with float64
	}{
		{&c.Cap, o.Cap}, {&c.TokenLow, o.TokenLow}, {&c.TokenHigh, o.TokenHigh}, {&c.SequenceLow, o.SequenceLow},
		{&c.SequenceHigh, o.SequenceHigh}, {&c.Veto, o.Veto}, {&c.Stale, o.Stale},
	} {
		*x.into = cmp.Or(x.with, *x.into)
	}
	return grpo.Rule{
		Loss: a.recipe().Loss, Correction: c,
		Penalty: grpo.Penalty{Beta: a.KL.Beta, Estimator: a.KL.Estimator, Corrected: a.KL.Corrected},
	}
}

// lone says what becomes of groups of one.
func (a *AlgorithmConfig) lone() grpo.Lone {
	if a.Baseline == baselineDrop {
		return grpo.LoneDropped
	}
	return grpo.Lone(a.Baseline)
}

func (s StopConfig) limits() grpo.Limits { return grpo.Limits(s) }

// alpha is the scale of the adapter.
func (l LoRAConfig) alpha() float64 { return cmp.Or(l.Alpha, 2*float64(l.Rank)) }

// UseEngine trains on the server at url instead of the one that the file names.
func (c *Config) UseEngine(url string) error {
	if c.Policy.Kind != KindAdapter {
		return fmt.Errorf("--engine: policy %s needs no engine; set policy: adapter", c.Policy.Kind)
	}
	if !isURL(url) {
		return fmt.Errorf("--engine: %q is not the url of a server; use one such as http://127.0.0.1:8000", url)
	}
	c.Adapter.Engine = url
	return nil
}

// WriteTo makes a run write into dir, but remember the nights so far.
func (c *Config) WriteTo(dir string) {
	c.history = c.Runs
	c.Runs, c.Bundles = filepath.Join(dir, "runs"), filepath.Join(dir, "bundles")
	c.Rewards.WriteBack = false
}

func isURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}
