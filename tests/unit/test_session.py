"""observe(): the stages in order, and a golden Scene of a tiny model."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from tiny_runs import FLOAT64, NamesIds, loaded, some_tokens
from worldline.attribution.flow import SATURATED
from worldline.errors import InputError
from worldline.models.loader import load_model
from worldline.models.tiny_models import tiny_model
from worldline.session import observe
from worldline.views.schema.scene import Scene

GOLDEN = Path(__file__).parents[1] / "golden" / "scene_tiny_llama.json"
CHANGES = ("versions", "created", "reproduce")  # with the version, the day, or the caller
TEXT = some_tokens(6, seed=5).text
pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture(scope="module")
def seen(cache):
    # Its own model: on a shared one the course of the gradient depends on what ran before.
    model = load_model((tiny_model("llama", dtype=FLOAT64), NamesIds()))
    return observe(TEXT, model, by="gradient", target=20, versus=30, top=40)


def rounded(value):
    """Six significant digits; what is rounding alone is 0."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if abs(value) > 1e-12 else 0.0
    if isinstance(value, list):
        return [rounded(item) for item in value]
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    return value


def test_golden_scene(seen):
    scene = json.loads(seen.scene.to_json())
    for name in CHANGES:
        assert scene.pop(name)
    for meaning in scene["meanings"].values():
        assert meaning.pop("cli") == ""  # this model was made in memory
        assert meaning.pop("python").startswith("wl.")
        assert "in memory" in meaning.pop("note")
    assert len(scene["model"].pop("weights_hash")) == 64
    assert 0 < scene["closure_error"].pop("worst") < 1e-12
    for place in ("layer", "pos"):
        scene["closure_error"].pop(place)
    found = json.dumps(rounded(scene), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        GOLDEN.write_text(found, encoding="utf-8")
    assert json.loads(found) == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_the_scene_shows_the_trace_and_the_flow(seen):
    scene, flow, trace = seen.scene, seen.flow, seen.trace
    assert [tuple(e.model_dump().values())[:5] for e in scene.edges] == [e[:5] for e in flow.edges]
    attention = [e.attention for e in flow.edges]
    np.testing.assert_allclose([e.attention for e in scene.edges], attention, rtol=5e-3)
    assert [e.saturated for e in scene.edges] == [a > SATURATED for a in attention]
    assert scene.coverage.model_dump() == vars(flow.coverage)
    np.testing.assert_allclose(scene.nodes.norm, trace.norms, rtol=1e-5)
    np.testing.assert_allclose(scene.flow.in_positive, flow.totals.in_positive, rtol=1e-5)
    shares = scene.nodes.shares.model_dump()
    total = sum(np.array(matrix) for matrix in shares.values() if matrix is not None)
    np.testing.assert_allclose(total, 1, atol=1e-5)
    best = scene.predictions[0]
    assert best.logprob == trace.predictions[0].logprob
    assert scene.nodes.lens[-1][-1][0].logprob == pytest.approx(best.logprob, abs=1e-4)
    assert scene.nodes.lens[-1][-1][0].token == best.token
    assert Scene.model_validate_json(scene.to_json()) == scene


def test_json_holds_what_the_command_line_promises(seen):
    found = seen.json()
    promised = {"schema", "model", "tokens", "n_layers", "n_heads", "inert", "closure_error",
                "predictions", "attribution", "edges", "coverage"}  # fmt: skip
    assert promised <= found.keys()
    assert found["schema"] == "worldline.observation/1"
    assert "probability" in found["attribution"]["target"].pop(
        "note"
    )  # it is not among the likeliest
    assert found["attribution"]["target"] == {"token": "t20 ", "id": 20}
    assert found["attribution"]["versus"] == {"token": "t30 ", "id": 30, "note": None}
    json.dumps(found, allow_nan=False)


def test_by_contribution_there_is_no_target():
    seen = observe(TEXT, loaded("llama"), by="contribution", top=5)
    assert seen.scene.attribution.target is None
    assert seen.scene.attribution.how is None
    assert len(seen.scene.edges) == 5


def test_by_contribution_reads_no_kind_of_cut():
    with pytest.raises(InputError, match="how='mask'"):
        observe(TEXT, loaded("llama"), by="contribution", how="mask")


def test_the_default_is_what_the_likeliest_token_owes():
    seen = observe(TEXT, loaded("llama"), top=3)
    attribution = seen.scene.attribution
    assert (attribution.by, attribution.how) == ("gradient", "zero")
    assert attribution.target.id == seen.scene.predictions[0].id


def test_a_pair_in_memory_and_the_stages_that_are_told():
    said = []
    module = loaded("llama").module
    seen = observe(TEXT, (module, NamesIds()), top=3, progress=said.append)
    assert [line for line in said if line in ("recording", "attributing", "drawing")] == [
        "recording", "attributing", "drawing",
    ]  # fmt: skip
    assert seen.trace.model.module is module
    assert "predict" in seen.show(80).lower() or seen.scene.tokens[0].text in seen.show(80)
    assert seen.html().startswith("<!doctype html>")


def test_seed_is_kept():
    assert observe(TEXT, loaded("llama"), seed=7, top=1).scene.seed == 7


def test_verify_checks_this_very_run():
    inert = observe(TEXT, loaded("llama"), verify=True, top=1).scene.inert
    assert (inert.checked, inert.equal, inert.calls) == ("run", True, inert.expected_calls)


def test_one_token_has_no_edges():
    seen = observe(some_tokens(1).text, loaded("llama"))
    assert seen.scene.edges == ()
    assert seen.scene.coverage.of == 0
    seen.show()
    seen.html()


def test_no_token_is_refused():
    with pytest.raises(InputError, match="it is empty"):
        observe("", loaded("llama"))


def test_a_chat_whose_template_has_a_clock_is_said_or_stands_as_it_was_read(tmp_path):
    from tiny_folder import tiny_folder
    from worldline.models.loader import load_model
    from worldline.session import observe
    from worldline.views.schema.recipe import terminal_line

    model = load_model(str(tiny_folder(tmp_path / "m")))
    model.tokenizer.chat_template = "{{ strftime_now('%f') }}:{{ messages[0].content }}"
    seen = observe("hi", model, chat=True, paths=False)
    recipe = seen.scene.reproduce.recipe
    assert (recipe.text.words, "--chat" in recipe.words) == (seen.trace.tokens.text, False)
    # Where a tokenizer adds to a text what the template wrote already, no line is the same again.
    model.tokenizer.chat_template = "{{ strftime_now('%f') }}<|end|>{{ messages[0].content }}"
    model.tokenizer.add_bos_token = True
    from tokenizers.processors import TemplateProcessing

    model.tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|end|> $A", special_tokens=[("<|end|>", 0)]
    )
    lines = observe("hi", model, chat=True, paths=False).scene.reproduce
    assert lines.cli == ""
    assert "writes the date or the time" in lines.note
    assert "writes the date or the time" in terminal_line(lines)


def test_a_target_that_no_list_shows_has_its_probability_told():
    model = loaded("llama")
    trace = observe(TEXT, model, top=3).trace
    listed = [prediction.id for prediction in trace.predictions]
    rare = next(token for token in range(len(NamesIds())) if token not in listed)
    assert "probability" in observe(TEXT, model, target=rare, top=3).scene.attribution.target.note
    assert observe(TEXT, model, target=listed[0], top=3).scene.attribution.target.note is None
