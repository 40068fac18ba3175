"""The worker beside TRL: the same base model, adapter, rows and loss, a step at a time in turns.

    python bench.py [--hidden 256 --layers 6 --vocabulary 8192 | --model FOLDER] [--rounds 5] [--threads 1] [--json]

A round is one optimizer step of each: forward, backward, AdamW. The worker is driven over HTTP, as tracegrad drives it; TRL's
GRPOTrainer computes its loss in its own process. Neither recomputes activations. CPU time is of the whole process (neighbours
on the machine disturb it little); peak memory is what the system counted for the process. Linux only.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "tests"), str(HERE.parent / "workertest"), str(HERE)]

ROWS, LOW, HIGH, RATE = 8, 0.8, 1.2, 1e-4


def rollouts(vocabulary: int) -> list[tuple[list[int], int]]:
    """Tokens and the length of the prompt: two prompts, four replies each, of lengths as agents have them."""
    import torch

    g = torch.Generator().manual_seed(11)
    out = []
    for n in (160, 288):
        prompt = torch.randint(3, vocabulary, (n,), generator=g).tolist()
        for reply in (48, 96, 192, 352):
            out.append((prompt + torch.randint(3, vocabulary, (reply,), generator=g).tolist(), n))
    return out


def usage(pid: int) -> tuple[float, float]:
    """CPU seconds so far, and peak memory in MB."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    peak = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(peak.split()[1]) / 1024


class Worker:
    """The worker in its process."""

    def __init__(self, model: str, data: list, threads: int, checkpoints: str, tokens: int):
        from conftest import Client, row

        command = [sys.executable, "-m", "tracegrad_worker", "--model", model, "--name", "tiny", "--checkpoints", checkpoints]
        command += ["--threads", str(threads), "--device", "cpu", "--tokens", str(tokens)]
        environment = os.environ | {"TRACEGRAD_WORKER_TOKEN": "secret", "PYTHONPATH": os.pathsep.join(sys.path)}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self.client = Client(json.loads(self.process.stdout.readline())["port"], "secret")
        self.model = self.client.model(rank=8)
        total = sum(len(tokens) - prompt for tokens, prompt in data)
        advantages = [(1.0 if i % 2 else -1.0) / total for i in range(ROWS)]
        self.rows = [row(t, p, logprobs=-9.0, advantages=a) for (t, p), a in zip(data, advantages, strict=True)]
        self.config = {"clip_low_threshold": LOW, "clip_high_threshold": HIGH}

    def step(self) -> None:
        status, answer = self.client.backward(self.model, self.rows, "ppo", loss_fn_config=self.config)
        assert status == 200, answer
        assert self.client.step(self.model, RATE)[0] == 200


class TRL:
    """This script again, in the part of TRL: a line in, a step, a line out."""

    def __init__(self, model: str, threads: int):
        command = [sys.executable, __file__, "--model", model, "--threads", str(threads), "--trl"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._answer()

    def step(self) -> None:
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        self._answer()

    def _answer(self) -> None:
        while (line := self.process.stdout.readline()) != "done\n":  # datasets prints progress
            assert line, "the process of TRL ended"


def be_trl(model: str, threads: int) -> None:
    """Serves steps of TRL's GRPOTrainer."""
    import torch
    import trl
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(threads)
    data = rollouts(AutoConfig.from_pretrained(model).vocab_size)
    args = trl.GRPOConfig(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=ROWS, num_generations=ROWS, max_steps=1, report_to=[],
        use_cpu=True, bf16=False, save_strategy="no", gradient_checkpointing=False, loss_type="dapo", epsilon=0.2,
    )  # fmt: skip
    made = trl.GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32), args=args, reward_funcs=lambda completions, **_: [0.0] * len(completions),
        processing_class=AutoTokenizer.from_pretrained(model), train_dataset=Dataset.from_dict({"prompt": ["a"] * ROWS}),
        peft_config=LoraConfig(r=8, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"),
    )  # fmt: skip
    made.current_gradient_accumulation_steps = 1
    made.model.train()
    pad = torch.nn.utils.rnn.pad_sequence
    prompts = [torch.tensor(t[:p]) for t, p in data]
    replies = [torch.tensor(t[p:]) for t, p in data]
    prompt_ids = pad([p.flip(0) for p in prompts], batch_first=True).flip(1)
    prompt_mask = pad([torch.ones(len(p), dtype=torch.long) for p in prompts], batch_first=True).flip(1)
    mask = pad([torch.ones(len(r), dtype=torch.long) for r in replies], batch_first=True)
    inputs = {
        "prompt_ids": prompt_ids, "prompt_mask": prompt_mask, "completion_ids": pad(replies, batch_first=True), "completion_mask": mask,
        "advantages": torch.tensor([1.0 if i % 2 else -1.0 for i in range(ROWS)]), "num_items_in_batch": mask.sum().float(),
        "old_per_token_logps": torch.full(mask.shape, -9.0),
    }  # fmt: skip
    optimizer = torch.optim.AdamW([p for p in made.model.parameters() if p.requires_grad], lr=RATE)
    print("done", flush=True)
    while sys.stdin.readline():
        made._compute_loss(made.model, inputs).backward()
        optimizer.step()
        optimizer.zero_grad()
        print("done", flush=True)


def measure(args: argparse.Namespace, model: str, folder: str) -> dict:
    """Medians over the rounds, the first of which warms up."""
    from transformers import AutoConfig

    data = rollouts(AutoConfig.from_pretrained(model).vocab_size)
    tokens = sum(len(t) for t, _ in data)
    engines = {"worker": Worker(model, data, args.threads, folder, args.tokens), "trl": TRL(model, args.threads)}
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in engines}
    for n in range(args.rounds + 1):
        for name, engine in engines.items():
            began, before = time.monotonic(), usage(engine.process.pid)[0]
            engine.step()
            if n > 0:
                rounds[name].append((time.monotonic() - began, usage(engine.process.pid)[0] - before))
    out = {"tokens_per_step": tokens, "rows": ROWS, "rounds": args.rounds, "threads": args.threads}
    for name, engine in engines.items():
        wall, cpu = (statistics.median(x) for x in zip(*rounds[name], strict=True))
        out[name] = {"tokens_per_s": tokens / wall, "tokens_per_cpu_s": tokens / cpu, "peak_mb": usage(engine.process.pid)[1]}
        engine.process.stdin.close()
        engine.process.wait()
    ratios = [t[1] / w[1] for w, t in zip(rounds["worker"], rounds["trl"], strict=True)]
    out["ratio"] = {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="folder of a base model; else a random Qwen3 is made")
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--vocabulary", type=int, default=8192)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=0, help="padded tokens of the worker's micro-batches (0 = its default)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--trl", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.trl:
        return be_trl(args.model, args.threads)
    with tempfile.TemporaryDirectory() as folder:
        model = args.model
        if model is None:
            import tiny

            model = str(Path(folder) / "model")
            tiny.main(model, args.vocabulary, args.hidden, args.layers)
        out = measure(args, model, folder)
    if args.json:
        print(json.dumps(out, indent=2))
        return None
    print(f"{out['rows']} rows, {out['tokens_per_step']} tokens a step, {out['rounds']} rounds, {out['threads']} thread(s)")
    for name in ("worker", "trl"):
        print(f"{name:7} {out[name]['tokens_per_s']:8.0f} tokens/s {out[name]['tokens_per_cpu_s']:8.0f} tokens per CPU s, peak {out[name]['peak_mb']:6.0f} MB")
    print(f"worker / TRL, tokens per CPU s: {out['ratio']['median']:.2f} [{out['ratio']['least']:.2f}–{out['ratio']['most']:.2f}]")
    return None


if __name__ == "__main__":
    main()
