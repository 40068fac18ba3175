"""The losses, per token. Sums are plain: whoever asks has put 1/Z into the advantages or the weights.

now, old: log-probabilities in nats; A: advantages; r = exp(now - old); clip(r): r held in the range.

    cross_entropy        -now
    importance_sampling  -r A
    ppo                  -min(r A, clip(r) A)
    gspo                 ppo with s = exp(mean of now - old over the row's weighed tokens) in the place of r
    cispo                -clip(r) A now, where clip(r) counts as a constant
    ppo_critic           1/2 max((v - returns)^2, (v held within old values +- value_clip - returns)^2)

Each is multiplied with the token's weight. These are the formulas of trainer/grpo (loss.go, gae.go): both are tested
against the same numbers. Differences of log-probabilities are held within +-20, as there.
"""

import math

import torch

from .refusal import Refusal

INPUTS: dict[str, tuple[str, ...]] = {
    "cross_entropy": (),
    "importance_sampling": ("logprobs", "advantages"),
    "ppo": ("logprobs", "advantages"),
    "gspo": ("logprobs", "advantages"),
    "cispo": ("logprobs", "advantages"),
    "ppo_critic": ("values", "returns"),
}

_RANGES = {"ppo": (0.8, 1.2), "gspo": (1 - 3e-4, 1 + 4e-4), "cispo": (0.0, 5.0)}

_SPAN = 20.0


def check_config(loss: object, config: object) -> dict[str, float]:
    """loss_fn_config with its defaults filled in."""
    if not isinstance(loss, str) or loss not in INPUTS:
        raise Refusal(422, f"loss_fn {loss!r} is not known; use one of {', '.join(INPUTS)}")
    out: dict[str, float] = {}
    if loss in _RANGES:
        out = dict(zip(("clip_low_threshold", "clip_high_threshold"), _RANGES[loss], strict=True))
    if loss == "ppo_critic":
        out = {"value_clip": 0.2}
    given = {} if config is None else config
    if not isinstance(given, dict):
        raise Refusal(422, "loss_fn_config must be an object of numbers")
    for key, value in given.items():
        if key not in out:
            raise Refusal(422, f"loss_fn_config: {key!r} is not known for {loss}; known are {sorted(out)}")
        if type(value) not in (int, float) or not math.isfinite(value) or value < 0:
            raise Refusal(422, f"loss_fn_config: {key} is {value!r}; it must be a number of at least 0")
        out[key] = float(value)
    if out.get("clip_low_threshold", 0) > out.get("clip_high_threshold", math.inf):
        raise Refusal(422, "loss_fn_config: clip_low_threshold is above clip_high_threshold")
    return out


def policy_loss(loss: str, config: dict[str, float], now: torch.Tensor, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """The loss of each weighed token of one row, without its weight."""
    if loss == "cross_entropy":
        return -now
    advantages = inputs["advantages"]
    difference = now - inputs["logprobs"]
    if loss == "gspo":
        difference = difference.mean()
    ratio = difference.clamp(-_SPAN, _SPAN).exp()
    if loss == "importance_sampling":
        return -ratio * advantages
    held = ratio.clamp(config["clip_low_threshold"], config["clip_high_threshold"])
    if loss == "cispo":
        return -held.detach() * advantages * now
    return -torch.minimum(ratio * advantages, held * advantages)


def value_loss(config: dict[str, float], values: torch.Tensor, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """The critic's loss of each weighed token of one row, without its weight; value_clip 0 clips nothing."""
    old, returns, clip = inputs["values"], inputs["returns"], config["value_clip"]
    free = (values - returns).square()
    if clip > 0:
        held = old + (values - old).clamp(-clip, clip)
        free = torch.maximum(free, (held - returns).square())
    return free / 2
