"""Commands read out of replies: a table of cases, and laws that hold for any text."""

from __future__ import annotations

import itertools
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worldline.room.action_claims import BADGES
from worldline.room.events import Span
from worldline.room.inert_regions import regions, without_reasoning
from worldline.room.reply_commands import FORMS, ParsedReply, closest, find_model, parse
from worldline.room.speaker_labels import borrowed_passages

CASES = tomllib.loads((Path(__file__).parent / "command_cases.toml").read_text("utf-8"))["case"]


def test_the_table_is_as_large_as_promised():
    assert len({case["text"] for case in CASES}) >= 150


@pytest.mark.parametrize("case", CASES, ids=[f"{n} {c['group']}" for n, c in enumerate(CASES)])
def test_case(case):
    found = parse(case["text"])
    assert [[one.name, *one.arguments] for one in found.commands] == case.get("run", [])
    assert [one.code for one in found.near] == case.get("near", [])
    assert [one.name for one in found.imitations] == case.get("imitations", [])
    assert [one.name for one in found.claims] == case.get("claims", [])
    assert len(found.repeats) == case.get("repeats", 0)
    well_placed(case["text"], found)


def well_placed(text: str, found: ParsedReply) -> None:
    """Spans point at what they name, in order, none over another."""
    for one in (*found.commands, *found.repeats):
        assert text[one.start :].startswith(f"!{one.name}")
        assert not set(text[one.start : one.end]) & set("\n\r\u2028")
    for near in found.near:
        assert 0 <= near.start < near.end <= len(text)
        assert near.hint
    spans = sorted((o.start, o.end) for o in (*found.commands, *found.repeats, *found.near))
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
    starts = [one.start for one in found.commands]
    assert starts == sorted(starts)


PIECES = st.sampled_from(
    [f"{sign}{name}" for name in FORMS for sign in "!?"]
    + list("\"“”'\\`\n\r\u2028 \t>9.*_()é🎨")
    + [
        "/image",
        "!imagine",
        '\\"',
        "„x“",
        "```",
        "~~~",
        "<think>",
        "</think>",
        "1.2",
        "Bob:",
        "word",
        "![x](y)",
    ]
    + ['"a cat"', '"Opus" "hi"', "\n\n", "> ", "[Bob]: ", "[AI-2 (Bob)]: "]
)
TEXTS = st.one_of(
    st.lists(PIECES, max_size=30).map("".join),
    st.lists(PIECES, max_size=30).map(" ".join),
    st.text(max_size=80),
)


@given(TEXTS)
def test_any_text_is_read_and_always_alike(text):
    found = parse(text)
    assert parse(text) == found
    well_placed(text, found)


@given(TEXTS)
def test_a_command_alone_reads_as_itself(text):
    """What runs is a whole command where it stands, not a piece of something else."""
    for one in parse(text).commands:
        alone = parse(text[one.start : one.end])
        assert [(x.name, x.arguments) for x in alone.commands] == [(one.name, one.arguments)]
        assert not alone.near


@given(TEXTS)
def test_nothing_runs_in_code_quotes_reasoning_or_another_name(text):
    spans = (*regions(text), *borrowed_passages(text, "Ada", ["Ada", "Bob"]))
    found = parse(text, borrowed_passages(text, "Ada", ["Ada", "Bob"]))
    for one in found.commands:
        assert not any(span.start <= one.start < span.end for span in spans)


@given(TEXTS)
def test_a_near_miss_alone_never_runs_but_for_one_said_in_passing(text):
    for one in parse(text).near:
        if one.code == "passing":
            continue
        alone = parse(text[one.start : one.end])
        assert not alone.commands


@given(TEXTS)
def test_a_text_quoted_line_by_line_runs_nothing(text):
    quoted = "\n".join(f"> {line}" for line in text.splitlines())
    found = parse(quoted)
    assert not found.commands
    assert not found.near


@given(TEXTS.filter(lambda text: "```" not in text))
def test_a_text_in_a_fence_runs_nothing(text):
    assert not parse(f"```\n{text.replace('</think>', '')}\n```").commands


@given(st.text(st.characters(exclude_characters="\n\r\x0b\x0c\x85\u2028\u2029"), min_size=1))
def test_any_line_can_be_an_argument_once_it_is_escaped(value):
    if not value.strip() or any(tick in value for tick in ("`", "</", "<think", "<reas")):
        return
    written = value.replace("\\", "\\\\").replace('"', '\\"')
    for quote in "“”„":
        written = written.replace(quote, f"\\{quote}")
    found = parse(f'!image "{written}"')
    assert [one.arguments for one in found.commands] == [(value,)]


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [("Opus", "Claude 3 Opus"), ("claude opus", "Claude 3 Opus"), ("DeepSek R1", "DeepSeek R1")],
)
def test_an_unknown_model_is_a_near_miss_with_the_closest_names(wanted, hint):
    models = ("Claude 3 Opus", "DeepSeek R1", "Grok 4")
    found = parse(f'!add_ai "{wanted}" "hi"', models=models)
    assert not found.commands
    assert found.near[0].code == "unknown_model"
    assert hint in found.near[0].hint


def test_a_model_is_known_whatever_its_case_and_signs():
    assert parse('!add_ai "claude-3 opus" "hi"', models=("Claude 3 Opus",)).commands
    assert find_model("GROK4", ("Grok 4",)) == "Grok 4"
    assert closest("zzz", ("Grok 4",)) == []


def test_in_another_name_nothing_runs_and_it_says_whose():
    text = '[Bob]: !leave\nand !image "x"\n\n!mute_self'
    found = parse(text, borrowed_passages(text, "Ada", ["Bob"]))
    assert [one.name for one in found.commands] == ["mute_self"]
    assert [one.name for one in found.imitations] == ["Bob", "Bob"]


def test_a_command_around_which_a_passage_only_begins_is_unharmed():
    assert parse("!leave", [Span(3, 6, "Bob")]).commands


def test_reasoning_is_taken_out_and_kept():
    assert without_reasoning("<think>hm</think>\nYes.") == ("Yes.", "<think>hm</think>")
    assert without_reasoning("Yes.") == ("Yes.", "")


def test_every_claim_has_words_for_its_badge():
    kinds = {name for case in CASES for name in case.get("claims", [])}
    assert kinds == set(BADGES)
