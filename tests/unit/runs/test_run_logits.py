"""What runs say, position by position: the run's own logits, without a table of them all."""

from __future__ import annotations

import pytest
import torch

from tiny_runs import NamesIds
from worldline.models.loader import load_model
from worldline.models.tiny_models import tiny_model
from worldline.runs.edit_hooks import Edits
from worldline.runs.forward_passes import run_edited
from worldline.runs.plan import Plan
from worldline.runs.run_logits import ROWS_AT_ONCE, said_by

N_POS = ROWS_AT_ONCE + 9


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLDLINE_CACHE", str(tmp_path))


def by_last_place(_module, _args, out):
    """A hook that tells one position from another."""
    return torch.cat([out[:, :-1], 2 * out[:, -1:]], dim=1)


@pytest.mark.parametrize("last", [None, 1, 5])
@pytest.mark.parametrize(
    ("model_type", "hooked", "whole"),
    [("llama", False, False), ("llama", True, True), ("gemma2", False, True)],
)
def test_the_logits_of_the_run(model_type, hooked, whole, last):
    module = tiny_model(model_type)
    if hooked:
        module.lm_head.register_forward_hook(by_last_place)
    model = load_model((module, NamesIds()))
    plan = Plan(tuple(range(20, 20 + N_POS)))
    true = run_edited(model, [plan] * 2, Edits(N_POS, [(), ()])).logits
    said = said_by(model, [plan] * 2, Edits(N_POS, [(), ()]), last=last)
    n_asked = last or N_POS
    assert said.rows.shape[1] == n_asked
    assert (said.tail is None) == (whole or last == 1)
    found = torch.cat([logits for _, logits in said.parts(n_asked)], dim=1)
    torch.testing.assert_close(found, true[:, -n_asked:], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(said.of_run(1).at(slice(-1, None)), found[1:, -1:])
