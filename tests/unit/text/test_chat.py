"""Rendered chats: the place of every content, or none where it is not certain."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worldline.errors import InputError
from worldline.text.chat import NamedSpan, Turn, render_chat

PLAIN = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
STRIPPING = PLAIN.replace("m.content", "m.content | trim")
SHOUTING = PLAIN.replace("m.content", "m.content | upper")
PARTIAL = PLAIN.replace("m.content", "m.content.split('#')[-1]")
STRICT = "{{ raise_exception('roles must alternate') }}"


@pytest.fixture
def chatting(small):
    def with_template(template):
        tokenizer = copy.copy(small["byte-level"])
        tokenizer.chat_template = template
        return tokenizer

    return with_template


def test_one_user_turn(chatting):
    text, spans = render_chat(chatting(PLAIN), [Turn("user", "user")])
    assert text == "<|user|>\nuser<|end|>\n<|assistant|>\n"
    assert spans == (NamedSpan("user 0", 9, 13),)


def test_without_generation_prompt(chatting):
    text, _ = render_chat(chatting(PLAIN), [Turn("user", "hi")], add_generation_prompt=False)
    assert text == "<|user|>\nhi<|end|>\n"


@pytest.mark.parametrize("template", [PLAIN, STRIPPING])
@given(contents=st.lists(st.text(max_size=8), min_size=1, max_size=3))
def test_spans_hold_the_contents(small, template, contents):
    tokenizer = copy.copy(small["byte-level"])
    tokenizer.chat_template = template
    turns = [Turn(role, text) for role, text in zip(["user", "assistant"] * 2, contents)]  # noqa: B905
    text, spans = render_chat(tokenizer, turns)
    assert [span.name.split()[0] for span in spans] == [turn.role for turn in turns]
    for turn, span in zip(turns, spans, strict=True):
        assert text[span.start : span.end].strip() == turn.content.strip()


def test_a_rewritten_content_has_no_span(chatting):
    text, spans = render_chat(chatting(SHOUTING), [Turn("user", "hi")])
    assert "HI" in text
    assert spans == ()


def test_an_untouched_content_of_a_rewriting_template_is_found(chatting):
    turns = [Turn("user", "plain words"), Turn("assistant", "thoughts#said")]
    text, spans = render_chat(chatting(PARTIAL), turns)
    assert [span.name for span in spans] == ["user 0"]
    assert text[spans[0].start : spans[0].end] == "plain words"


def test_no_template(small):
    with pytest.raises(InputError, match="no chat template"):
        render_chat(small["byte-level"], [Turn("user", "hi")])


def test_no_turns(chatting):
    with pytest.raises(InputError, match="at least one turn"):
        render_chat(chatting(PLAIN), [])


def test_a_template_that_refuses(chatting):
    with pytest.raises(InputError, match="refused these turns: roles must alternate"):
        render_chat(chatting(STRICT), [Turn("user", "hi")])
