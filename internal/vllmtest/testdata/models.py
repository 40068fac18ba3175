"""Makes a tiny random model with a tokenizer of its own, and adapters of it.

Usage: models.py MODEL ADAPTERS

The model is a Qwen3 of two layers that knows 1,000 tokens; what it says is
noise, which is what a test of tokens wants. Its name is the folder's, as vLLM's
resolver compares it with the adapters' base_model_name_or_path.
"""

import json
import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

MARKS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"]

TEMPLATE = """\
{%- if tools %}<|im_start|>system
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content or '' }}
{%- for call in message.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments if call.function.arguments is string else call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def tokenizer() -> PreTrainedTokenizerFast:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    texts = ["What is the weather in Oslo today?", "You answer in one line.", '{"name": "get_weather", "arguments": {"city": "Oslo"}}', TEMPLATE, __doc__]
    trainer = trainers.BpeTrainer(vocab_size=1000, special_tokens=MARKS, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    bpe.train_from_iterator(texts * 20, trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token=MARKS[2], pad_token=MARKS[0], model_max_length=2048, clean_up_tokenization_spaces=False)
    made.chat_template = TEMPLATE
    return made


def learn(model: str, words: PreTrainedTokenizerFast, to: str) -> None:
    """Makes an adapter that knows attempt.json by heart: calls its tool, and answers when it sees the result."""
    attempt = json.loads(Path(__file__).with_name("attempt.json").read_text(encoding="utf-8"))
    rows = []
    for i, message in enumerate(attempt["messages"]):
        if message["role"] == "assistant":
            before, after = (
                words.apply_chat_template(attempt["messages"][: i + more], tools=attempt["tools"], add_generation_prompt=not more, return_dict=False)
                for more in (0, 1)
            )
            reply = after[len(before) : len(after) - after[::-1].index(words.eos_token_id)]
            rows.append((torch.tensor([before + reply]), len(reply)))
    base = Qwen3ForCausalLM.from_pretrained(model, dtype=torch.float32)
    caller = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", r=16, lora_alpha=32, target_modules="all-linear"))
    optimizer = torch.optim.Adam([p for p in caller.parameters() if p.requires_grad], lr=2e-3)
    for _ in range(200):
        least = 1.0  # probability of a token
        optimizer.zero_grad()
        for ids, n in rows:
            logprobs = caller(ids).logits[0, -n - 1 : -1].log_softmax(-1).gather(1, ids[0, -n:, None])
            (-logprobs.mean()).backward()
            least = min(least, logprobs.min().exp().item())
        if least > 0.7:  # so small a model cannot be much surer
            break
        optimizer.step()
    else:
        raise SystemExit("caller did not learn attempt.json")
    for each in caller.peft_config.values():
        each.base_model_name_or_path = model
    caller.save_pretrained(to)


def main(model: str, adapters: str) -> None:
    words = tokenizer()
    words.save_pretrained(model)
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=1024, hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=32,
        max_position_embeddings=2048, tie_word_embeddings=False, initializer_range=0.08,
        bos_token_id=None, eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id,
    )
    base = Qwen3ForCausalLM(config).to(torch.float32)
    base.save_pretrained(model)
    base.name_or_path = model
    tuned = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules=["q_proj", "v_proj", "up_proj", "down_proj"]))
    for name, weights in tuned.named_parameters():
        if "lora_B" in name:  # else the adapter would change nothing
            torch.nn.init.normal_(weights, std=0.05)
    for each in tuned.peft_config.values():
        each.base_model_name_or_path = model
    tuned.save_pretrained(f"{adapters}/tuned")
    learn(model, words, f"{adapters}/caller")


main(*sys.argv[1:])
