"""Whatever is wrong with a request is said, and nothing is done."""

import copy

import pytest
from conftest import rows

NAN, INF = float("nan"), float("inf")
GOOD = rows(2, logprobs=-6.0, advantages=0.5)


def change(path: str, value, at: int = 1):
    """A batch with one thing changed."""
    data = copy.deepcopy(GOOD)
    spot = data[at]
    *parents, last = path.split(".")
    for key in parents:
        spot = spot[int(key) if key.isdigit() else key]
    key = int(last) if last.isdigit() else last
    if value is None:
        del spot[key]
    else:
        spot[key] = value
    return data


CASES = [
    ("an id beyond the vocabulary", change("model_input.chunks.0.tokens.3", 512), {}, "512"),
    ("a negative id", change("loss_fn_inputs.target_tokens.data.3", -1), {}, "-1"),
    ("an id that is no whole number", change("model_input.chunks.0.tokens.3", 3.5), {}, "3.5"),
    ("an id that is a boolean", change("model_input.chunks.0.tokens.3", True), {}, "True"),
    ("a huge id", change("model_input.chunks.0.tokens.3", 1 << 70), {}, "vocabulary"),
    ("advantages too short", change("loss_fn_inputs.advantages.data", [0.1]), {}, "1 advantages"),
    ("no weights", change("loss_fn_inputs.weights", None), {}, "weights"),
    ("no advantages", change("loss_fn_inputs.advantages", None), {}, "advantages"),
    ("no logprobs", change("loss_fn_inputs.logprobs", None), {}, "logprobs"),
    ("no targets", change("loss_fn_inputs.target_tokens", None), {}, "target_tokens"),
    ("an advantage that is no number", change("loss_fn_inputs.advantages.data.9", NAN), {}, "nan"),
    ("an infinite logprob", change("loss_fn_inputs.logprobs.data.9", -INF), {}, "inf"),
    ("a weight beyond float32", change("loss_fn_inputs.weights.data.9", 1e300), {}, "finite"),
    ("a weight in letters", change("loss_fn_inputs.weights.data.9", "1"), {}, "number"),
    ("an input nobody knows", change("loss_fn_inputs.mask", {"data": [1.0]}), {}, "mask"),
    ("no tokens", change("model_input.chunks.0.tokens", []), {}, "tokens"),
    ("an image", change("model_input.chunks", [{"type": "image", "data": "x"}]), {}, "chunks"),
    ("no rows", [], {}, "data"),
    ("rows that are none", ["row"], {}, "row"),
    ("an unknown loss", GOOD, {"loss_fn": "dppo"}, "dppo"),
    ("a loss that is no name", GOOD, {"loss_fn": ["ppo"]}, "ppo"),
    ("an unknown setting", GOOD, {"loss_fn_config": {"eps": 0.2}}, "eps"),
    ("a range upside down", GOOD, {"loss_fn_config": {"clip_low_threshold": 1.5, "clip_high_threshold": 1.0}}, "above"),
    ("a setting that is no number", GOOD, {"loss_fn_config": {"clip_low_threshold": NAN}}, "nan"),
    ("the reference's gradient", GOOD, {"reference": True}, "reference"),
    ("a critic's loss without a critic", GOOD, {"loss_fn": "ppo_critic"}, "values"),
]


def test_good(live, model):
    assert live.backward(model, GOOD, "ppo")[0] == 200


@pytest.mark.parametrize(("data", "more", "word"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_rows(live, model, data, more, word):
    given = {"data": data, "loss_fn": "ppo"} | more
    status, answer = live.wait("forward_backward", {"model_id": model, "forward_backward_input": given})
    assert status == 422 and word in answer["detail"], answer
    assert live.step(model)[0] == 400  # there is no gradient


def test_too_long(live, model):
    tokens = [5] * 1025
    data = [{"model_input": {"chunks": [{"tokens": tokens}]}, "loss_fn_inputs": {"target_tokens": tokens, "weights": [1.0] * 1025}}]
    assert "1024" in live.backward(model, data)[1]["detail"]


def test_a_gradient_that_is_not_finite_is_not_added(live, model):
    before = live.forward(model, GOOD)[1]
    assert live.backward(model, rows(2, weights=3e38))[0] == 400
    assert live.step(model)[0] == 400
    assert live.forward(model, GOOD)[1] == before


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"base_model": "other"}, "tiny"),
        ({"lora_config": None}, "lora_config"),
        ({"model_seq_id": [1]}, "model_seq_id"),
        ({"lora_config": {"rank": 0}}, "rank"),
        ({"lora_config": {"rank": 4, "alpha": NAN}}, "alpha"),
        ({"lora_config": {"rank": 4, "train_unembed": True}}, "train_unembed"),
        ({"lora_config": {"rank": 4, "train_attn": False, "train_mlp": False}}, "nothing"),
    ],
)
def test_models(live, body, word):
    session = live.call("create_session", {})[1]["session_id"]
    whole = {"session_id": session, "base_model": "tiny", "lora_config": {"rank": 4}} | body
    status, answer = live.call("create_model", whole)
    assert status in (400, 422) and word in answer["detail"], answer


@pytest.mark.parametrize("adam", [None, {}, {"learning_rate": NAN}, {"learning_rate": -1}, {"learning_rate": 1, "beta1": 1}, {"learning_rate": 1, "lr": 1}])
def test_steps(live, model, adam):
    assert live.backward(model, GOOD, "ppo")[0] == 200
    assert live.wait("optim_step", {"model_id": model, "adam_params": adam})[0] == 422
    assert live.step(model)[0] == 200  # the gradient is still there


def test_bodies(live):
    for body in (b"{", b"[]", b"\xff", b"[" * 100000):
        assert live.call("forward_backward", body)[0] == 422
    assert live.call("nothing", {})[0] == 404
    assert live.call("create_session", {}, token="wrong")[0] == 401
    assert live.call("healthz", {}, token="wrong")[0] == 401  # whoever may not speak is not listened to
    assert live.call("healthz") == (200, {"status": "ok"})
    assert live.call("session_heartbeat", {"session_id": {"a": 1}})[0] == 404
    assert live.call("retrieve_future", {"request_id": ["x"]})[0] == 404


def test_once(live, model):
    assert live.backward(model, GOOD, "ppo", seq=1)[0] == 200
    first = live.call("optim_step", {"model_id": model, "adam_params": {"learning_rate": 0.1}, "seq_id": 2})
    after = live.forward(model, GOOD)[1]
    assert live.call("optim_step", {"model_id": model, "adam_params": {"learning_rate": 0.1}, "seq_id": 2}) == first
    assert live.call("optim_step", {"model_id": model, "adam_params": {"learning_rate": 0.2}, "seq_id": 2})[0] == 409
    assert live.forward(model, GOOD)[1] == after
    session = live.call("create_session", {})[1]["session_id"]
    body = {"session_id": session, "base_model": "tiny", "lora_config": {"rank": 4}, "model_seq_id": 1}
    assert live.call("create_model", body) == live.call("create_model", body)


def test_too_many_models(live):
    """No request to come back later: nothing frees a model but the client itself."""
    made, status = [], 200
    session = live.call("create_session", {})[1]["session_id"]
    while status == 200 and len(made) < 20:
        status, answer = live.wait("create_model", {"session_id": session, "base_model": "tiny", "lora_config": {"rank": 1}})
        made += [answer["model_id"]] if status == 200 else []
    assert status == 400 and "8 models are open" in answer["detail"]
    for model in made:
        assert live.wait("unload_model", {"model_id": model})[0] == 200
