"""The Tinker training protocol, JSON generation, on one base model; what is ours beside it is marked "extension"."""

import hashlib
import json
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from . import checkpoint
from .base import Base
from .chat import Renderer
from .datum import parse
from .futures import Futures
from .losses import INPUTS
from .policy import Lora, Policy
from .refusal import Refusal
from .request import adam_params, flag, lora_of

_POLL = 20.0  # seconds that retrieve_future waits
_SESSIONS = 1024


class Protocol:
    """What the server knows. Handlers check requests and answer at once; the work is done in order in one thread."""

    def __init__(self, base: Base, checkpoints: Path, budget: int, max_models: int):
        self.base, self.budget, self.max_models = base, budget, max_models
        self.checkpoints = checkpoint.Checkpoints(checkpoints)
        self.futures = Futures()
        self.renderer = Renderer(base.tokenizer, base.end_ids())
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, None] = OrderedDict()
        self._models: dict[str, Lora] = {}  # as soon as it was asked for
        self._policies: dict[str, Policy] = {}  # once it is made; the working thread's own
        self._created: OrderedDict[tuple, dict] = OrderedDict()

    def capabilities(self, _: dict) -> dict:
        ours = {
            "fingerprint": self.base.fingerprint,
            "tokenizer_hash": self.base.tokenizer_hash,
            "vocabulary": self.base.vocabulary,
            "device": str(self.base.device),
            "loss_fns": list(INPUTS),
            "normalisation": "sum",
        }
        model = {"model_name": self.base.name, "max_context_length": self.base.context}
        return {"supported_models": [model], "tracegrad": ours}  # extension

    def client_config(self, _: dict) -> dict:
        return {"pjwt_auth_enabled": False}

    def create_session(self, _: dict) -> dict:
        session_id = f"session_{secrets.token_hex(4)}"
        with self._lock:
            self._sessions[session_id] = None
            while len(self._sessions) > _SESSIONS:
                self._sessions.popitem(last=False)
        notes = {"info_message": None, "warning_message": None, "error_message": None}
        return {"type": "create_session", **notes, "session_id": session_id}

    def heartbeat(self, body: dict) -> dict:
        self._session(body)
        return {"type": "session_heartbeat"}

    def create_model(self, body: dict) -> dict:
        session_id = self._session(body)
        if body.get("base_model") != self.base.name:
            raise Refusal(400, f"base_model {body.get('base_model')!r} is not served here; this worker has {self.base.name!r}")
        lora, number = lora_of(body), body.get("model_seq_id")
        if number is not None and type(number) is not int:
            raise Refusal(422, f"model_seq_id is {number!r}, not a number")
        key = (session_id, number, _digest(body))
        with self._lock:
            if key in self._created:
                return self._created[key]
            if len(self._models) >= self.max_models:
                raise Refusal(400, f"{self.max_models} models are open: unload one first, or start the worker with more --models")
            model_id = f"model_{secrets.token_hex(4)}"
            request_id = self.futures.submit(lambda: self._make(model_id, lora))
            self._models[model_id] = lora
            described = {"model_id": model_id, "base_model": self.base.name, "lora_config": body.get("lora_config") or {}}
            answer = described | {"status": "created", "request_id": request_id}
            if number is not None:
                self._created[key] = answer
                while len(self._created) > _SESSIONS:
                    self._created.popitem(last=False)
        return answer

    def _make(self, model_id: str, lora: Lora) -> dict:
        try:
            self._policies[model_id] = Policy(self.base, model_id, lora)
        except BaseException:
            with self._lock:
                self._models.pop(model_id, None)
            raise
        return self._policies[model_id].describe()

    def _policy(self, model_id: str) -> Policy:
        if model_id not in self._policies:  # it could not be made
            raise Refusal(404, "Model not found")
        return self._policies[model_id]

    def get_info(self, body: dict) -> dict:
        model_id = self._model(body)
        lora = self._models[model_id]
        data = {"base_model": self.base.name, "lora_config": {"rank": lora.rank, "seed": lora.seed}, "model_name": self.base.name}
        return {"model_id": model_id, "status": "created", "model_data": data}

    def unload_model(self, body: dict) -> dict:
        model_id = self._model(body)

        def work() -> dict:
            self._policy(model_id).unload()
            del self._policies[model_id]
            return {"model_id": model_id, "status": "unloaded", "type": "unload_model"}

        request_id = self._submit(body, work)
        with self._lock:
            self._models.pop(model_id, None)
        return {"request_id": request_id, "model_id": model_id}

    def forward(self, body: dict) -> dict:
        return self._pass(body, "forward_input", Policy.forward, backward=False)

    def forward_backward(self, body: dict) -> dict:
        return self._pass(body, "forward_backward_input", Policy.forward_backward, backward=True)

    def _pass(self, body: dict, name: str, act: Callable, backward: bool) -> dict:
        model_id = self._model(body)
        batch = parse(body.get(name), self.base.vocabulary, self.base.context, backward)
        if backward and batch.loss == "ppo_critic" and not self._models[model_id].value_head:
            raise Refusal(400, f"{model_id} has no value head: create the model with value_head true")
        return self._future(body, lambda: act(self._policy(model_id), batch, self.budget))

    def optim_step(self, body: dict) -> dict:
        model_id = self._model(body)
        adam = adam_params(body.get("adam_params"))
        return self._future(body, lambda: self._policy(model_id).step(**adam))

    def save_weights(self, body: dict) -> dict:
        return self._save(body, "weights", checkpoint.training_files, "tinker://{}/weights/{}")

    def save_weights_for_sampler(self, body: dict) -> dict:
        return self._save(body, "sampler_weights", checkpoint.adapter_files, "tinker://{}/sampler_weights/{}")

    def _save(self, body: dict, kind: str, files: Callable, path: str) -> dict:
        model_id, name = self._model(body), body.get("path")
        folder = self.checkpoints.folder(model_id, kind, name)
        answer = {"path": path.format(model_id, name), "type": f"save_{kind}"}
        if kind == "sampler_weights":
            answer = {"path": path.format(model_id, name), "type": "save_weights_for_sampler", "sampling_session_id": None}

        def work() -> dict:
            checkpoint.write(folder, files(self._policy(model_id)))
            return answer

        return self._future(body, work)

    def load_weights(self, body: dict) -> dict:
        model_id = self._model(body)
        folder, optimizer = self.checkpoints.find(body.get("path")), flag(body, "optimizer", False)

        def work() -> dict:
            checkpoint.load(self._policy(model_id), folder, optimizer)
            return {"type": "load_weights"}

        return self._future(body, work)

    def list_checkpoints(self, model_id: str) -> dict:
        return {"checkpoints": self.checkpoints.list(model_id)}

    def download(self, model_id: str, name: str) -> bytes:
        """The checkpoint as a tar.gz; of two with one name, the one for serving."""
        for kind in ("sampler_weights", "weights"):
            folder = self.checkpoints.folder(model_id, kind, name)
            if folder.is_dir():
                return checkpoint.archive(folder)
        raise Refusal(404, f"checkpoint {name} of {model_id} is not there")

    def retrieve_future(self, body: dict) -> tuple[int, bytes]:
        return self.futures.result(body.get("request_id"), _POLL)

    def render(self, body: dict) -> dict:
        """Extension: chats in token ids."""
        return {"rendered": self.renderer.render(body.get("chats")), "tokenizer_hash": self.base.tokenizer_hash}

    def _session(self, body: dict) -> str:
        session_id = body.get("session_id")
        with self._lock:
            if not isinstance(session_id, str) or session_id not in self._sessions:
                raise Refusal(404, "Session not found")
        return session_id

    def _model(self, body: dict) -> str:
        model_id = body.get("model_id")
        with self._lock:
            if not isinstance(model_id, str) or model_id not in self._models:
                raise Refusal(404, "Model not found")
        return model_id

    def _future(self, body: dict, work: Callable[[], dict]) -> dict:
        request_id = self._submit(body, work)
        return {"future_id": request_id, "status": "pending", "request_id": request_id}

    def _submit(self, body: dict, work: Callable[[], dict]) -> str:
        seq_id = body.get("seq_id")
        if seq_id is not None and type(seq_id) is not int:
            raise Refusal(422, f"seq_id is {seq_id!r}, not a number")
        key = None if seq_id is None else (body["model_id"], seq_id)
        return self.futures.submit(work, key, _digest(body))


def _digest(body: dict) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
