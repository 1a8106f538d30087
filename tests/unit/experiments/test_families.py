"""The pairs that come with worldline, and the user's own: read, refused, chosen."""

from __future__ import annotations

import json

import pytest

import worldline as wl
from worldline.experiments.faithfulness.families import (
    FAMILIES,
    HOME,
    Pair,
    circuit_prompts,
    load_pairs,
    prompts_of,
)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_there_with_both_splits_and_a_notice(name):
    pairs = load_pairs(name)
    assert len({pair.clean for pair in pairs}) == len(pairs)
    assert [pair.split for pair in pairs] == ["choose", "report"] * (len(pairs) // 2)
    assert min(sum(p.split == half for p in pairs) for half in ("choose", "report")) >= 30
    assert f"{name}.jsonl" in (HOME / "NOTICE.md").read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it has no pairs"),
        ("not json\n", "line 1: not a pair"),
        ('{"clean": "a"}\n', "line 1: not a pair"),
        ('{"clean": 1, "corrupted": "b", "answer": "c", "wrong": "d"}\n', "not a pair of texts"),
        (
            '{"clean": "a", "corrupted": "b", "answer": "c", "wrong": "d", "split": "x"}\n',
            "not a pair of texts",
        ),
    ],
)
def test_a_file_that_is_not_pairs(tmp_path, text, said):
    path = tmp_path / "pairs.jsonl"
    path.write_text(text)
    with pytest.raises(wl.InputError, match=said):
        load_pairs(str(path))


def test_only_what_the_model_answers_is_taken():
    """The induction head copies: of these pairs it gets the first and the last right."""
    model, prompt, _ = next(iter(circuit_prompts()))

    def line(clean, corrupted, answer, wrong, **more):
        return Pair(clean, corrupted, f"t{answer}", f"t{wrong}", **more)

    right = line("t7 t1 t2 t8 t9 t1", "t7 t1 t3 t8 t9 t1", 2, 11)
    pairs = [
        right,
        line("t7 t1 t2 t8 t9 t1", "t7 t1 t3 t8 t9 t1", 11, 2),  # it says the other
        line("t7 t1 t2 t8 t9 t1", "t7 t1 t3 t8 t1", 2, 11),  # of another length
        line("t7 t1 t2 t8 t9 t1", "t7 t1 t2 t8 t9 t7", 2, 11),  # ends otherwise
        line("t7 t1 t2 t8 t9 t1", "t7 t1 t2 t8 t9 t1", 2, 11),  # the same
        line("t7 t1 t2 t8 t9 t1", "t7 t1 t3 t8 t9 t1", 2, 2),
        Pair("t7 t1 t2 t8 t9 t1", "t7 t1 t3 t8 t9 t1", "t2 t3", "t4"),  # of two tokens
        line("t7 t1 t4 t8 t9 t1", "t7 t1 t3 t8 t9 t1", 4, 11, split="choose"),
    ]
    found = list(prompts_of(model, "mine", pairs, 4))
    assert [(one.number, one.split) for one in found] == [(0, "report"), (7, "choose")]
    assert found[0].clean.ids == prompt.clean.ids
    assert len(list(prompts_of(model, "mine", [right] * 9, 4))) == 2
    json.dumps(found[0].json())
