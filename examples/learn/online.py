"""TRL's online GRPO on the agent's tickets: the other side of make learn.

    python online.py MODEL PROMPTS STEPS SEED OUT

Every step samples 32 rollouts, four for each of eight tickets: as many as a step of the nights has, with the same
temperature, learning rate and adapter. PROMPTS is a JSON list of {"input", "prompt"}; OUT gets the adapter.
"""

import json
import re
import sys

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed
from trl import GRPOConfig, GRPOTrainer

model, prompts, steps, seed, out = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]


def right(completions: list, number: list[str], **_) -> list[float]:
    """rewards.yaml, for TRL."""
    return [float(c[0]["content"].strip() == f"ORD-{n}") for c, n in zip(completions, number, strict=True)]


with open(prompts, encoding="utf-8") as file:
    rows = [{"prompt": p["prompt"], "number": re.search(r"order (\d+)", p["input"], re.IGNORECASE)[1]} for p in json.load(file)]
set_seed(seed)
trainer = GRPOTrainer(
    model=AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32),
    processing_class=AutoTokenizer.from_pretrained(model),
    reward_funcs=right,
    train_dataset=Dataset.from_list(rows),
    peft_config=LoraConfig(r=8, lora_alpha=16, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"),
    args=GRPOConfig(
        output_dir=f"{out}.trainer",
        max_steps=steps,
        learning_rate=5e-4,
        lr_scheduler_type="constant",
        weight_decay=0.0,
        adam_beta2=0.95,
        max_grad_norm=1.0,
        per_device_train_batch_size=8,
        gradient_accumulation_steps=4,
        num_generations=4,
        max_completion_length=12,
        temperature=0.7,
        beta=0.0,
        loss_type="grpo",
        seed=seed,
        save_strategy="no",
        report_to="none",
        logging_steps=1,
        use_cpu=True,
        disable_tqdm=True,
    ),
)
trainer.train()
trainer.save_model(out)
