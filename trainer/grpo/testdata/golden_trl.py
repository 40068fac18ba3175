"""Writes trl.jsonl: TRL's own losses and their derivatives by each token's log-probability.

TRL's trainers compute the loss; only the method that asks the model for log-probabilities is
replaced, by one that answers given numbers, so that the derivative by them can be read off.

usage: python golden_trl.py TINY_MODEL_DIR > trl.jsonl      (torch 2.15, trl 1.16; any small causal model)
"""

import json
import sys
import warnings

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
model_dir = sys.argv[1]
B, P, C, LONGEST = 4, 6, 9, 12
g = torch.Generator().manual_seed(3)
completion_mask = torch.ones(B, C, dtype=torch.long)
completion_mask[0, 7:] = 0
completion_mask[2, 5:] = 0
tool_mask = torch.ones(B, C, dtype=torch.long)
tool_mask[3, 2:4] = 0
mask = (completion_mask * tool_mask).double()
now = -torch.rand(B, C, generator=g, dtype=torch.float64) * 4 - 0.05
old = now + 0.35 * torch.randn(B, C, generator=g, dtype=torch.float64)
behaviour = old + 0.5 * torch.randn(B, C, generator=g, dtype=torch.float64)
reference = now + 0.2 * torch.randn(B, C, generator=g, dtype=torch.float64)
advantages = torch.tensor([1.2, -0.7, 0.4, -0.9], dtype=torch.float64)


def trainer(config, cls, **settings):
    args = config(
        output_dir="/tmp/trl-golden", per_device_train_batch_size=4, num_generations=4, max_completion_length=LONGEST,
        max_steps=1, report_to=[], use_cpu=True, bf16=False, save_strategy="no", gradient_checkpointing=False, **settings,
    )  # fmt: skip
    made = cls(
        model=AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32), args=args,
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        processing_class=AutoTokenizer.from_pretrained(model_dir),
        train_dataset=Dataset.from_dict({"prompt": ["a", "b", "c", "d"]}),
    )  # fmt: skip
    made.current_gradient_accumulation_steps = 1
    return made


# The losses of RLOO are per sequence: only their derivatives are comparable.
def case(name, rule, by=GRPOTrainer, config=GRPOConfig, first=False, cap=None, **settings):
    t = trainer(config, by, **settings)
    leaf = now.clone().requires_grad_()
    before = now if first else old
    t._get_per_token_logps_and_entropies = lambda *a, **k: (leaf, torch.zeros_like(leaf), None)
    inputs = dict(
        prompt_ids=torch.ones(B, P, dtype=torch.long), prompt_mask=torch.ones(B, P, dtype=torch.long),
        completion_ids=torch.ones(B, C, dtype=torch.long), completion_mask=completion_mask, tool_mask=tool_mask,
        advantages=advantages, old_per_token_logps=before, ref_per_token_logps=reference, num_items_in_batch=mask.sum(),
    )  # fmt: skip
    if by is RLOOTrainer:
        inputs["old_logps"] = (before * completion_mask).sum(1)
    used = None
    if cap is not None:
        t.use_vllm, t.vllm_importance_sampling_correction = True, True
        inputs["importance_sampling_ratio"] = torch.exp(before - behaviour).clamp(max=cap)
        used = behaviour
    elif "off_policy_mask_threshold" in settings:
        used = before
    t.model.train()
    loss = t._compute_loss(t.model, inputs)
    loss.backward()
    counted = completion_mask.double() if by is RLOOTrainer else mask

    def flat(values):
        return [[v.item() for v, m in zip(row, keep) if m] for row, keep in zip(values, counted)]

    print(json.dumps({
        "case": name, **rule, "now": flat(now), "old": flat(before), "behaviour": used is not None and flat(used) or None,
        "reference": flat(reference), "advantages": advantages.tolist(), "want_loss": None if by is RLOOTrainer else loss.item(), "want_gradient": flat(leaf.grad),
    }))  # fmt: skip
    assert leaf.grad[counted == 0].abs().sum() == 0


def ppo(low=0.8, high=1.2, fn="ppo"):
    return {"loss_fn": fn, "clip_low_threshold": low, "clip_high_threshold": high}


case("grpo", {"loss": ppo(), "reduce": "rollout_mean"}, loss_type="grpo", epsilon=0.2)
case("dr_grpo", {"loss": ppo(), "reduce": "constant", "length": LONGEST}, loss_type="dr_grpo", epsilon=0.2)
case("dapo", {"loss": ppo(high=1.28), "reduce": "token_mean"}, loss_type="dapo", epsilon=0.2, epsilon_high=0.28)
case("gspo", {"loss": ppo(1 - 3e-4, 1 + 4e-4, "gspo"), "reduce": "rollout_mean"}, loss_type="grpo", importance_sampling_level="sequence", epsilon=3e-4, epsilon_high=4e-4)
case("gspo, wide", {"loss": ppo(fn="gspo"), "reduce": "rollout_mean"}, loss_type="grpo", importance_sampling_level="sequence", epsilon=0.2)
case("cispo", {"loss": ppo(0, 5, "cispo"), "reduce": "token_mean"}, loss_type="cispo", epsilon_high=5.0)
case("cispo, held", {"loss": ppo(0, 1.1, "cispo"), "reduce": "token_mean"}, loss_type="cispo", epsilon_high=1.1)
case("grpo, k3", {"loss": ppo(), "reduce": "rollout_mean", "kl": {"beta": 0.04}}, loss_type="grpo", beta=0.04, use_bias_correction_kl=False)
case("grpo, k3 corrected", {"loss": ppo(), "reduce": "rollout_mean", "kl": {"beta": 0.04, "corrected": True}}, loss_type="grpo", beta=0.04, use_bias_correction_kl=True)
case("grpo, stale mask", {"loss": ppo(), "reduce": "rollout_mean", "off_policy": {"stale": 0.05}}, loss_type="grpo", off_policy_mask_threshold=0.05)
case("dapo, truncated weights", {"loss": ppo(high=1.28), "reduce": "token_mean", "off_policy": {"cap": 1.5}}, loss_type="dapo", epsilon=0.2, epsilon_high=0.28, cap=1.5)
case("rloo, first step", {"loss": {"loss_fn": "importance_sampling"}, "reduce": "constant", "length": 1}, by=RLOOTrainer, config=RLOOConfig, first=True, beta=0.0)
