import os
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from worldline.views.lattice_text import render_text
from worldline.views.schema.scene import Scene

GOLDEN = Path(__file__).parents[2] / "golden"


@cache
def _scene(scenes, name):
    texts = {"capital": scenes.CAPITAL, "awkward": scenes.AWKWARD, "long": scenes.words(300)}
    return scenes.make_scene(texts[name], with_nodes=False, with_flow=False)


@pytest.mark.parametrize("width", [100, 60])
@pytest.mark.parametrize("name", ["capital", "awkward", "long"])
def test_golden(scenes, name, width):
    """Set UPDATE_GOLDEN=1 to write the files anew; then read them."""
    drawn = render_text(_scene(scenes, name), width=width, color=False)
    path = GOLDEN / f"terminal_{name}_{width}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(drawn, encoding="utf-8")
    assert drawn == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [40, 60, 100, 180])
@pytest.mark.parametrize("name", ["capital", "awkward", "long"])
def test_no_line_is_wider_than_asked_and_nothing_escapes(scenes, name, width):
    drawn = render_text(_scene(scenes, name), width=width, color=False)
    *lines, again = drawn.splitlines()
    assert again.startswith("again: ")
    assert max(cell_len(line) for line in lines) <= width
    assert not any(ord(char) < 0x20 and char != "\n" for char in drawn)


def test_colour_only_adds_escapes(scenes):
    scene = scenes.make_scene()
    plain = render_text(scene, width=100, color=False)
    coloured = render_text(scene, width=100, color=True)
    assert "\x1b[" in coloured
    kept = "".join(part.partition("m")[2] for part in ("m" + coloured).split("\x1b["))
    assert kept == plain


def test_sign_is_visible_without_colour(scenes):
    drawn = render_text(scenes.make_scene(), width=100, color=False)
    picture = drawn[: drawn.index("embed")]
    assert "+0." in picture
    assert "-0." in picture


def test_what_is_left_out_is_said(scenes):
    drawn = render_text(_scene(scenes, "long"), width=60, color=False)
    assert "290 of 300 tokens left out" in drawn
    assert "and 190 weaker ones kept" in drawn


def test_kept_line(scenes):
    wire = scenes.make_wire()
    wire["coverage"] |= {"of": 108_300, "share": 0.81}
    drawn = render_text(Scene.model_validate(wire), width=100, color=False)
    assert "200 of 108,300 edges hold 81 % of the flow" in drawn


def test_a_failed_check_is_said_loudly(scenes):
    wire = scenes.make_wire()
    wire["inert"] |= {"equal": False, "calls": 3}
    wire["closure_error"] |= {"worst": 0.5}
    drawn = render_text(Scene.model_validate(wire), width=100, color=False)
    assert "NOT INERT: LOGITS DIFFER" in drawn
    assert "NOT CLOSED" in drawn


def test_null_parts_one_token_and_no_prediction_degrade(scenes):
    for texts in (["Hello"], [], scenes.CAPITAL):
        wire = scenes.make_wire(texts, n_edges=0, with_nodes=False, with_flow=False)
        wire["predictions"] = []
        drawn = render_text(Scene.model_validate(wire), width=80, color=False)
        assert "No prediction was handed over." in drawn
        assert "0 of " in drawn


def test_a_section_that_fails_is_replaced_by_one_line(scenes, monkeypatch):
    def broken(*_):
        raise RuntimeError("no\x1b[2J luck")

    monkeypatch.setattr("worldline.views.lattice_text.draw_lattice", broken)
    drawn = render_text(scenes.make_scene(), width=80, color=False)
    assert "(picture left out: no‹1B›[2J·luck)" in drawn
    assert "next token" in drawn


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=6), min_size=1, max_size=8), st.integers(40, 120))
def test_any_tokens_can_be_drawn(scenes, texts, width):
    scene = scenes.make_scene(texts, n_layers=4, n_heads=2, n_edges=9)
    drawn = render_text(scene, width=width, color=False)
    assert "left out: " not in drawn
    assert "\x1b" not in drawn
    assert max(cell_len(line) for line in drawn.split("\n")[:-2]) <= width
