"""make parity: losses and gradients equal those of TRL's own trainers, in one process and through the protocol."""

import pytest
import torch
from conftest import row
from tracegrad_worker import checkpoint
from tracegrad_worker.datum import parse
from tracegrad_worker.policy import Lora, Policy

trl = pytest.importorskip("trl")

B, P, C, LONGEST = 4, 6, 9, 12
CLOSE = 1e-5  # of the norm


@pytest.fixture(scope="module")
def policy(base):
    made = Policy(base, "parity", Lora(8, 32.0, 7, True, True, value_head=False))
    noise = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, p in made.parameters.items():
            if "lora_B" in name:
                p.normal_(0, 0.3, generator=noise)
    yield made
    made.unload()


class Rollouts:
    """Prompts of different lengths, replies of different lengths, one with a tool's words within."""

    def __init__(self, policy):
        g = torch.Generator().manual_seed(3)
        self.prompts, self.prompt_mask = torch.randint(3, 512, (B, P), generator=g), torch.ones(B, P, dtype=torch.long)
        self.prompts[1, :2] = self.prompt_mask[1, :2] = 0
        self.replies, self.reply_mask = torch.randint(3, 512, (B, C), generator=g), torch.ones(B, C, dtype=torch.long)
        for i, n in ((0, 7), (2, 5)):
            self.replies[i, n:] = self.reply_mask[i, n:] = 0
        self.tool_mask = torch.ones(B, C, dtype=torch.long)
        self.tool_mask[3, 2:4] = 0
        self.mask = self.reply_mask * self.tool_mask
        self.advantages = torch.tensor([1.2, -0.7, 0.4, -0.9])
        outputs = policy.forward(batch(policy.base, self.rows("cross_entropy", self.reply_mask), "cross_entropy", False), 4096)
        self.now = torch.zeros(B, C)
        for i, out in enumerate(outputs["loss_fn_outputs"]):
            n, p = int(self.reply_mask[i].sum()), int(self.prompt_mask[i].sum())
            self.now[i, :n] = torch.tensor(out["logprobs"]["data"])[p - 1 :]
        self.old = self.now + 0.35 * torch.randn(B, C, generator=g)

    def rows(self, loss, mask, old=None, advantages=None):
        """The rollouts as they are sent; advantages per token, 1/Z in them."""
        out = []
        for i in range(B):
            n = int(self.reply_mask[i].sum())
            tokens = self.prompts[i][self.prompt_mask[i] > 0].tolist() + self.replies[i, :n].tolist()
            lists = {"weights": mask[i, :n].float().tolist()}
            if loss == "cross_entropy":
                lists["weights"] = lists["weights"] if advantages is None else (mask * advantages)[i, :n].tolist()
            else:
                lists |= {"logprobs": (old * mask)[i, :n].tolist(), "advantages": (advantages * mask)[i, :n].tolist()}
            out.append(row(tokens, int(self.prompt_mask[i].sum()), **lists))
        return out


def batch(base, data, loss, backward=True, config=None):
    return parse({"data": data, "loss_fn": loss, "loss_fn_config": config}, base.vocabulary, base.context, backward)


def trainer(tiny, policy, tmp_path, config, cls, **settings):
    """A TRL trainer whose adapter is the policy's."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer

    more = {} if cls is trl.SFTTrainer else {"num_generations": B, "max_completion_length": LONGEST}
    args = config(
        output_dir=str(tmp_path), per_device_train_batch_size=B, max_steps=1, report_to=[], use_cpu=True, bf16=False,
        save_strategy="no", gradient_checkpointing=False, **more, **settings,
    )  # fmt: skip
    rewards = {} if cls is trl.SFTTrainer else {"reward_funcs": lambda completions, **_: [0.0] * len(completions)}
    texts = {"text" if cls is trl.SFTTrainer else "prompt": ["a", "b", "c", "d"]}
    lora = policy.peft.peft_config[policy.id]
    made = cls(
        model=AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32), args=args,
        processing_class=AutoTokenizer.from_pretrained(tiny), train_dataset=Dataset.from_dict(texts),
        peft_config=LoraConfig(r=lora.r, lora_alpha=lora.lora_alpha, target_modules=lora.target_modules, task_type="CAUSAL_LM"),
        **rewards,
    )  # fmt: skip
    made.current_gradient_accumulation_steps = 1
    mine = {n.replace(".default.", "."): p for n, p in made.model.named_parameters() if p.requires_grad}
    assert mine.keys() == policy.parameters.keys()
    with torch.no_grad():
        for name, p in mine.items():
            p.copy_(policy.parameters[name])
    made.model.train()
    return made, [mine[name] for name in policy.parameters]


def grpo(low=0.2, high=0.2, level="token", kind="grpo"):
    return {"loss_type": kind, "epsilon": low, "epsilon_high": high, "importance_sampling_level": level}


def held(low, high):
    return {"clip_low_threshold": low, "clip_high_threshold": high}


CASES = {  # name: (loss_fn, loss_fn_config, Z, TRL's settings)
    "grpo": ("ppo", held(0.8, 1.2), "rollout_mean", grpo()),
    "dr_grpo": ("ppo", held(0.8, 1.2), "constant", grpo(kind="dr_grpo")),
    "dapo": ("ppo", held(0.8, 1.28), "token_mean", grpo(0.2, 0.28, kind="dapo")),
    "gspo": ("gspo", held(1 - 3e-4, 1 + 4e-4), "rollout_mean", grpo(3e-4, 4e-4, "sequence")),
    "gspo, wide": ("gspo", held(0.8, 1.2), "rollout_mean", grpo(0.2, 0.2, "sequence")),
    "cispo": ("cispo", held(0.0, 5.0), "token_mean", grpo(high=5.0, kind="cispo")),
    "cispo, held": ("cispo", held(0.0, 1.1), "token_mean", grpo(high=1.1, kind="cispo")),
    "rloo": ("importance_sampling", None, "sequences", None),
    "sft": ("cross_entropy", None, "token_mean", None),
}


def theirs(name, tiny, policy, tmp_path, r):
    """TRL's loss and gradient."""
    common = {
        "prompt_ids": r.prompts, "prompt_mask": r.prompt_mask, "completion_ids": r.replies, "completion_mask": r.reply_mask,
        "advantages": r.advantages, "num_items_in_batch": r.mask.sum().float(),
    }  # fmt: skip
    if name == "sft":
        made, parameters = trainer(tiny, policy, tmp_path, trl.SFTConfig, trl.SFTTrainer)
        labels = torch.cat([torch.full((B, P), -100), torch.where(r.mask > 0, r.replies, -100)], 1)
        ids, attention = torch.cat([r.prompts, r.replies], 1), torch.cat([r.prompt_mask, r.reply_mask], 1)
        loss = made.compute_loss(made.model, {"input_ids": ids, "attention_mask": attention, "labels": labels})
    elif name == "rloo":
        made, parameters = trainer(tiny, policy, tmp_path, trl.RLOOConfig, trl.RLOOTrainer, beta=0.0)
        loss = made._compute_loss(made.model, common | {"old_logps": (r.now * r.reply_mask).sum(1)})
    else:
        made, parameters = trainer(tiny, policy, tmp_path, trl.GRPOConfig, trl.GRPOTrainer, **CASES[name][3])
        loss = made._compute_loss(made.model, common | {"tool_mask": r.tool_mask, "old_per_token_logps": r.old})
    loss.backward()
    return loss.item(), [p.grad for p in parameters]


def ours(name, r):
    """The rows of the same update: loss_fn, its settings, and 1/Z in the advantages."""
    loss, config, reduce, _ = CASES[name]
    mask = r.reply_mask if name == "rloo" else r.mask  # RLOO knows no tools
    n = mask.sum(1, keepdim=True)
    z = {"token_mean": n.sum(), "rollout_mean": B * n, "constant": torch.tensor(B * LONGEST), "sequences": torch.tensor(B)}[reduce]
    advantages = (torch.ones(B, 1) if name == "sft" else r.advantages[:, None]) / z
    old = r.now if name == "rloo" else r.old
    return loss, config, r.rows(loss, mask, old, advantages.expand(B, C))


def away(mine, wanted):
    """How far gradients are from each other, as a share of the norm."""
    a, b = torch.cat([g.flatten() for g in mine]), torch.cat([g.flatten() for g in wanted])
    assert b.norm() > 0
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize("name", CASES)
def test_parity(name, tiny, policy, live, tmp_path):
    r = Rollouts(policy)
    loss, wanted = theirs(name, tiny, policy, tmp_path, r)
    fn, config, data = ours(name, r)
    policy.forget_gradient()
    answer = policy.forward_backward(batch(policy.base, data, fn, config=config), 64)
    inside = away([p.grad for p in policy.parameters.values()], wanted)
    policy.forget_gradient()
    through, far = through_protocol(live, policy, data, fn, config, tmp_path, wanted)
    print(f"\n{name:12} gradient off by {inside:.1e}, through the protocol {far:.1e}", end="")
    assert max(inside, far) <= CLOSE
    if name != "rloo":  # its loss is per sequence: only the gradient is comparable
        off = [abs(value - loss) / abs(loss) for value in (answer["metrics"]["loss:sum"], through)]
        print(f"; loss {loss:+.6f} off by {off[0]:.1e}, through the protocol {off[1]:.1e}", end="")
        assert max(off) <= CLOSE


def through_protocol(live, policy, data, fn, config, tmp_path, wanted):
    """The loss that a live worker answers, and how far its gradient is, read off a step that is as good as plain descent."""
    before = checkpoint.adapter_files(policy)
    for file, content in before.items():
        (tmp_path / file).write_bytes(content)
    model = live.model()
    assert live.wait("load_weights", {"model_id": model, "path": f"file://{tmp_path}"})[0] == 200
    status, answer = live.backward(model, data, fn, **({"loss_fn_config": config} if config else {}))
    assert status == 200, answer
    norm = float(torch.cat([g.flatten() for g in wanted]).norm())
    rate, epsilon = 30 / norm, 1e9
    said = live.step(model, rate * epsilon, beta1=0.0, beta2=0.0, eps=epsilon)[1]["metrics"]["skyrl.ai/grad_norm"]
    assert said == pytest.approx(norm, rel=CLOSE)
    assert live.wait("save_weights", {"model_id": model, "path": "after"})[0] == 200
    assert live.wait("save_weights_for_sampler", {"model_id": model, "path": "after"})[0] == 200
    after = download(live, model)
    live.wait("unload_model", {"model_id": model})
    moved = [(policy.parameters[name].detach().double() - after[name].double()) / rate for name in policy.parameters]
    return answer["metrics"]["loss:sum"], away(moved, [g.double() for g in wanted])


def download(live, model):
    import io
    import tarfile

    from safetensors.torch import load

    status, packed = live.call(f"training_runs/{model}/checkpoints/after/download")
    assert status == 200
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        return load(tar.extractfile("adapter_model.safetensors").read())
