"""Computes log-probabilities of recorded tokens by a forward pass of transformers.

Usage: truth.py MODEL ADAPTERS <calls >answers

A call is a line of JSON: {"adapter": name or "", "temperature": t, "prompt":
[ids], "ids": [ids], "messages": [...], "tools": [...] or null}. Its answer is
one too: {"logprobs": [...], "prompt": [the ids that the chat template gives]}.
"""

import json
import sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer


def main(path: str, adapters: str) -> None:
    torch.set_num_threads(1)
    words = AutoTokenizer.from_pretrained(path)
    loaded = {}
    for line in sys.stdin:
        call = json.loads(line)
        name = call["adapter"]
        if name not in loaded:
            model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
            loaded[name] = (PeftModel.from_pretrained(model, f"{adapters}/{name}") if name else model).eval()
        prompt, ids = call["prompt"], call["ids"]
        with torch.no_grad():
            logits = loaded[name](torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1]
        logprobs = (logits / call["temperature"]).log_softmax(-1).gather(1, torch.tensor(ids)[:, None])[:, 0]
        rendered = words.apply_chat_template(call["messages"], tools=call["tools"], add_generation_prompt=True, return_dict=False)
        print(json.dumps({"logprobs": logprobs.tolist(), "prompt": rendered}), flush=True)


main(*sys.argv[1:])
