"""Writes skyrl.jsonl: SkyRL's own GAE and loss of the critic, with the loss's derivative by each value.

SkyRL's module needs Ray to be imported, so only the functions themselves are taken from its file.

usage: python golden_skyrl.py .../site-packages/skyrl > skyrl.jsonl      (torch, skyrl 0.4.0)
"""

import ast
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import torch

utils = Path(sys.argv[1]) / "backends" / "skyrl_train" / "utils"
wanted = {"masked_mean", "masked_var", "masked_whiten", "compute_gae_advantage_return", "ppo_critic_loss"}
theirs = {"torch": torch}
for name in ("torch_utils.py", "ppo_utils.py"):
    for node in ast.parse((utils / name).read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.name in wanted:
            node.decorator_list, node.returns = [], None
            for argument in node.args.args:
                argument.annotation = None
            exec(compile(ast.Module([node], []), name, "exec"), theirs)

g = torch.Generator().manual_seed(11)
rewards = torch.zeros(3, 7, dtype=torch.float64)
rewards[:, -1] = torch.tensor([1.0, 0.0, -0.5])
rewards[1, 3] = 0.25  # a step's own
values = torch.randn(3, 7, generator=g, dtype=torch.float64)
old = values + 0.3 * torch.randn(3, 7, generator=g, dtype=torch.float64)
mask = torch.ones(3, 7, dtype=torch.float64)
for gamma, lambd in ((1.0, 1.0), (1.0, 0.95), (0.99, 0.9), (0.9, 0.0)):
    advantages, returns = theirs["compute_gae_advantage_return"](rewards, values, mask, gamma, lambd)
    line = {"rewards": rewards, "values": values, "want_whitened": advantages, "want_returns": returns}
    print(json.dumps({"gamma": gamma, "lambda": lambd} | {k: v.tolist() for k, v in line.items()}))
returns = torch.randn(3, 7, generator=g, dtype=torch.float64)
for clip in (None, 0.1, 0.2):
    at = values.clone().requires_grad_()
    loss, _ = theirs["ppo_critic_loss"](at, old, returns, SimpleNamespace(value_clip=clip), mask)
    loss.backward()
    line = {"values": values, "old": old, "returns": returns, "want_gradient": at.grad}
    print(json.dumps({"clip": clip or 0, "want_loss": loss.item()} | {k: v.tolist() for k, v in line.items()}))
