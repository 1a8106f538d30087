import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from worldline.tokens.tokens import Tokens
from worldline.views.labels import (
    clip_cells,
    pad_cells,
    percent,
    signed_text,
    split_note,
    token_label,
    token_labels,
    token_name,
    visible_text,
)
from worldline.views.schema.scene import Scene

EXAMPLES = json.loads(Path(__file__).with_name("visible.json").read_text(encoding="utf-8"))

NAMES = json.loads(Path(__file__).with_name("names.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("text", "name"), NAMES)
def test_a_blank_token_is_named(text, name):
    assert token_name(text) == name


@pytest.mark.parametrize(("text", "shown"), EXAMPLES)
def test_visible_text(text, shown):
    assert visible_text(text) == shown


@given(st.text())
def test_no_control_survives(text):
    shown = visible_text(text)
    assert shown
    assert (
        shown.isprintable()
        or "\u200c" in shown
        or "\u200d" in shown
        or "�" in shown
        or any(not char.isprintable() and char in text for char in shown)
    )
    for char in shown:
        code = ord(char)
        assert code >= 0x20
        assert not 0x7F <= code <= 0x9F
        assert char not in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029"


@given(st.text(), st.integers(1, 20))
def test_clipped_and_padded_keep_to_their_cells(text, cells):
    shown = visible_text(text)
    assert cell_len(clip_cells(shown, cells)) <= cells
    assert cell_len(pad_cells(shown, cells)) == cells


def test_pieces_of_one_character_are_shown_as_that_character(scenes):
    wire = scenes.make_wire(["a", "\ufffd", "\ufffd"], n_edges=0)
    wire["text"] = "a🚀"
    for piece in wire["tokens"][1:]:
        piece |= {"char_start": 1, "char_end": 2, "group": 1}
    scene = Scene.model_validate(wire)
    assert [token_label(scene, token) for token in scene.tokens] == ["a", "🚀¹", "🚀²"]


def test_tokens_and_the_scene_of_them_have_the_same_labels():
    spans, groups = ((0, 1), (1, 2), (1, 2), (2, 3)), (0, 1, 1, 2)
    pieces = ("a", "<0xF0>", "<0x9F>", "\n")
    tokens = Tokens("a🚀\n", (5, 6, 7, 8), pieces, spans, spans, groups, (False,) * 4, True)
    assert token_labels(tokens) == ["a", "🚀¹", "🚀²", "⏎"]
    assert split_note(groups)
    assert not split_note((0, 1, 2))


@pytest.mark.parametrize(
    ("part", "shown"),
    [(0.0, "0 %"), (1.0, "100 %"), (0.814, "81 %"), (0.0421, "4.2 %"), (0.995, "99.5 %"),
     (0.99951, ">99.9 %"), (1e-9, "<0.1 %"), (-0.25, "-25 %")],
)  # fmt: skip
def test_percent(part, shown):
    assert percent(part) == shown


@pytest.mark.parametrize(
    ("weight", "shown"),
    [(0.0, "0"), (0.41234, "+0.412"), (-12.34, "-12.3"), (1234.5, "+1234"), (-3e-7, "-3.00e-07")],
)
def test_signed(weight, shown):
    assert signed_text(weight) == shown
