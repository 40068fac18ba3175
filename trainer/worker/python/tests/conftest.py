"""A live worker on a tiny model, and the recorded exchanges of a SkyRL server."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
WORKER = HERE.parents[1]
sys.path[:0] = [str(HERE.parent), str(WORKER / "workertest")]
torch.set_num_threads(1)


class Client:
    """Speaks to a server; every answer is (status, body)."""

    def __init__(self, port: int, token: str):
        self.port, self.token = port, token

    def call(self, path: str, body: object = None, token: str | None = None):
        raw = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/api/v1/{path}", data=raw)
        request.add_header("authorization", f"Bearer {self.token if token is None else token}")
        try:
            with urllib.request.urlopen(request, timeout=300) as response:
                answer = response.read()
                return response.status, json.loads(answer) if "json" in response.headers["content-type"] else answer
        except urllib.error.HTTPError as e:
            return e.code, json.loads(e.read())

    def wait(self, path: str, body: dict):
        """The result of a request that takes time."""
        status, answer = self.call(path, body)
        return self.future(answer["request_id"]) if status == 200 else (status, answer)

    def future(self, request_id: str):
        status, answer = 408, {}
        while status == 408:
            status, answer = self.call("retrieve_future", {"request_id": request_id})
        return status, answer

    def model(self, rank: int = 8, **more) -> str:
        session = self.call("create_session", {})[1]["session_id"]
        body = {"session_id": session, "base_model": "tiny", "lora_config": {"rank": rank, "seed": 7}} | more
        status, answer = self.wait("create_model", body)
        assert status == 200, answer
        return answer["model_id"]

    def forward(self, model: str, rows: list, **more):
        return self.wait("forward", {"model_id": model, "forward_input": {"data": rows} | more})

    def backward(self, model: str, rows: list, loss: str = "cross_entropy", seq: int | None = None, **more):
        given = {"data": rows, "loss_fn": loss} | more
        return self.wait("forward_backward", {"model_id": model, "forward_backward_input": given, "seq_id": seq})

    def step(self, model: str, rate: float = 1e-2, seq: int | None = None, **more):
        return self.wait("optim_step", {"model_id": model, "adam_params": {"learning_rate": rate} | more, "seq_id": seq})


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    import tiny as maker

    folder = tmp_path_factory.mktemp("model") / "tiny"
    maker.main(str(folder))
    return folder


class Live:
    """A worker in a process of its own."""

    def __init__(self, model: Path, checkpoints: Path):
        command = [sys.executable, "-m", "tracegrad_worker", "--model", str(model), "--name", "tiny"]
        command += ["--checkpoints", str(checkpoints), "--threads", "1", "--device", "cpu"]
        environment = os.environ | {"TRACEGRAD_WORKER_TOKEN": "secret", "PYTHONPATH": os.pathsep.join(sys.path)}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self.client = Client(json.loads(self.process.stdout.readline())["port"], "secret")

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(30) == 0


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="session")
def live(tiny, checkpoints):
    worker = Live(tiny, checkpoints)
    yield worker.client
    worker.close()


@pytest.fixture
def model(live):
    """A model of the test's own."""
    model_id = live.model()
    yield model_id
    live.wait("unload_model", {"model_id": model_id})


@pytest.fixture(scope="session")
def recorded() -> dict[str, dict]:
    """The exchanges with SkyRL 0.3.0, by name."""
    with open(WORKER.parent / "engine" / "testdata" / "skyrl-0.3.0.jsonl") as f:
        return {e["name"]: e for e in map(json.loads, f)}


@pytest.fixture(scope="session")
def base(tiny):
    from tracegrad_worker.base import Base

    return Base(str(tiny), "tiny", "cpu", torch.float32, checkpointing=False)


def row(tokens: list[int], prompt: int, **lists) -> dict:
    """A row whose first tokens are a prompt; lists are per generated token, or one number for all of them."""
    n = len(tokens) - 1
    wire = {"target_tokens": {"data": tokens[1:]}}
    for name, values in ({"weights": 1.0} | lists).items():
        generated = values if isinstance(values, list) else [values] * (n - prompt + 1)
        wire[name] = {"data": [0.0] * (prompt - 1) + generated}
    return {"model_input": {"chunks": [{"type": "encoded_text", "tokens": tokens[:-1]}]}, "loss_fn_inputs": wire}


def rows(count: int = 5, seed: int = 0, **lists) -> list[dict]:
    """Rows of different lengths."""
    g = torch.Generator().manual_seed(seed)
    out = []
    for i in range(count):
        tokens = torch.randint(3, 512, (12 + 7 * i,), generator=g).tolist()
        out.append(row(tokens, 4 + i, **lists))
    return out
