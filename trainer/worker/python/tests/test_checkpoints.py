"""What is on disk: whole, exact, and loaded by others."""

import io
import json
import shutil
import tarfile

import pytest
import torch
from conftest import WORKER, Live, rows

DATA = rows(4, logprobs=-6.0, advantages=0.7)


def train(client, model, first, last):
    for n in range(first, last):
        assert client.backward(model, DATA, "ppo", seq=2 * n + 1)[0] == 200
        assert client.step(model, seq=2 * n + 2)[0] == 200


def files(client, model, name):
    status, packed = client.call(f"training_runs/{model}/checkpoints/{name}/download")
    assert status == 200
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar.getmembers()}


def save(client, model, name, kind="save_weights_for_sampler"):
    status, answer = client.wait(kind, {"model_id": model, "path": name})
    return answer["path"] if status == 200 else (status, answer["detail"])


def test_killed_and_resumed_is_the_same(tiny, live, checkpoints, tmp_path):
    """Another process, killed midway, goes on from its checkpoint to the very bytes of one that was not."""
    whole = live.model(value_head=True)
    train(live, whole, 0, 4)
    assert live.backward(whole, rows(3, values=0.0, returns=1.0), "ppo_critic")[0] == 200 and live.step(whole)[0] == 200
    save(live, whole, "end")
    first = Live(tiny, tmp_path)
    model = first.client.model(value_head=True)
    train(first.client, model, 0, 2)
    path = save(first.client, model, "half", "save_weights")
    assert first.client.backward(model, DATA, "ppo")[0] == 200  # a gradient that is lost
    first.process.kill()
    first.process.wait()
    second = Live(tiny, tmp_path)
    model = second.client.model(value_head=True)
    assert second.client.wait("load_weights", {"model_id": model, "path": path, "optimizer": True}) == (200, {"type": "load_weights"})
    train(second.client, model, 2, 4)
    assert second.client.backward(model, rows(3, values=0.0, returns=1.0), "ppo_critic")[0] == 200 and second.client.step(model)[0] == 200
    save(second.client, model, "end")
    assert files(second.client, model, "end") == files(live, whole, "end")
    second.close()
    live.wait("unload_model", {"model_id": whole})


def test_peft_loads_it(live, model, tiny, tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    train(live, model, 0, 2)
    save(live, model, "out")
    for name, content in files(live, model, "out").items():
        (tmp_path / name).write_bytes(content)
    config = json.loads((tmp_path / "adapter_config.json").read_bytes())
    assert config["target_modules"] == ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
    assert config["base_model_name_or_path"] == "tiny" and config["bias"] == "none" and not config["modules_to_save"]
    loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny), tmp_path)
    for datum, out in zip(DATA, live.forward(model, DATA)[1]["loss_fn_outputs"], strict=True):
        ids = torch.tensor([datum["model_input"]["chunks"][0]["tokens"]])
        wanted = torch.tensor(datum["loss_fn_inputs"]["target_tokens"]["data"])
        with torch.no_grad():
            logprobs = loaded(input_ids=ids).logits[0].log_softmax(-1).gather(1, wanted[:, None]).squeeze(1)
        weighed = torch.tensor(datum["loss_fn_inputs"]["weights"]["data"]) > 0
        torch.testing.assert_close(torch.tensor(out["logprobs"]["data"])[weighed], logprobs[weighed], rtol=1e-5, atol=1e-5)
    fresh = live.model()
    assert live.wait("load_weights", {"model_id": fresh, "path": f"file://{tmp_path}"})[0] == 200
    assert live.forward(fresh, DATA) == live.forward(model, DATA)
    live.wait("unload_model", {"model_id": fresh})


def test_an_adapter_of_skyrl(live, model, recorded, tmp_path):
    """SkyRL's adapter and base model give SkyRL's log-probabilities."""
    with tarfile.open(WORKER.parent / "engine" / "testdata" / "adapter-0001.tar.gz") as tar:
        tar.extractall(tmp_path, filter="data")
    folder = next(tmp_path.rglob("adapter_config.json")).parent
    status, answer = live.wait("load_weights", {"model_id": model, "path": f"file://{folder}"})
    assert status == 200, answer
    asked = recorded["forward-weights-missing"]["request"]["forward_input"]["data"]
    said = recorded["retrieve_future-forward-weights-missing"]["answer"]["loss_fn_outputs"]
    for ours, theirs in zip(live.forward(model, asked)[1]["loss_fn_outputs"], said, strict=True):
        torch.testing.assert_close(torch.tensor(ours["logprobs"]["data"]), torch.tensor(theirs["logprobs"]["data"]), rtol=1e-5, atol=1e-5)


def test_never_rewritten(live, model):
    train(live, model, 0, 1)
    first = save(live, model, "one"), save(live, model, "one", "save_weights")
    assert (save(live, model, "one"), save(live, model, "one", "save_weights")) == first
    before = files(live, model, "one")
    train(live, model, 1, 2)
    assert save(live, model, "one")[0] == 409 and save(live, model, "one", "save_weights")[0] == 409
    assert files(live, model, "one") == before


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".x", "x" * 129, None, 3])
def test_names(live, model, name):
    assert live.wait("save_weights", {"model_id": model, "path": name})[0] == 422


def spoil_nothing(folder):
    pass


def spoil_rank(folder):
    config = json.loads((folder / "adapter_config.json").read_bytes())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"r": 4}))


def spoil_base(folder):
    state = json.loads((folder / "state.json").read_bytes())
    (folder / "state.json").write_text(json.dumps(state | {"fingerprint": "0"}))


def spoil_tail(folder):
    whole = (folder / "adapter_model.safetensors").read_bytes()
    (folder / "adapter_model.safetensors").write_bytes(whole[:-4])


def spoil_value(folder):
    whole = (folder / "adapter_model.safetensors").read_bytes()
    (folder / "adapter_model.safetensors").write_bytes(whole[:-4] + b"\x00\x00\xc0\x7f")


def spoil_optimizer(folder):
    (folder / "state.json").unlink()


def spoil_moments(folder):
    from safetensors.torch import load_file, save_file

    rest = load_file(folder / "optimizer.safetensors")
    name = next(n for n in rest if n.startswith("exp_avg/"))
    save_file({n: t[:-1].contiguous() if n == name else t for n, t in rest.items()}, folder / "optimizer.safetensors")


def spoil_names(folder):
    from safetensors.torch import load_file, save_file

    save_file({f"{n}x": t for n, t in load_file(folder / "optimizer.safetensors").items()}, folder / "optimizer.safetensors")


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (spoil_nothing, None), (spoil_rank, "r is 4"), (spoil_base, "not the base model"), (spoil_tail, "safetensors"),
        (spoil_value, "not finite"), (spoil_optimizer, "optimizer"),
        (spoil_moments, "optimizer"), (spoil_names, "optimizer"),
    ],
)  # fmt: skip
def test_what_does_not_fit_changes_nothing(live, model, checkpoints, spoil, word):
    train(live, model, 0, 2)
    save(live, model, "good", "save_weights")
    shutil.copytree(checkpoints / model / "weights" / "good", checkpoints / model / "weights" / "bad")
    spoil(checkpoints / model / "weights" / "bad")
    before = live.forward(model, DATA)
    status, answer = live.wait("load_weights", {"model_id": model, "path": f"tinker://{model}/weights/bad", "optimizer": True})
    assert (status, answer) == (200, {"type": "load_weights"}) if word is None else status == 400 and word in answer["detail"], answer
    assert live.forward(model, DATA) == before


@pytest.mark.parametrize("path", [None, "x", "tinker://a", "tinker://../weights/x", "tinker://m/other/x", "tinker://m/weights/none", "file:///nowhere"])
def test_paths(live, model, path):
    assert live.wait("load_weights", {"model_id": model, "path": path})[0] in (404, 422)
