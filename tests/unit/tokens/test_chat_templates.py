"""Rendered chats: the place of every content, or none where it is not certain."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worldline.errors import InputError
from worldline.tokens.chat_templates import (
    STRIPPED,
    NamedSpan,
    Turn,
    ends_left_out,
    render_chat,
    turns_of,
    unsteady,
)

PLAIN = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
STRIPPING = PLAIN.replace("m.content", "m.content | trim")
SHOUTING = PLAIN.replace("m.content", "m.content | upper")
PARTIAL = PLAIN.replace("m.content", "m.content.split('#')[-1]")
PARTS = PLAIN.replace(
    "{{ m.content }}",
    "{% for c in m.content %}{% if c['type'] == 'text' %}{{ c['text'] }}{% endif %}{% endfor %}",
)
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


@pytest.mark.parametrize("text", ["user", " user", "user\n", " a b "])
@pytest.mark.parametrize("template", [PLAIN, STRIPPING])
def test_ends_that_a_template_strips_are_told(chatting, template, text):
    tokenizer = chatting(template)
    shown, turns = render_chat(tokenizer, [Turn("user", text)])
    stripped = template == STRIPPING and text != text.strip()
    assert ends_left_out(text, shown, turns) == (STRIPPED if stripped else "")


class TestWords:
    """The words of every turn come out of the template, or the conversation is refused."""

    def test_shouted(self, chatting):
        with pytest.raises(InputError, match=r"changes the words of the user \(turn 0\)"):
            render_chat(chatting(SHOUTING), [Turn("user", "hi")])

    def test_left_out_in_part(self, chatting):
        turns = [Turn("user", "plain words"), Turn("assistant", "thoughts#said")]
        with pytest.raises(InputError, match=r"changes the words of the assistant \(turn 1\)"):
            render_chat(chatting(PARTIAL), turns)

    def test_a_system_text_that_is_dropped(self, chatting):
        template = PLAIN.replace("for m in messages", "for m in messages if m.role != 'system'")
        turns = [Turn("system", "user"), Turn("user", "hi")]  # whose word the template says itself
        with pytest.raises(InputError, match="leaves out the words of the system"):
            render_chat(chatting(template), turns)

    def test_thoughts_of_an_earlier_answer_may_be_dropped(self, chatting):
        template = PLAIN.replace("m.content", "m.content.split('</think>')[-1]")
        turns = [Turn("user", "a"), Turn("assistant", "<think>b</think> c"), Turn("user", "d")]
        text, _ = render_chat(chatting(template), turns)
        assert (
            text
            == "<|user|>\na<|end|>\n<|assistant|>\n c<|end|>\n<|user|>\nd<|end|>\n<|assistant|>\n"
        )

    def test_given_as_parts_where_the_template_reads_parts(self, chatting):
        text, spans = render_chat(chatting(PARTS), [Turn("system", "be"), Turn("user", "hi you")])
        assert text == "<|system|>\nbe<|end|>\n<|user|>\nhi you<|end|>\n<|assistant|>\n"
        assert [text[span.start : span.end] for span in spans] == ["be", "hi you"]

    def test_parts_of_users_and_words_of_the_system(self, chatting):
        template = "{{ messages[0].content | trim }}\n" + PARTS.replace("messages", "messages[1:]")
        text, _ = render_chat(chatting(template), [Turn("system", "be"), Turn("user", "hi you")])
        assert text == "be\n<|user|>\nhi you<|end|>\n<|assistant|>\n"


class TestGenerationPrompt:
    """What opens an answer, also where a template does not write it when asked."""

    def test_a_template_that_knows_none(self, chatting):
        template = PLAIN.partition("{% if")[0]
        text, spans = render_chat(chatting(template), [Turn("user", "hi")])
        assert text == "<|user|>\nhi<|end|>\n<|assistant|>\n"
        assert len(spans) == 1

    def test_a_template_that_needs_none(self, chatting):
        template = "{% for m in messages %}[{{ m.role == 'user' }}] {{ m.content }}{% endfor %}"
        template = template.replace("[{{ m.role == 'user' }}]", "{{ '[I]' if m.role == 'user' }}")
        text, _ = render_chat(chatting(template), [Turn("user", "hi")])
        assert text == "[I] hi"


def test_no_template(small):
    with pytest.raises(InputError, match="no chat template"):
        render_chat(small["byte-level"], [Turn("user", "hi")])


def test_no_turns(chatting):
    with pytest.raises(InputError, match="at least one turn"):
        render_chat(chatting(PLAIN), [])


def test_a_template_that_refuses(chatting):
    with pytest.raises(InputError, match="refused these turns: roles must alternate"):
        render_chat(chatting(STRICT), [Turn("user", "hi")])


FOLDING = PLAIN.replace("m.content", "m.content.split() | join(' ')")
CODE = "code:\n\tx = 1\n\n  y"


class TestBlanks:
    """Blanks at the ends may go; those inside are words as any."""

    def test_folded(self, chatting):
        with pytest.raises(InputError, match=r"changes the blanks in the words of the user"):
            render_chat(chatting(FOLDING), [Turn("user", CODE)])

    @pytest.mark.parametrize("template", [PLAIN, STRIPPING, PARTS])
    def test_kept(self, chatting, template):
        text, _ = render_chat(chatting(template), [Turn("user", f" {CODE}\n")])
        assert CODE in text


def test_words_that_come_twice(chatting):
    template = PLAIN.replace("{{ m.content }}", "{{ m.content }}{{ m.content }}")
    with pytest.raises(InputError, match=r"writes the words of the user \(turn 0\) 2 times"):
        render_chat(chatting(template), [Turn("user", "hi")])


class TestLists:
    """Templates in a list, each with a name, as older files hold them."""

    def test_the_default(self, chatting):
        listed = [{"name": "tool_use", "template": STRICT}, {"name": "default", "template": PLAIN}]
        assert render_chat(chatting(listed), [Turn("user", "hi")]) == render_chat(
            chatting(PLAIN), [Turn("user", "hi")]
        )

    @pytest.mark.parametrize("listed", [[{"name": "tool_use", "template": PLAIN}], [PLAIN], [{}]])
    def test_none_of_them(self, chatting, listed):
        with pytest.raises(InputError, match="accepted is the one called default"):
            render_chat(chatting(listed), [Turn("user", "hi")])


class TestUnsteady:
    """Templates that make another text another time."""

    @pytest.mark.parametrize(
        ("more", "what"),
        [
            ("{{ strftime_now('%d %b %Y') }}", "writes the date or the time"),
            ("{{ ['a', 'b'] | random }}", "draws at random"),
            ("{{ ['a', 'b']|random }}", "draws at random"),
            ("{{ lipsum(1) }}", "draws at random"),
            ("{{ 'random' }}", ""),
            ("", ""),
        ],
    )
    def test_is_told(self, chatting, more, what):
        assert unsteady(chatting(more + PLAIN)) == what

    def test_turns_stand_in_the_text_that_was_read(self, chatting):
        tokenizer = chatting("{{ range(99999) | random }}" + PLAIN)
        shown = "yesterday<|user|>\nhi you<|end|>\n<|assistant|>\n"
        (turn,) = turns_of(tokenizer, "hi you", chat=True, chat_text=shown)
        assert shown[turn.start : turn.end] == "hi you"
