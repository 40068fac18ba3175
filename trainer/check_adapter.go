package trainer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tracegrad/tracegrad/trainer/grpo"
	"github.com/tracegrad/tracegrad/trainer/reroll"
)

// checkAdapter reports what no adapter can be trained with.
func checkAdapter(c *Config, require requirement) {
	checkAlgorithm(&c.Algorithm, require)
	checkGate(&c.Gate, require)
	a := &c.Adapter
	require(a.BaseModel != "", "adapter.base_model", "is missing", "name the model that agents are served by, as the engine knows it: a folder or a name")
	require(a.Engine == "" || isURL(a.Engine), "adapter.engine", fmt.Sprintf("%q is not the url of a server", a.Engine),
		"use a url such as http://127.0.0.1:8000, or remove the key to train on this machine")
	require(1 <= a.LoRA.Rank && a.LoRA.Rank <= 512, "adapter.lora.rank", "is out of range", "use 1 to 512, such as 16")
	require(a.LoRA.Alpha >= 0, "adapter.lora.alpha", "is negative", "use a number such as 32, or remove the key: twice the rank")
	for i, t := range a.LoRA.Targets {
		key := fmt.Sprintf("adapter.lora.targets[%d]", i)
		require(slices.Contains(targets, t), key, fmt.Sprintf("%q is not known", t), didYouMean(t, targets)+"use some of "+strings.Join(targets, ", "))
	}
	require(a.LearningRate > 0, "adapter.learning_rate", "must be above 0", "use a number such as 1e-5")
	require(a.WeightDecay >= 0, "adapter.weight_decay", "is negative", "use 0, or a small number such as 0.01")
	require(1 <= a.Epochs && a.Epochs <= 100, "adapter.epochs", "is out of range", "use 1 to 100")
	require(1 <= a.StepRollouts, "adapter.step_rollouts", "is too small", "use 1 or more, such as 64")
	require(1 <= a.BatchTokens, "adapter.batch_tokens", "is too small", "use 1 or more, such as 16384")
	require(2 <= a.MaxLength, "adapter.max_length", "is too small", "use the length that the model is served with, such as 8192")
	require(a.Temperature > 0, "adapter.temperature", "must be above 0", "use 1")
	require(!a.Constrained || c.Algorithm.Name == string(grpo.SFT), "adapter.constrained",
		"needs algorithm.name sft: the log-probabilities of such replies are not the policy's, and every other loss has a ratio of them", "use sft, or constrained: false")
	require(1 <= a.SaveEvery, "adapter.save_every", "is too small", "use 1 or more")
	require(a.HoldoutTokens >= 0, "adapter.holdout_tokens", "is negative", "use a number, or 0 to leave the holdout alone")
}

// checkGate reports what no adapter can be judged with.
func checkGate(g *GateConfig, require requirement) {
	require(g.Server == "" || isURL(g.Server), "gate.server", fmt.Sprintf("%q is not the url of a server", g.Server), "use a url such as http://127.0.0.1:8000/v1")
	require(g.Server != "" || g.Model == "", "gate.model", "has no server that knows it", "set gate.server, or remove the key")
	require(0 <= g.Prompts, "gate.prompts", "is negative", "use a number such as 200, or 0 for all")
	require(1 <= g.Rollouts && g.Rollouts <= 1024, "gate.rollouts", "is out of range", "use 1 or more, such as 4")
	require(1 <= g.Concurrency && g.Concurrency <= 1024, "gate.concurrency", "is out of range", "use 1 or more, such as 8")
	require(g.Temperature.Value == nil || *g.Temperature.Value >= 0, "gate.temperature", "is negative", "use a number such as 1, or none for what was logged")
	require(0 <= g.MaxTokens, "gate.max_tokens", "is negative", "use a number, or 0 for what was logged")
}

// sampling is what the gate replaces of what was logged.
func (g *GateConfig) sampling() (s reroll.Sampling) {
	s.Temperature = g.Temperature.Value
	if g.MaxTokens > 0 {
		most := int64(g.MaxTokens)
		s.MaxTokens = &most
	}
	return s
}

// targets are the parts of a model that an adapter can change, as the protocol
// knows them.
var targets = []string{"attn", "mlp"}

func checkAlgorithm(a *AlgorithmConfig, require requirement) {
	oneOf := func(key, value string, known ...string) {
		require(slices.Contains(known, value), key, fmt.Sprintf("%q is not known", value), didYouMean(value, known)+"use one of "+strings.Join(known, ", "))
	}
	oneOf("algorithm.name", a.Name, grpo.Algorithms()...)
	if a.Normalize != "" {
		oneOf("algorithm.normalize", string(a.Normalize), string(grpo.Std), string(grpo.None), string(grpo.LeaveOneOut), string(grpo.BatchStd))
	}
	if a.Reduce != "" {
		oneOf("algorithm.reduce", string(a.Reduce), string(grpo.TokenMean), string(grpo.RolloutMean), string(grpo.RowMean), string(grpo.Constant))
	}
	oneOf("algorithm.baseline", a.Baseline, baselineDrop, string(grpo.LoneTracker), string(grpo.LoneBatch), string(grpo.LoneOneOut))
	oneOf("algorithm.credit", a.Credit, creditTrajectory, creditAgent, creditStep)
	oneOf("algorithm.off_policy.kind", a.OffPolicy.Kind, "none", "truncate", "icepop", "stale", "topr")
	oneOf("algorithm.kl.estimator", string(a.KL.Estimator), string(grpo.K1), string(grpo.K2), string(grpo.K3))
	require(a.ClipLow >= 0, "algorithm.clip_low", "is negative", "use an absolute ratio such as 0.8")
	require(a.ClipHigh == 0 || a.ClipHigh > a.ClipLow, "algorithm.clip_high", "is not above clip_low", "use an absolute ratio such as 1.2")
	require(0 <= a.Gamma && a.Gamma <= 1, "algorithm.gamma", "is out of range", "use 0 to 1")
	require(0 <= a.Lambda && a.Lambda <= 1, "algorithm.lambda", "is out of range", "use 0 to 1")
	require(!a.KL.Corrected || a.KL.Estimator == grpo.K3, "algorithm.kl.corrected", "needs the estimator k3", "use estimator: k3, or corrected: false")
	o := a.OffPolicy
	for key, v := range map[string]float64{
		"algorithm.kl.beta": a.KL.Beta, "algorithm.stop.max_kl": a.Stop.MaxKL, "algorithm.stop.min_ess": a.Stop.MinESS,
		"algorithm.off_policy.cap": o.Cap, "algorithm.off_policy.token_low": o.TokenLow, "algorithm.off_policy.token_high": o.TokenHigh,
		"algorithm.off_policy.sequence_low": o.SequenceLow, "algorithm.off_policy.sequence_high": o.SequenceHigh,
		"algorithm.off_policy.veto": o.Veto, "algorithm.off_policy.stale": o.Stale,
	} {
		require(v >= 0, key, "is negative", "use 0 or more")
	}
	require(a.Stop.MinESS <= 1, "algorithm.stop.min_ess", "is out of range", "use a share of 0 to 1, such as 0.3")
	grouped := a.Name != string(grpo.PPO) && a.Name != string(grpo.ReinforcePP) && a.Name != string(grpo.SFT)
	require(a.Credit == creditTrajectory || grouped, "algorithm.credit", fmt.Sprintf("%s has no groups to take it from", a.Name), "use trajectory, or an algorithm such as grpo")
}
