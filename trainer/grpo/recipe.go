package grpo

import (
	"fmt"
	"slices"
	"strings"
)

// Algorithm names a recipe.
type Algorithm string

// The algorithms; docs/algorithms.md has their formulas and sources.
const (
	GRPO        Algorithm = "grpo"        // arXiv:2402.03300
	DrGRPO      Algorithm = "dr_grpo"     // arXiv:2503.20783
	DAPO        Algorithm = "dapo"        // arXiv:2503.14476
	GSPO        Algorithm = "gspo"        // arXiv:2507.18071
	CISPO       Algorithm = "cispo"       // arXiv:2506.13585
	RLOO        Algorithm = "rloo"        // arXiv:2402.14740
	ReinforcePP Algorithm = "reinforce++" // arXiv:2501.03262
	PPO         Algorithm = "ppo"         // arXiv:1707.06347, advantages by arXiv:1506.02438
	SFT         Algorithm = "sft"         // cross-entropy on the best attempts
)

// Baseline says what returns are compared with.
type Baseline string

// The baselines.
const (
	ByGroup  Baseline = "group"  // the mean of the attempts at the same task
	ByCritic Baseline = "critic" // a value head, see [GAE]
	ByBatch  Baseline = "batch"  // the mean of the batch
	ByBest   Baseline = "best"   // nothing: the best attempts are examples
)

// Recipe is an algorithm in its parts. Each part can be replaced.
type Recipe struct {
	Algorithm Algorithm     `json:"algorithm"`
	Baseline  Baseline      `json:"baseline"`
	Normalize Normalization `json:"normalize"` // of centred returns
	Loss      Loss          `json:"loss"`
	Reduce    Reduction     `json:"reduce"`
	Critic    bool          `json:"critic,omitempty"` // a value head is trained beside the policy
}

var recipes = []Recipe{
	{GRPO, ByGroup, Std, Loss{FnPPO, 0.8, 1.2}, RolloutMean, false},
	{DrGRPO, ByGroup, None, Loss{FnPPO, 0.8, 1.2}, Constant, false},
	{DAPO, ByGroup, Std, Loss{FnPPO, 0.8, 1.28}, TokenMean, false},
	{GSPO, ByGroup, Std, Loss{FnGSPO, 1 - 3e-4, 1 + 4e-4}, RolloutMean, false},
	{CISPO, ByGroup, Std, Loss{FnCISPO, 0, 5}, TokenMean, false},
	{RLOO, ByGroup, LeaveOneOut, Loss{Fn: FnImportance}, Constant, false},
	{ReinforcePP, ByBatch, Std, Loss{FnPPO, 0.8, 1.2}, TokenMean, false},
	{PPO, ByCritic, None, Loss{FnPPO, 0.8, 1.2}, TokenMean, true},
	{SFT, ByBest, None, Loss{Fn: FnCrossEntropy}, TokenMean, false},
}

// RecipeOf is the recipe that the papers give an algorithm, or an error that
// lists those known.
func RecipeOf(a Algorithm) (Recipe, error) {
	at := slices.IndexFunc(recipes, func(r Recipe) bool { return r.Algorithm == a })
	if at < 0 {
		return Recipe{}, fmt.Errorf("algorithm %q is not known; use one of %s", a, strings.Join(Algorithms(), ", "))
	}
	return recipes[at], nil
}

// Algorithms are the names that [RecipeOf] knows.
func Algorithms() []string {
	out := make([]string, len(recipes))
	for i, r := range recipes {
		out[i] = string(r.Algorithm)
	}
	return out
}
