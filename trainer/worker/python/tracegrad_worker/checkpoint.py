"""Adapters on disk: whole or not at all, without pickles."""

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from .policy import Policy
from .refusal import Refusal

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_KINDS = ("weights", "sampler_weights")


class Checkpoints:
    """Folders <root>/<model id>/<weights or sampler_weights>/<name>, each written once."""

    def __init__(self, root: Path):
        self.root = root

    def folder(self, model_id: str, kind: str, name: str) -> Path:
        """Where a checkpoint is or would be."""
        if kind not in _KINDS or not _NAME.fullmatch(model_id) or not isinstance(name, str) or not _NAME.fullmatch(name):
            raise Refusal(422, f"{name!r} is no name for a checkpoint: use letters, digits, dot, dash and underscore")
        return self.root / model_id / kind / name

    def find(self, path: object) -> Path:
        """The folder of tinker://<model id>/<kind>/<name>, or of file:///<a folder in PEFT's layout>."""
        text = path if isinstance(path, str) else ""
        if text.startswith("file:///"):
            folder = Path(text.removeprefix("file://"))
        else:
            parts = text.removeprefix("tinker://").split("/")
            if not text.startswith("tinker://") or len(parts) != 3:
                raise Refusal(422, f"path {path!r} is neither tinker://<model>/<weights or sampler_weights>/<name> nor file:///<folder>")
            folder = self.folder(parts[0], parts[1], parts[2])
        if not (folder / "adapter_model.safetensors").is_file():
            raise Refusal(404, f"checkpoint {path} is not there")
        return folder

    def list(self, model_id: str) -> list[dict]:
        """The checkpoints of a model, oldest first."""
        out = []
        for kind, label in (("weights", "training"), ("sampler_weights", "sampler")):
            folder = self.folder(model_id, kind, "x").parent
            for entry in folder.iterdir() if folder.is_dir() else []:
                if _NAME.fullmatch(entry.name):
                    out.append((entry.stat().st_mtime, entry.name, label, f"tinker://{model_id}/{kind}/{entry.name}"))
        return [
            {"checkpoint_id": name, "checkpoint_type": label, "time": _time(mtime), "tinker_path": path}
            for mtime, name, label, path in sorted(out)
        ]


def write(folder: Path, files: dict[str, bytes]) -> None:
    """Makes the folder with the files at once. One that is there already must hold the very same."""
    if folder.exists():
        if {f.name: _digest(f.read_bytes()) for f in folder.iterdir()} == {n: _digest(b) for n, b in files.items()}:
            return
        raise Refusal(409, f"checkpoint {folder.name} exists and is another one; checkpoints are never rewritten: use a new name")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.parent / f".partial-{folder.name}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for name, content in files.items():
        with open(partial / name, "wb") as f:
            f.write(content)
            f.flush()
            os.fsync(f.fileno())
    partial.rename(folder)
    parent = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


def adapter_files(policy: Policy) -> dict[str, bytes]:
    """The adapter as vLLM and peft load it. The value head is no part of it."""
    tensors = {n: _host(p) for n, p in policy.parameters.items() if not n.startswith("value_head.")}
    config = policy.peft.peft_config[policy.id].to_dict() | {"inference_mode": True}
    for key, value in config.items():
        if isinstance(value, set):
            config[key] = sorted(value)
    text = json.dumps(config, indent=2, sort_keys=True, default=str) + "\n"
    return {"adapter_config.json": text.encode(), "adapter_model.safetensors": save(tensors, {"format": "pt"})}


def training_files(policy: Policy) -> dict[str, bytes]:
    """The adapter, and what goes on exactly where it stopped: value head, optimizer, counts. Not a pending gradient."""
    files = adapter_files(policy)
    tensors = {n: _host(p) for n, p in policy.parameters.items() if n.startswith("value_head.")}
    for name, parameter in policy.parameters.items():
        for key, value in policy.optimizer.state.get(parameter, {}).items():
            tensors[f"{key}/{name}"] = _host(value)
    state = {"version": 1, "base_model": policy.base.name, "fingerprint": policy.base.fingerprint, "steps": policy.steps}
    state["lora"] = policy.describe()["lora_config"] | {"value_head": policy.lora.value_head}
    files["state.json"] = (json.dumps(state, indent=2, sort_keys=True) + "\n").encode()
    files["optimizer.safetensors"] = save(tensors)
    return files


def load(policy: Policy, folder: Path, optimizer: bool) -> None:
    """Puts a checkpoint into a policy: all of it, or on an error nothing."""
    config = _json(folder / "adapter_config.json")
    for key, mine in (("r", policy.lora.rank), ("lora_alpha", policy.lora.alpha)):
        if config.get(key) != mine:
            raise Refusal(400, f"load {folder.name}: its {key} is {config.get(key)}, the model's {mine}: create the model alike")
    weights = _tensors(folder / "adapter_model.safetensors")
    state, rest = {}, {}
    if (folder / "state.json").is_file():
        state, rest = _json(folder / "state.json"), _tensors(folder / "optimizer.safetensors")
        if state.get("fingerprint") != policy.base.fingerprint:
            raise Refusal(400, f"load {folder.name}: it was trained on {state.get('base_model')}, which is not the base model here")
    elif optimizer:
        raise Refusal(400, f"load {folder.name}: it holds no optimizer: load it with optimizer false")
    weights |= {n: t for n, t in rest.items() if n.startswith("value_head.")}
    moments = {n: t for n, t in rest.items() if "/" in n}
    wanted = {n: tuple(p.shape) for n, p in policy.parameters.items() if n in weights or not n.startswith("value_head.")}
    if wanted != {n: tuple(t.shape) for n, t in weights.items()}:
        raise Refusal(400, f"load {folder.name}: its tensors are not those of this model")
    if not all(_fits(policy, n, t) for n, t in moments.items()):
        raise Refusal(400, f"load {folder.name}: its optimizer is not that of this model")
    if not all(bool(t.isfinite().all()) for t in (weights | moments).values()):
        raise Refusal(400, f"load {folder.name}: a value is not finite")
    with torch.no_grad():
        for name, tensor in weights.items():
            policy.parameters[name].copy_(tensor)
    policy.forget_gradient()
    policy.optimizer.state.clear()
    policy.steps = int(state.get("steps", 0)) if optimizer else 0
    if optimizer:
        for key, tensor in moments.items():
            kind, name = key.split("/", 1)
            parameter = policy.parameters[name]
            device = "cpu" if kind == "step" else parameter.device
            policy.optimizer.state[parameter][kind] = tensor.to(device)


def _fits(policy: Policy, name: str, tensor: torch.Tensor) -> bool:
    """Whether a part of an optimizer's state is that of a parameter."""
    kind, _, parameter = name.partition("/")
    if kind not in ("step", "exp_avg", "exp_avg_sq") or parameter not in policy.parameters:
        return False
    return tensor.shape == (torch.Size() if kind == "step" else policy.parameters[parameter].shape)


def archive(folder: Path) -> bytes:
    """The folder's files as a tar.gz, the same bytes each time."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1, mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for file in sorted(folder.iterdir()):
            info = tarfile.TarInfo(file.name)
            info.size = file.stat().st_size
            with open(file, "rb") as f:
                tar.addfile(info, f)
    return out.getvalue()


def _host(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().cpu().contiguous()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _json(path: Path) -> dict:
    try:
        out = json.loads(path.read_bytes())
    except (OSError, ValueError) as e:
        raise Refusal(400, f"read {path.name}: {e}") from e
    if not isinstance(out, dict):
        raise Refusal(400, f"read {path.name}: not an object")
    return out


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as e:
        raise Refusal(400, f"read {path.name}: {e}") from e


def _time(mtime: float) -> str:
    return datetime.fromtimestamp(mtime, UTC).isoformat()
