"""Adapters on the base model: log-probabilities, gradients, steps. One at a time; nothing here is thread-safe."""

import contextlib
import math
from dataclasses import asdict, dataclass

import torch
from peft import LoraConfig, PeftModel
from torch import nn

from .base import Base
from .datum import Batch, Row, micro_batches
from .losses import policy_loss, value_loss
from .refusal import Refusal

_ROUTERS = {"gate", "router", "shared_expert_gate"}  # of mixtures of experts: what serves adapters does not take them


@dataclass(frozen=True)
class Lora:
    """What an adapter is like."""

    rank: int
    alpha: float
    seed: int
    train_attn: bool
    train_mlp: bool
    value_head: bool  # a critic: one number per position, beside the logits
    temperature: float = 1.0  # that log-probabilities are of: logits are divided by it


class Policy:
    """An adapter, with its value head if it has one, its gradient since the last step, and its optimizer."""

    def __init__(self, base: Base, model_id: str, lora: Lora):
        self.base, self.id, self.lora = base, model_id, lora
        config = LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=0.0,
            bias="none",
            target_modules=_targets(base.model, lora),
            task_type="CAUSAL_LM",
            base_model_name_or_path=base.name,
        )
        with torch.random.fork_rng(devices=[base.device] if base.device.type == "cuda" else []):
            torch.manual_seed(lora.seed)
            if base.peft is None:
                base.peft = PeftModel(base.model, config, adapter_name=model_id)
            else:
                base.peft.add_adapter(model_id, config)
        self.peft: PeftModel = base.peft
        self.head = nn.Linear(base.hidden, 1, dtype=torch.float32, device=base.device) if lora.value_head else None
        if self.head is not None:
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)
        self.parameters = self._named()
        for parameter in self.parameters.values():
            parameter.grad = None
        self.steps = 0
        self.pending = False  # a gradient waits for a step
        self.optimizer = torch.optim.AdamW(self.parameters.values(), lr=0.0)

    def _named(self) -> dict[str, nn.Parameter]:
        """What is trained, by names that hold no adapter's name."""
        mark = f".{self.id}."
        out = {name.replace(mark, "."): p for name, p in self.peft.named_parameters() if mark in name}
        if self.head is not None:
            out |= {f"value_head.{name}": p for name, p in self.head.named_parameters()}
        return dict(sorted(out.items()))

    def forward(self, batch: Batch, budget: int) -> dict:
        """Log-probabilities, and values if there is a head, and the loss where what it needs was sent."""
        self._activate()
        outputs: list[dict] = [{} for _ in batch.rows]
        with torch.no_grad(), self.peft.disable_adapter() if batch.reference else contextlib.nullcontext():
            for lot in micro_batches(batch.rows, budget):
                self._losses(batch, lot, outputs, critic=self.head is not None and not batch.reference)
        return _answer(outputs)

    def forward_backward(self, batch: Batch, budget: int) -> dict:
        """As forward, and adds the gradient of the plain sum of the weighed losses: all of it, or on an error nothing."""
        if batch.loss == "ppo_critic" and self.head is None:
            raise Refusal(400, f"{self.id} has no value head: create the model with value_head true")
        self._activate()
        outputs: list[dict] = [{} for _ in batch.rows]
        parameters = list(self.parameters.values())
        sums = [torch.zeros_like(p) for p in parameters]
        for lot in micro_batches(batch.rows, budget):
            loss = self._losses(batch, lot, outputs, critic=batch.loss == "ppo_critic")
            if not loss.requires_grad:  # no row of the lot weighs anything
                continue
            gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
            for total, gradient in zip(sums, gradients, strict=True):
                if gradient is not None:
                    total += gradient
        if not all(bool(total.isfinite().all()) for total in sums):
            raise Refusal(400, "the gradient is not finite: nothing was added")
        answer = _answer(outputs)
        for parameter, total in zip(parameters, sums, strict=True):
            parameter.grad = total if parameter.grad is None else parameter.grad + total
        self.pending = True
        return answer

    def _losses(self, batch: Batch, lot: list[int], outputs: list[dict], critic: bool) -> torch.Tensor:
        """Fills in the outputs of a lot of rows and sums its weighed losses."""
        rows = [batch.rows[i] for i in lot]
        at = [row.positions() for row in rows]
        counts = [len(p) for p in at]
        device = self.base.device
        ids = nn.utils.rnn.pad_sequence([row.tokens for row in rows], batch_first=True).to(device)
        where = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor(counts)).to(device)
        positions = torch.cat(at).to(device)
        only_values = critic and batch.loss == "ppo_critic" and torch.is_grad_enabled()
        if only_values:
            hidden, logprobs = self.base.states(ids, where, positions), [None] * len(rows)
        else:
            targets = torch.cat([row.targets[p] for row, p in zip(rows, at, strict=True)]).to(device)
            flat, hidden = self.base.logprobs(ids, where, positions, targets, self.lora.temperature)
            logprobs = flat.split(counts)
        values = self.head(hidden.float()).squeeze(-1).split(counts) if critic else [None] * len(rows)
        total = torch.zeros((), device=device)
        for i, row, p, now, value in zip(lot, rows, at, logprobs, values, strict=True):
            loss = _row_loss(batch, row, p, now, value, device)
            if loss is not None:
                total = total + loss.sum()
            outputs[i] = {
                name: _spread(p, numbers, len(row.tokens))
                for name, numbers in (("elementwise_loss", loss), ("logprobs", now), ("values", value))
                if numbers is not None
            }
        return total

    def step(self, lr: float, betas: tuple[float, float], eps: float, weight_decay: float, clip: float) -> dict:
        """One AdamW step with the gradient since the last one."""
        if not self.pending:
            raise Refusal(400, f"{self.id} has no gradient to step on: no forward_backward since the last optim_step")
        gradients = [p.grad for p in self.parameters.values()]
        norm = float(nn.utils.get_total_norm(gradients))
        if not math.isfinite(norm):
            raise Refusal(400, "the norm of the gradient is not finite: no step was made")
        if clip > 0:
            nn.utils.clip_grads_with_norm_(self.parameters.values(), clip, torch.tensor(norm, device=self.base.device))
        self.optimizer.param_groups[0].update(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)
        self.optimizer.step()
        self.forget_gradient()
        self.steps += 1
        return {"metrics": {"skyrl.ai/grad_norm": norm, "skyrl.ai/learning_rate": lr}}

    def forget_gradient(self) -> None:
        """Drops what waits for a step."""
        for parameter in self.parameters.values():
            parameter.grad = None
        self.pending = False

    def describe(self) -> dict:
        """The answer of create_model."""
        config = asdict(self.lora)
        own = {name: config.pop(name) for name in ("value_head", "temperature")}
        return {"model_id": self.id, "base_model": self.base.name, "lora_config": config | {"train_unembed": False}} | own

    def unload(self) -> None:
        """Takes the adapter off the base model."""
        self.peft.delete_adapter(self.id)

    def _activate(self) -> None:
        self.peft.set_adapter(self.id)


def _row_loss(batch: Batch, row: Row, at: torch.Tensor, now, value, device) -> torch.Tensor | None:
    """The weighed losses of a row's positions; None if what the loss needs was not sent."""
    inputs = {name: numbers[at].to(device) for name, numbers in row.inputs.items()}
    weights = 1.0 if row.weights is None else row.weights[at].to(device)
    if batch.loss == "ppo_critic":
        if value is None or not {"values", "returns"} <= inputs.keys():
            return None
        return value_loss(batch.config, value, inputs) * weights
    if batch.loss != "cross_entropy" and not {"logprobs", "advantages"} <= inputs.keys():
        return None
    return policy_loss(batch.loss, batch.config, now, inputs) * weights


def _spread(at: torch.Tensor, numbers: torch.Tensor, length: int) -> list[float]:
    """One number per position of the row: 0 where nothing was asked."""
    out = torch.zeros(length)
    out[at] = numbers.detach().float().cpu()
    return out.tolist()


def _answer(outputs: list[dict]) -> dict:
    total = math.fsum(x for out in outputs for x in out.get("elementwise_loss", []))
    if not math.isfinite(total) or not all(math.isfinite(x) for out in outputs for x in out.get("logprobs", [])):
        raise Refusal(400, "a log-probability or a loss is not finite: nothing was added")
    wire = [
        {name: {"data": numbers, "dtype": "float32", "shape": [len(numbers)]} for name, numbers in out.items()}
        for out in outputs
    ]
    return {"loss_fn_output_type": "scalar", "loss_fn_outputs": wire, "metrics": {"loss:sum": total}}


def _targets(model: nn.Module, lora: Lora) -> list[str]:
    """The leaf names of the linear layers that get an adapter: what adapter_config.json says for those who serve it."""
    head = model.get_output_embeddings()
    names = set()
    for path, module in model.named_modules():
        leaf = path.rsplit(".", 1)[-1]
        if leaf == "base_layer":  # another adapter's
            path = path.removesuffix(".base_layer")
            leaf = path.rsplit(".", 1)[-1]
        if not isinstance(module, nn.Linear) or module is head or leaf in _ROUTERS or ".lora_" in path:
            continue
        if lora.train_attn if "attn" in path or "attention" in path else lora.train_mlp:
            names.add(leaf)
    if not names:
        raise Refusal(400, "the model has no linear layer that an adapter could be put on")
    return sorted(names)
