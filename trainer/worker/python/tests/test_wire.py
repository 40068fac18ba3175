"""Against the recorded exchanges: the same shapes, and where the numbers are defined by the inputs, the same numbers."""

import io
import tarfile

import pytest
import torch
from tracegrad_worker.losses import check_config, policy_loss

KEEP = {"request_id", "future_id", "model_id", "session_id", "base_model", "model_name", "time", "tinker_path", "path"}


def shape(value):
    """A JSON value without what differs from run to run."""
    if isinstance(value, dict):
        return {k: type(v).__name__ if k in KEEP else shape(v) for k, v in value.items()}
    if isinstance(value, list):
        return [shape(v) for v in value] if value and isinstance(value[0], dict) else [len(value)]
    return type(value).__name__


def ask(live, recorded, name, **ids):
    return live.call(recorded[name]["path"].removeprefix("/api/v1/"), recorded[name]["request"] | ids)


def test_shapes(live, recorded, checkpoints):
    session = ask(live, recorded, "create_session")[1]["session_id"]
    status, created = ask(live, recorded, "create_model", session_id=session, base_model="tiny")
    assert status == 200 and shape(created) == shape(recorded["create_model"]["answer"])
    ids = {"model_id": created["model_id"]}
    status, answer = live.future(created["request_id"])
    for own in ("value_head", "temperature"):
        answer.pop(own)
    assert status == 200 and shape(answer) == shape(recorded["retrieve_future-create_model"]["answer"])
    assert ask(live, recorded, "get_info", **ids)[0] == 200
    names = [
        "forward-cross_entropy", "forward_backward-cross_entropy", "optim_step-1", "forward-after-step",
        "forward_backward-importance_sampling", "forward_backward-ppo", "optim_step-2-accumulated",
        "forward_backward-ppo-defaults", "forward_backward-cispo", "optim_step-3", "forward-weights-missing",
        "save_weights", "save_weights_for_sampler",
    ]  # fmt: skip
    for name in names:
        status, queued = ask(live, recorded, name, **ids)
        assert status == 200 and shape(queued) == shape(recorded[name]["answer"]), name
        status, answer = live.future(queued["request_id"])
        answer.get("metrics", {}).pop("loss:sum", None)  # ours
        assert status == 200 and shape(answer) == shape(recorded[f"retrieve_future-{name}"]["answer"]), name
    status, answer = live.call(f"training_runs/{created['model_id']}/checkpoints")
    assert status == 200 and {c["checkpoint_id"]: c["checkpoint_type"] for c in answer["checkpoints"]} == {
        "adapter-0001": "sampler", "night-0001": "training"}  # fmt: skip
    status, packed = live.call(f"training_runs/{created['model_id']}/checkpoints/adapter-0001/archive")
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert sorted(tar.getnames()) == ["adapter_config.json", "adapter_model.safetensors"]
    for name, status in (("error-unknown-model", 404), ("error-retrieve-unknown", 404), ("error-heartbeat-unknown-session", 404)):
        assert ask(live, recorded, name) == (status, recorded[name]["answer"])
    for name in ("error-bad-loss_fn_config-key", "error-unknown-loss_fn"):
        assert ask(live, recorded, name, **ids)[0] == recorded[name]["status"] == 422
    assert ask(live, recorded, "error-ragged-advantages", **ids)[0] == 422  # SkyRL pads them with zeros
    assert live.wait("unload_model", ids) == (200, {**ids, "status": "unloaded", "type": "unload_model"})
    assert live.call("get_info", ids)[0] == 404


@pytest.mark.parametrize("loss", ["importance_sampling", "ppo", "ppo-defaults", "cispo"])
def test_losses_are_those_of_skyrl(recorded, loss):
    given = recorded[f"forward_backward-{loss}"]["request"]["forward_backward_input"]
    answer = recorded[f"retrieve_future-forward_backward-{loss}"]["answer"]
    config = check_config(given["loss_fn"], given.get("loss_fn_config"))
    for datum, said in zip(given["data"], answer["loss_fn_outputs"], strict=True):
        inputs = {name: torch.tensor(value["data"]) for name, value in datum["loss_fn_inputs"].items()}
        ours = policy_loss(given["loss_fn"], config, torch.tensor(said["logprobs"]["data"]), inputs) * inputs["weights"]
        torch.testing.assert_close(ours, torch.tensor(said["elementwise_loss"]["data"]), rtol=2e-6, atol=2e-6)
