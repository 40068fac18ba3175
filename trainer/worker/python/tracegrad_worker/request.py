"""The small parts of requests, with the protocol's defaults."""

import math

from .policy import Lora
from .refusal import Refusal

_ADAM = {"learning_rate": 1e-4, "beta1": 0.9, "beta2": 0.95, "eps": 1e-12, "weight_decay": 0.0, "grad_clip_norm": 0.0}


def lora_of(body: dict) -> Lora:
    """lora_config, with value_head and temperature beside it (extensions)."""
    config = body.get("lora_config")
    if not isinstance(config, dict):
        raise Refusal(422, "lora_config is missing: this worker trains adapters only")
    rank, alpha, seed = config.get("rank", 32), config.get("alpha", 32.0), config.get("seed")
    if type(rank) is not int or not 0 < rank <= 512:
        raise Refusal(422, f"lora_config.rank is {rank!r}; it must be 1 to 512")
    if type(alpha) not in (int, float) or not math.isfinite(alpha) or alpha <= 0:
        raise Refusal(422, f"lora_config.alpha is {alpha!r}; it must be a number above 0")
    if seed is not None and (type(seed) is not int or not 0 <= seed < 1 << 63):
        raise Refusal(422, f"lora_config.seed is {seed!r}; it must be a number of at least 0")
    if flag(config, "train_unembed", False):
        raise Refusal(422, "lora_config.train_unembed: an adapter on the output layer is not made here")
    attn, mlp = flag(config, "train_attn", True), flag(config, "train_mlp", True)
    if not attn and not mlp:
        raise Refusal(422, "lora_config: train_attn and train_mlp are both false: nothing would be trained")
    temperature = body.get("temperature", 1.0)
    if type(temperature) not in (int, float) or not 0.01 <= temperature <= 100:
        raise Refusal(422, f"temperature is {temperature!r}; it must be a number of 0.01 to 100")
    return Lora(rank, float(alpha), seed or 0, attn, mlp, flag(body, "value_head", False), float(temperature))


def adam_params(given: object) -> dict:
    """adam_params as the arguments of a step."""
    if not isinstance(given, dict) or "learning_rate" not in given:
        raise Refusal(422, "adam_params needs learning_rate")
    if unknown := sorted(set(given) - set(_ADAM)):
        raise Refusal(422, f"adam_params: {unknown} is not known; known are {sorted(_ADAM)}")
    values = _ADAM | given
    for name, value in values.items():
        if type(value) not in (int, float) or not math.isfinite(value) or value < 0:
            raise Refusal(422, f"adam_params.{name} is {value!r}; it must be a number of at least 0")
    if values["beta1"] >= 1 or values["beta2"] >= 1:
        raise Refusal(422, "adam_params: beta1 and beta2 must be below 1")
    return {
        "lr": values["learning_rate"],
        "betas": (values["beta1"], values["beta2"]),
        "eps": values["eps"],
        "weight_decay": values["weight_decay"],
        "clip": values["grad_clip_norm"],
    }


def flag(body: dict, name: str, default: bool) -> bool:
    """A boolean field."""
    value = body.get(name)
    if value is None:
        return default
    if type(value) is not bool:
        raise Refusal(422, f"{name} is {value!r}; it must be true or false")
    return value
