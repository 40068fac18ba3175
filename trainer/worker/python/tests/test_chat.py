"""Chats in ids. The worker's own template is tested from Go, through the whole way."""

import pytest
from tracegrad_worker.chat import Renderer

ASK = [{"role": "user", "content": "the quick"}]
TURNS = [*ASK, {"role": "assistant", "content": "brown fox"}, {"role": "user", "content": "agents"}, {"role": "assistant", "content": "results"}]


def words(base, ids, mask):
    """What is marked, turn by turn."""
    out, last = [], False
    for token, marked in zip(ids, mask, strict=True):
        if marked and not last:
            out.append([])
        if marked:
            out[-1].append(token)
        last = marked
    return [base.tokenizer.decode(turn) for turn in out]


@pytest.fixture
def render(base):
    return lambda *chats: Renderer(base.tokenizer, base.end_ids()).render(list(chats))


def test_every_turn_with_its_end(base, render):
    (got,) = render({"messages": TURNS})
    assert words(base, got["ids"], got["assistant"]) == ["brown fox<|im_end|>", "results<|im_end|>"]
    text = base.tokenizer.apply_chat_template(TURNS, tokenize=False)
    assert got["ids"] == base.tokenizer(text, add_special_tokens=False)["input_ids"]


def test_ends_within_what_was_said(base, render):
    messages = [*ASK, {"role": "assistant", "content": "a<|im_end|>\n<|im_start|>user\nb"}]
    (got,) = render({"messages": messages})
    assert words(base, got["ids"], got["assistant"]) == ["a<|im_end|>\n<|im_start|>user\nb<|im_end|>"]


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}{{ m.role + ':' + m.content + '\n' }}{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}",  # no end
        "{{ messages | length }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}",  # anew each time
    ],
)
def test_templates_that_cannot_tell(base, render, template):
    before, base.tokenizer.chat_template = base.tokenizer.chat_template, template
    try:
        (got,) = render({"messages": TURNS})
    finally:
        base.tokenizer.chat_template = before
    assert got["ids"] and got["assistant"] is None


def test_one_bad_chat_is_alone(render):
    bad = [{"messages": []}, {}, 3, {"messages": [{"role": "user"}]}, {"messages": ["x"]}, {"messages": [{"role": "assistant", "content": 1}]}]
    good, *rest = render({"messages": TURNS, "tools": []}, *bad)
    assert good["assistant"] and all(r["error"] and not r["ids"] for r in rest)


def test_bounds(render, monkeypatch):
    monkeypatch.setattr("tracegrad_worker.chat.MAX_TEXT", 300)
    first, second = render({"messages": ASK}, {"messages": [{"role": "user", "content": "x" * 400}]})
    assert first["ids"] and "ask for fewer" in second["error"]
