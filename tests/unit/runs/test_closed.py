"""Closed is only what was added up over heads and sources: all nodes, or those named."""

from __future__ import annotations

import pytest

import worldline as wl
from tiny_runs import FLOAT64, NamesIds, loaded, some_tokens
from worldline.errors import RefusedError
from worldline.runs import recorder as recording
from worldline.runs.recorder import closed_layers, record
from worldline.session import observe, record_tokens
from worldline.views.lattice_text import closure_words, render_text
from worldline.views.schema.scene import SceneClosure

pytestmark = pytest.mark.usefixtures("cache")


def test_a_sample_is_drawn_with_its_seed_and_shrinks_with_the_text():
    assert closed_layers("terms", 30, 10, 0) == ()
    assert closed_layers("sources", 3, 10, 0) == (0, 1, 2)
    sample = closed_layers("sample", 30, 384, 0)
    assert sample == closed_layers("sample", 30, 384, 0) != closed_layers("sample", 30, 384, 1)
    assert [len(closed_layers("sample", 30, n, 0)) for n in (129, 1024, 10**6)] == [7, 3, 1]
    assert len(closed_layers("sample", 1, 500, 0)) == 1


def test_a_long_text_is_closed_at_named_nodes_and_says_so():
    model = loaded("llama", FLOAT64)
    trace = record_tokens(model, some_tokens(130), seed=5)
    closure = trace.closure
    assert closure.over == "sources"
    assert closure.layers == closed_layers("sample", 3, len(trace.tokens), 5)
    assert (closure.n_nodes, closure.of_nodes, closure.seed) == (130, 390, 5)
    assert closure.layer in closure.layers  # the worst is that of what was added up anew
    assert 0 < closure.worst < 1e-12
    words = " ".join(closure_words(SceneClosure(**vars(closure))))
    assert "closed: heads and sources add up at 130 of 390 nodes, those written by layers " in words
    assert "(drawn, seed 5)" in words
    short = record_tokens(model, some_tokens(20)).closure
    assert (short.layers, short.n_nodes, short.of_nodes) == (None, 60, 60)


def test_what_the_model_added_added_again_is_never_called_closed():
    closure = record(loaded("llama"), some_tokens(9)).closure
    assert (closure.over, closure.n_nodes) == ("terms", 0)
    words = " ".join(closure_words(SceneClosure(**vars(closure))))
    assert "rebuilt from its terms" in words
    assert "heads and sources were not added up" in words
    assert "closed" not in words.lower()


def test_a_head_that_does_not_add_up_is_seen_in_a_sampled_layer_alone(monkeypatch):
    """One layer's patterns recomputed wrongly: refused where that layer is drawn, else not seen."""
    true = recording.closure_of
    wrong = 1

    def broken(event):
        worst, z_error, pos = true(event)
        return (worst, 0.5, pos) if event.layer == wrong else (worst, z_error, pos)

    monkeypatch.setattr(recording, "closure_of", broken)
    model, tokens = loaded("llama"), some_tokens(130)
    seen = set()
    for seed in range(6):
        (layer,) = closed_layers("sample", 3, 130, seed)
        seen.add(layer)
        if layer == wrong:
            with pytest.raises(RefusedError, match="layer 1, position"):
                record(model, tokens, close_over="sample", seed=seed)
        else:
            assert record(model, tokens, close_over="sample", seed=seed).closure.layers == (layer,)
    assert wrong in seen
    assert len(seen) > 1


def test_it_comes_back_from_a_file(tmp_path):
    trace = record(loaded("llama"), some_tokens(130), close_over="sample")
    wl.save_trace(trace, tmp_path / "t.safetensors")
    assert wl.load_trace(tmp_path / "t.safetensors").closure == trace.closure


def test_saturated_reads_are_marked_in_first_order_alone():
    model = (loaded("llama").module, NamesIds())
    text = some_tokens(3).text  # the second token reads the first with much of its attention
    seen = observe(text, model, by="gradient", top=200, paths=False)
    marked = [edge for edge in seen.scene.edges if edge.saturated]
    assert marked
    assert all((edge.attention > 0.7) == edge.saturated for edge in seen.scene.edges)
    lines = render_text(seen.scene, width=100, color=False)
    listed = [edge for edge in seen.scene.edges[:10] if edge.saturated]
    assert ("~ a saturated read" in lines) == bool(listed)
    for by in ("contribution", "frozen"):
        assert not any(e.saturated for e in observe(text, model, by=by, paths=False).scene.edges)
