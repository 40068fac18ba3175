"""What is computed: gradients, steps, the reference, the critic."""

import copy
import itertools

import pytest
import torch
from conftest import rows
from tracegrad_worker.base import Base
from tracegrad_worker.datum import parse
from tracegrad_worker.policy import Lora, Policy

IDS = itertools.count()


@pytest.fixture
def policy(base):
    made = Policy(base, f"policy{next(IDS)}", Lora(8, 32.0, 7, True, True, value_head=True))
    noise = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, p in made.parameters.items():
            if "lora_B" in name or "value_head" in name:
                p.normal_(0, 0.1, generator=noise)
    yield made
    made.unload()


def batch(base, data, loss="ppo", backward=True, **more):
    return parse({"data": data, "loss_fn": loss} | more, base.vocabulary, base.context, backward)


def gradient(policy, data, loss="ppo", budget=4096, **more):
    policy.forget_gradient()
    policy.forward_backward(batch(policy.base, data, loss, **more), budget)
    out = torch.cat([p.grad.flatten() for p in policy.parameters.values()])
    policy.forget_gradient()
    return out


DATA = rows(5, logprobs=-6.0, advantages=0.7)


def test_micro_batches_change_nothing(policy):
    whole = gradient(policy, DATA, budget=1 << 20)
    for budget in (1, 60, 100):
        torch.testing.assert_close(gradient(policy, DATA, budget=budget), whole, rtol=1e-4, atol=1e-5)


def test_calls_add_up(policy):
    whole = gradient(policy, DATA)
    for part in (DATA[:2], DATA[2:]):
        policy.forward_backward(batch(policy.base, part), 4096)
    sum_of_two = torch.cat([p.grad.flatten() for p in policy.parameters.values()])
    torch.testing.assert_close(sum_of_two, whole, rtol=1e-4, atol=1e-5)


def test_tokens_without_weight_have_no_gradient(policy):
    other = copy.deepcopy(DATA)
    for datum in other:
        given = datum["loss_fn_inputs"]
        for t, w in enumerate(given["weights"]["data"]):
            if w == 0:  # whatever is said of what was not generated
                given["advantages"]["data"][t], given["logprobs"]["data"][t] = 9.0, -3.0
    assert torch.equal(gradient(policy, other), gradient(policy, DATA))
    silent = copy.deepcopy(DATA)
    for datum in silent:
        datum["loss_fn_inputs"]["weights"]["data"] = [0.0] * len(datum["loss_fn_inputs"]["weights"]["data"])
    assert gradient(policy, silent).abs().max() == 0


def plain_loss(loss, now, old, a, m):
    low, high = {"ppo": (0.8, 1.2), "gspo": (0.9997, 1.0004), "cispo": (0.0, 5.0)}.get(loss, (0, 0))
    ratio = (now - old).exp()
    if loss == "cross_entropy":
        return -now
    if loss == "importance_sampling":
        return -ratio * a
    if loss == "cispo":
        return -ratio.clamp(low, high).detach() * a * now
    if loss == "gspo":
        ratio = (((now - old) * m).sum() / m.sum()).exp().expand_as(now)
    return -torch.min(ratio * a, ratio.clamp(low, high) * a)


@pytest.mark.parametrize("loss", ["cross_entropy", "importance_sampling", "ppo", "gspo", "cispo"])
def test_gradient_is_that_of_plain_torch(policy, loss):
    """A second implementation: whole logits, no micro-batches, losses written out, and autograd."""
    base = policy.base
    policy._activate()
    total = torch.zeros(())
    for datum in DATA:
        ids = torch.tensor([datum["model_input"]["chunks"][0]["tokens"]])
        given = {k: torch.tensor(v["data"]) for k, v in datum["loss_fn_inputs"].items()}
        logits = base.model(input_ids=ids).logits[0]
        now = logits.log_softmax(-1)[torch.arange(ids.shape[1]), given["target_tokens"]]
        m, a, old = given["weights"], given["advantages"], given["logprobs"]
        total = total + (plain_loss(loss, now, old, a, m) * m).sum()
    wanted = torch.autograd.grad(total, list(policy.parameters.values()), allow_unused=True)
    wanted = torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for p, g in zip(policy.parameters.values(), wanted, strict=True)])
    ours = gradient(policy, DATA, loss)
    assert (ours - wanted).norm() <= 1e-5 * wanted.norm()


def test_the_plain_head_is_not_needed(policy):
    assert policy.base._plain_head
    fast, values = gradient(policy, DATA), policy.forward(batch(policy.base, DATA, backward=False), 4096)
    policy.base._plain_head = False
    try:
        torch.testing.assert_close(gradient(policy, DATA), fast, rtol=1e-4, atol=1e-5)
        slow = policy.forward(batch(policy.base, DATA, backward=False), 4096)
    finally:
        policy.base._plain_head = True
    for a, b in zip(values["loss_fn_outputs"], slow["loss_fn_outputs"], strict=True):
        torch.testing.assert_close(torch.tensor(a["values"]["data"]), torch.tensor(b["values"]["data"]))


def test_recomputed_activations_change_nothing(tiny, policy):
    """What a GPU does to save memory; and bfloat16, as far as it goes."""
    wanted = gradient(policy, DATA)
    for dtype, least in ((torch.float32, 1 - 1e-6), (torch.bfloat16, 0.98)):
        other = Policy(Base(str(tiny), "tiny", "cpu", dtype, checkpointing=True), "again", policy.lora)
        assert all(p.dtype == torch.float32 for p in other.parameters.values())
        with torch.no_grad():
            for name, p in other.parameters.items():
                p.copy_(policy.parameters[name])
        assert torch.cosine_similarity(gradient(other, DATA), wanted, dim=0) > least
        other.forward_backward(batch(other.base, DATA), 4096)
        assert other.step(1e-3, (0.9, 0.95), 1e-12, 0.0, 1.0)["metrics"]["skyrl.ai/grad_norm"] > 0


def test_reference_is_the_base_model(policy):
    fresh = Policy(policy.base, f"fresh{next(IDS)}", Lora(4, 32.0, 0, True, True, value_head=False))  # B is 0
    wanted = fresh.forward(batch(policy.base, DATA, "cross_entropy", False), 4096)
    assert policy.forward(batch(policy.base, DATA, "cross_entropy", False, reference=True), 4096) == wanted
    assert policy.forward(batch(policy.base, DATA, "cross_entropy", False), 4096) != wanted
    fresh.unload()


def test_policies_do_not_touch_each_other(policy):
    before = policy.forward(batch(policy.base, DATA, backward=False), 4096)
    other = Policy(policy.base, f"other{next(IDS)}", Lora(4, 8.0, 1, True, False, value_head=False))
    assert not any("mlp" in name for name in other.parameters)
    other.forward_backward(batch(policy.base, DATA), 4096)
    other.step(0.1, (0.9, 0.95), 1e-12, 0.0, 0.0)
    assert policy.forward(batch(policy.base, DATA, backward=False), 4096) == before
    assert all(p.grad is None for p in policy.parameters.values())
    other.unload()


def test_step_is_adamw_and_clips(policy):
    ours = [p.detach().clone().requires_grad_() for p in policy.parameters.values()]
    optimizer = torch.optim.AdamW(ours, lr=0.03, betas=(0.8, 0.9), eps=1e-7, weight_decay=0.1)
    for _ in range(3):
        policy.forward_backward(batch(policy.base, DATA), 4096)
        for mine, theirs in zip(ours, policy.parameters.values(), strict=True):
            mine.grad = theirs.grad.clone()
        norm = torch.nn.utils.clip_grad_norm_(ours, 0.5)
        optimizer.step()
        said = policy.step(0.03, (0.8, 0.9), 1e-7, 0.1, 0.5)["metrics"]["skyrl.ai/grad_norm"]
        assert said == pytest.approx(float(norm), rel=1e-6) and said > 0.5
        for mine, theirs in zip(ours, policy.parameters.values(), strict=True):
            torch.testing.assert_close(theirs, mine)


def test_critic(policy):
    data = rows(3, values=0.3, returns=1.0)
    before = policy.forward(batch(policy.base, data, "ppo_critic", False), 4096)["loss_fn_outputs"]
    for datum, out in zip(data, before, strict=True):
        weights = torch.tensor(datum["loss_fn_inputs"]["weights"]["data"])
        v = torch.tensor(out["values"]["data"])
        held = 0.3 + (v - 0.3).clamp(-0.2, 0.2)
        wanted = 0.5 * torch.maximum((v - 1) ** 2, (held - 1) ** 2) * weights
        torch.testing.assert_close(torch.tensor(out["elementwise_loss"]["data"]), wanted)
    losses = []
    for _ in range(30):
        losses.append(policy.forward_backward(batch(policy.base, data, "ppo_critic", loss_fn_config={"value_clip": 0}), 4096)["metrics"]["loss:sum"])
        policy.step(0.01, (0.9, 0.95), 1e-12, 0.0, 0.0)
    assert losses[-1] < losses[0] / 20


def gae(rewards, values, gamma, lam):
    """By its definition: the sum of all discounted differences to come."""
    n, v = len(rewards), [*values, 0.0]
    deltas = [rewards[t] + gamma * v[t + 1] - v[t] for t in range(n)]
    return [sum((gamma * lam) ** (k - t) * deltas[k] for k in range(t, n)) for t in range(n)]


@pytest.mark.parametrize("clip", [0.0, 0.2])
def test_critic_gradient_is_that_of_plain_torch(policy, clip):
    """An update of a critic with GAE's returns, against whole hidden states and autograd."""
    base, total, data = policy.base, torch.zeros(()), []
    policy._activate()
    for i, datum in enumerate(rows(4)):
        ids = torch.tensor([datum["model_input"]["chunks"][0]["tokens"]])
        weights = torch.tensor(datum["loss_fn_inputs"]["weights"]["data"])
        v = policy.head(base.model.get_decoder()(input_ids=ids).last_hidden_state[0]).squeeze(-1)[weights > 0]
        old = (v.detach() + 0.3 * torch.randn(len(v), generator=torch.Generator().manual_seed(i))).tolist()
        advantages = gae([0.0] * (len(old) - 1) + [1.0], old, 0.99, 0.95)
        returns = torch.tensor(advantages) + torch.tensor(old)
        loss = (v - returns) ** 2
        if clip:
            loss = torch.max(loss, (torch.clamp(v, torch.tensor(old) - clip, torch.tensor(old) + clip) - returns) ** 2)
        total = total + 0.5 * loss.sum()
        prompt = int((weights == 0).sum())
        lists = {"values": old, "returns": returns.tolist()}
        datum["loss_fn_inputs"] |= {name: {"data": [0.0] * prompt + values} for name, values in lists.items()}
        data.append(datum)
    wanted = torch.autograd.grad(total, list(policy.parameters.values()), allow_unused=True)
    wanted = torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for p, g in zip(policy.parameters.values(), wanted, strict=True)])
    ours = gradient(policy, data, "ppo_critic", loss_fn_config={"value_clip": clip})
    assert (ours - wanted).norm() <= 1e-5 * wanted.norm()


@pytest.mark.parametrize("plain", [True, False])
def test_temperature_divides_logits(base, plain):
    """Values and gradients are those of log_softmax(logits / T), by the fast head and by the whole model."""
    made = Policy(base, f"warm{next(IDS)}", Lora(4, 8.0, 3, True, True, value_head=False, temperature=0.7))
    noise = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, p in made.parameters.items():
            if "lora_B" in name:
                p.normal_(0, 0.1, generator=noise)
    base._plain_head, was = plain and base._plain_head, base._plain_head
    try:
        data = rows(3, logprobs=-6.0, advantages=0.7)
        mine = gradient(made, data, loss="cross_entropy")
        said = made.forward(batch(base, data, loss="cross_entropy", backward=False), 4096)["loss_fn_outputs"]
        total = 0.0
        for row, out in zip(batch(base, data, loss="cross_entropy").rows, said, strict=True):
            logits = base.model(input_ids=row.tokens[None], use_cache=False).logits[0] / 0.7
            want = logits.log_softmax(-1).gather(1, row.targets[:, None]).squeeze(1)
            at = row.positions()
            torch.testing.assert_close(torch.tensor(out["logprobs"]["data"])[at], want[at].detach(), rtol=1e-5, atol=1e-5)
            total = total - (want[at] * row.weights[at]).sum()
        theirs = torch.cat([g.flatten() for g in torch.autograd.grad(total, list(made.parameters.values()))])
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
        assert made.describe()["temperature"] == 0.7
    finally:
        base._plain_head = was
        made.unload()
