"""The base model: frozen, shared by all adapters, with log-probabilities that never hold a whole batch of logits."""

import hashlib
import json

import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer

_CHUNK = 1 << 25  # logits held at once


class _Logprobs(torch.autograd.Function):
    """log p(target | hidden) of a linear head that is not trained, its logits divided by the temperature.

    Its derivative, (head[target] - softmax @ head) / temperature, is made beside the value: one vector per token is kept for the way
    back in the place of one logit per token and word.
    """

    @staticmethod
    def forward(ctx, hidden, weight, bias, targets, temperature):
        step = max(1, _CHUNK // weight.shape[0])
        logprobs, slopes = [], []
        for part, wanted in zip(hidden.split(step), targets.split(step), strict=True):
            logits = nn.functional.linear(part, weight, bias).float().div_(temperature)
            chosen = logits.gather(1, wanted[:, None]).squeeze(1)
            norm = logits.logsumexp(1)
            logprobs.append(chosen - norm)
            if ctx.needs_input_grad[0]:
                shares = logits.sub_(norm[:, None]).exp_().to(weight.dtype)
                slopes.append((weight[wanted] - shares @ weight) / temperature)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(torch.cat(slopes))
        return torch.cat(logprobs)

    @staticmethod
    def backward(ctx, gradient):
        (slopes,) = ctx.saved_tensors
        return (gradient[:, None] * slopes).to(slopes.dtype), None, None, None, None


class Base:
    """A causal language model and its tokenizer."""

    def __init__(self, path: str, name: str, device: str, dtype: torch.dtype, checkpointing: bool):
        self.name = name
        self.device = torch.device(device)
        self.tokenizer = AutoTokenizer.from_pretrained(path)
        self.model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype).to(self.device)
        self.model.requires_grad_(False)
        _no_dropout(self.model)
        self.model.train(checkpointing)  # transformers checkpoints in training mode only
        if checkpointing:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        config = self.model.config.get_text_config()
        self.hidden = config.hidden_size
        self.context = int(getattr(config, "max_position_embeddings", 0) or 1 << 20)
        self.vocabulary = self.model.get_input_embeddings().num_embeddings
        self.fingerprint = _fingerprint(self.model)
        self.tokenizer_hash = _tokenizer_hash(self.tokenizer)
        self.peft = None  # the adapters, once there is one
        self._plain_head = True
        self._plain_head = self._probe()

    def logprobs(
        self, ids: torch.Tensor, rows: torch.Tensor, positions: torch.Tensor, targets: torch.Tensor, temperature: float = 1.0
    ):
        """Log-probabilities of targets at (rows, positions) of padded ids, float32, and the hidden states there.

        They are those of sampling at the temperature. Padding stands to the right: a causal model does not see it.
        """
        if not self._plain_head:
            out = self.model(input_ids=ids, use_cache=False, output_hidden_states=True)
            logits = out.logits[rows, positions].float() / temperature
            return logits.log_softmax(-1).gather(1, targets[:, None]).squeeze(1), out.hidden_states[-1][rows, positions]
        hidden = self.states(ids, rows, positions)
        head = self.model.get_output_embeddings()
        return _Logprobs.apply(hidden, head.weight, getattr(head, "bias", None), targets, temperature), hidden

    def states(self, ids: torch.Tensor, rows: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """The last hidden states at (rows, positions)."""
        return self.model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state[rows, positions]

    def end_ids(self) -> set[int]:
        """The ids that end a turn, beside the tokenizer's own."""
        config = self.model.generation_config
        ends = config.eos_token_id if config is not None else None
        return set(ends if isinstance(ends, list) else [ends]) - {None}

    @torch.no_grad()
    def _probe(self) -> bool:
        """Whether the model's logits are its head times its last hidden state, and nothing more (soft caps, scales)."""
        ids = (torch.arange(16, device=self.device) * 7919 % self.vocabulary)[None]
        at = torch.arange(16, device=self.device)
        fast, _ = self.logprobs(ids, torch.zeros_like(at), at, ids[0])
        full = self.model(input_ids=ids, use_cache=False).logits[0].float().log_softmax(-1)
        return bool(torch.allclose(fast, full[at, ids[0]], rtol=1e-3, atol=1e-2 if fast.is_cuda else 1e-4))


def _no_dropout(model: nn.Module) -> None:
    """Ratios of log-probabilities need the same function twice."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0


def _fingerprint(model: nn.Module) -> str:
    """Names the weights by their shapes and some of their values: a checkpoint of one model is no other's."""
    digest = hashlib.sha256()
    for name, weight in sorted(model.state_dict().items()):
        some = weight.flatten()[:: max(1, weight.numel() // 64)][:64].float().cpu()
        digest.update(f"{name} {tuple(weight.shape)} ".encode() + some.numpy().tobytes())
    return digest.hexdigest()


def _tokenizer_hash(tokenizer) -> str:
    """Names what turns chats into ids: the tokenizer's own file and the chat template."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    vocabulary = json.loads(backend.to_str()) if backend is not None else tokenizer.get_vocab()
    if isinstance(vocabulary, dict):  # settings of the last call, not of the tokenizer
        vocabulary.pop("truncation", None)
        vocabulary.pop("padding", None)
    whole = {"tokenizer": vocabulary, "chat_template": tokenizer.chat_template}
    return hashlib.sha256(json.dumps(whole, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
