"""A trace of a run with cuts: kept, closed, saved, and not attributed."""

from __future__ import annotations

import pytest
import torch

from tiny_runs import FLOAT64, loaded, some_tokens
from worldline.attribution.attribute import attribute
from worldline.graph.edits import EdgeCut, NodeCut
from worldline.runs.execution import execute
from worldline.runs.plan import Plan
from worldline.runs.recorder import record
from worldline.runs.trace_files import load_trace, save_trace

EDITS = frozenset([EdgeCut("mask", (1,), (4,), (0,)), NodeCut("zero", (1,), (2,))])
pytestmark = pytest.mark.usefixtures("cache")


def test_it_is_the_run_of_the_plan(tmp_path):
    model, tokens = loaded("llama", FLOAT64), some_tokens(6)
    plain, altered = record(model, tokens), record(model, tokens, edits=EDITS)
    assert torch.equal(plain.resid[0], altered.resid[0])
    assert altered.resid[1][2].abs().max() == 0
    assert not torch.equal(plain.resid[1][4], altered.resid[1][4])
    assert Plan.from_json(altered.plan) == Plan(tokens.ids, EDITS)
    logits = execute(model, Plan(tokens.ids, EDITS)).logits[0, -1]
    assert altered.predictions[0].id == int(logits.argmax())
    save_trace(altered, tmp_path / "F.safetensors")
    again = load_trace(tmp_path / "F.safetensors")
    assert again.plan == altered.plan
    assert plain.plan is None
    for one in (altered, again):
        with pytest.raises(ValueError, match="a trace of a run with cuts"):
            attribute(one, "contribution", model=model)
    with pytest.raises(ValueError, match="is closed over its terms"):
        record(model, tokens, edits=EDITS, verify=True)
