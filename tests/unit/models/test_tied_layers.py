"""The same block once more: another model, and one that can be attributed."""

from __future__ import annotations

import pytest
import torch

import worldline as wl
from tiny_runs import NamesIds, some_tokens
from worldline.errors import InputError, RefusedError
from worldline.models.loader import load_model
from worldline.models.tiny_models import tiny_model

TOKENS = some_tokens(7)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLDLINE_CACHE", str(tmp_path))


def test_a_block_that_is_appended_again(tmp_path):
    model = load_model((tiny_model("gpt2"), NamesIds()))
    trace, blocks = wl.record(model, TOKENS), model.module.transformer.h
    before = model.weights_hash
    wl.save_trace(trace, tmp_path / "run.safetensors")
    blocks.append(blocks[0])
    for by, target in (("contribution", None), ("gradient", 40), ("frozen", 40)):
        with pytest.raises(RefusedError, match=r"h\.3 was added: the module transformer\.h\.0"):
            wl.attribute(trace, by, target=target)
        loaded = wl.load_trace(tmp_path / "run.safetensors")
        with pytest.raises(InputError, match=r"h\.3 was added"):
            wl.attribute(loaded, by, target=target, model=model)
    with torch.no_grad():
        logits = model.module(input_ids=torch.tensor([list(TOKENS.ids)]), use_cache=False).logits
    again = wl.record(model, TOKENS)
    for by in ("gradient", "frozen"):
        found = wl.attribute(again, by, target=40)
        assert found.n_layers == 4
        assert found.target_value == pytest.approx(float(logits[0, -1, 40]), rel=1e-5)
    del blocks[3]
    assert model.weights_hash == before
    assert wl.attribute(trace, "contribution").n_layers == 3
