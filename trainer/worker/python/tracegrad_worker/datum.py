"""Requests' rows, checked before anything is computed with them."""

from dataclasses import dataclass, field

import torch

from .losses import INPUTS, check_config
from .refusal import Refusal

MAX_ROWS = 65536


@dataclass
class Row:
    """One sequence. All lists have the length of tokens; position t sees tokens[: t + 1] and predicts targets[t]."""

    tokens: torch.Tensor  # int64
    targets: torch.Tensor  # int64
    weights: torch.Tensor | None  # float32; None = not sent: every position is asked about, none is trained on
    inputs: dict[str, torch.Tensor] = field(default_factory=dict)  # float32: what the loss needs

    def positions(self) -> torch.Tensor:
        """The positions that are asked about: those that weigh something."""
        if self.weights is None:
            return torch.arange(len(self.tokens))
        return self.weights.nonzero().flatten()


@dataclass
class Batch:
    """What forward and forward_backward are asked."""

    rows: list[Row]
    loss: str
    config: dict[str, float]
    reference: bool  # the base model, with the adapter switched off


def parse(body: object, vocabulary: int, context: int, backward: bool) -> Batch:
    """The rows of forward_input or forward_backward_input; a Refusal names the first misfit."""
    if not isinstance(body, dict):
        raise Refusal(422, "the request has no forward_input or forward_backward_input")
    data = body.get("data")
    if not isinstance(data, list) or not 0 < len(data) <= MAX_ROWS:
        raise Refusal(422, f"data must be a list of 1 to {MAX_ROWS} rows")
    loss = body.get("loss_fn", "cross_entropy")
    config = check_config(loss, body.get("loss_fn_config"))
    reference = body.get("reference", False) is True
    if backward and reference:
        raise Refusal(422, "reference: the base model is not trained; ask with forward")
    rows = [_row(f"data[{i}]", datum, loss, vocabulary, context, backward) for i, datum in enumerate(data)]
    return Batch(rows, loss, config, reference)


def _row(at: str, datum: object, loss: str, vocabulary: int, context: int, backward: bool) -> Row:
    if not isinstance(datum, dict) or not isinstance(datum.get("loss_fn_inputs"), dict):
        raise Refusal(422, f"{at}: a row is an object with model_input and loss_fn_inputs")
    tokens = _ids(f"{at}.model_input", _chunks(at, datum.get("model_input")), vocabulary)
    n = len(tokens)
    if not 0 < n <= context:
        raise Refusal(422, f"{at}: {n} tokens; the model takes 1 to {context}")
    given = datum["loss_fn_inputs"]
    known = {"target_tokens", "weights", *(name for names in INPUTS.values() for name in names)}
    if unknown := sorted(set(given) - known):
        raise Refusal(422, f"{at}.loss_fn_inputs: {unknown} is not known; known are {sorted(known)}")
    lists = {name: _data(f"{at}.{name}", value) for name, value in given.items()}
    for name in ("target_tokens", *(["weights", *INPUTS[loss]] if backward else [])):
        if name not in lists:
            raise Refusal(422, f"{at}: {loss} needs {name}")
    for name, values in lists.items():
        if len(values) != n:
            raise Refusal(422, f"{at}: {n} tokens, but {len(values)} {name}")
    targets = _ids(f"{at}.target_tokens", lists.pop("target_tokens"), vocabulary)
    floats = {name: _floats(f"{at}.{name}", values) for name, values in lists.items()}
    return Row(tokens, targets, floats.pop("weights", None), floats)


def _chunks(at: str, model_input: object) -> list:
    chunks = model_input.get("chunks") if isinstance(model_input, dict) else None
    if not isinstance(chunks, list):
        raise Refusal(422, f"{at}.model_input: needs chunks, a list")
    tokens = []
    for chunk in chunks:
        if not isinstance(chunk, dict) or not isinstance(chunk.get("tokens"), list):
            raise Refusal(422, f"{at}.model_input: only chunks of tokens are known (encoded_text)")
        tokens += chunk["tokens"]
    return tokens


def _data(at: str, value: object) -> list:
    data = value.get("data") if isinstance(value, dict) else value
    if not isinstance(data, list):
        raise Refusal(422, f"{at}: needs data, a list of numbers")
    return data


def _ids(at: str, values: list, vocabulary: int) -> torch.Tensor:
    for t, value in enumerate(values):
        if type(value) is not int or not 0 <= value < vocabulary:
            raise Refusal(422, f"{at}: token {t} is {value!r}, outside the model's vocabulary of {vocabulary}")
    return torch.tensor(values, dtype=torch.int64)


def _floats(at: str, values: list) -> torch.Tensor:
    if any(type(value) not in (int, float) for value in values):
        raise Refusal(422, f"{at}: a value is not a number")
    try:
        out = torch.tensor(values, dtype=torch.float32)
    except (OverflowError, ValueError, RuntimeError) as e:
        raise Refusal(422, f"{at}: {e}") from e
    if not bool(out.isfinite().all()):
        t = int((~out.isfinite()).nonzero()[0])
        raise Refusal(422, f"{at}: value {t} is {values[t]!r}, not a finite number")
    return out


def micro_batches(rows: list[Row], budget: int) -> list[list[int]]:
    """Indices of rows, the longest first, in lots of at most budget padded tokens; a longer row has its own."""
    order = sorted(range(len(rows)), key=lambda i: (-len(rows[i].tokens), i))
    lots: list[list[int]] = []
    for i in order:
        if lots and (len(lots[-1]) + 1) * len(rows[lots[-1][0]].tokens) <= budget:
            lots[-1].append(i)
        else:
            lots.append([i])
    return lots
