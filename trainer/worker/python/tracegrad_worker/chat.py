"""Chats in token ids, by the model's own chat template."""

import hashlib
import threading

from .refusal import Refusal

MAX_CHATS = 4096
MAX_TEXT = 1 << 28  # characters rendered for one request


class Renderer:
    """What render answers: ids, and which of them an assistant wrote."""

    def __init__(self, tokenizer, end_ids: set[int]):
        self._tokenizer = tokenizer
        self._ends = end_ids | ({tokenizer.eos_token_id} - {None})
        self._lock = threading.Lock()

    def render(self, chats: object) -> list[dict]:
        """One answer per chat. Chats of one request share the rendering of what they begin with."""
        if not isinstance(chats, list) or len(chats) > MAX_CHATS:
            raise Refusal(422, f"chats must be a list of at most {MAX_CHATS}")
        if not self._tokenizer.chat_template:
            raise Refusal(400, "the model has no chat template: only calls whose token ids were captured can be trained on")
        texts: dict = {}
        with self._lock:
            return [self._one(chat, texts) for chat in chats]

    def _one(self, chat: object, texts: dict) -> dict:
        try:
            begun = _Begun(self._tokenizer, chat, texts)
            text = begun.text(len(begun.messages), chat.get("add_generation_prompt") is True)
            encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
            spans = begun.spans(text)
        except Exception as e:  # noqa: BLE001 - templates run code and raise anything
            return {"ids": [], "assistant": None, "error": f"{type(e).__name__}: {e}"[:500]}
        ids = encoded["input_ids"]
        return {"ids": ids, "assistant": self._mask(ids, encoded["offset_mapping"], spans)}

    def _mask(self, ids: list[int], offsets: list, spans: list[tuple[int, int]] | None) -> list[bool] | None:
        """Marks each span's tokens up to its last end of turn; None where a span has none, or a token straddles its start."""
        if spans is None:
            return None
        mask, t = [False] * len(ids), 0
        for start, end in spans:
            while t < len(ids) and offsets[t][1] <= start:
                t += 1
            first = t
            while t < len(ids) and offsets[t][0] < end:
                t += 1
            last = max((k for k in range(first, t) if ids[k] in self._ends), default=-1)
            if last < 0 or offsets[first][0] < start:
                return None
            mask[first : last + 1] = [True] * (last + 1 - first)
        return mask


class _Begun:
    """A chat and the renderings of its beginnings, which other chats may have made already."""

    def __init__(self, tokenizer, chat: object, texts: dict):
        if not isinstance(chat, dict) or not isinstance(chat.get("messages"), list) or not chat["messages"]:
            raise ValueError("a chat needs messages")
        self.messages, self._tools = chat["messages"], chat.get("tools") or None
        self._tokenizer, self._texts = tokenizer, texts
        digest = hashlib.sha256(repr(self._tools).encode())
        self._marks = [digest.digest()]
        for message in self.messages:
            digest.update(repr(message).encode())
            self._marks.append(digest.digest())

    def text(self, n: int, generate: bool) -> str:
        """The first n messages in the template's words."""
        key = (self._marks[n], generate)
        if key not in self._texts:
            out = self._tokenizer.apply_chat_template(
                self.messages[:n], tools=self._tools, add_generation_prompt=generate, tokenize=False
            )
            rendered = self._texts.get("", 0) + len(out)
            if rendered > MAX_TEXT:
                raise ValueError(f"the chats of this request render to more than {MAX_TEXT} characters: ask for fewer at once")
            self._texts[key], self._texts[""] = out, rendered
        return self._texts[key]

    def spans(self, text: str) -> list[tuple[int, int]] | None:
        """Where assistants wrote in the text; None if the template writes anew what came before a turn."""
        out = []
        for i, message in enumerate(self.messages):
            if message.get("role") != "assistant":
                continue
            if i == 0:
                return None  # what the template writes before it cannot be told from what the assistant wrote
            before, after = self.text(i, True), self.text(i + 1, False)
            if not after.startswith(before) or not text.startswith(after):
                return None
            out.append((len(before), len(after)))
        return out
