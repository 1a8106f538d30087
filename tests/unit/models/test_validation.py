"""The anatomy that runs use is the one the checks found, on a text longer than any window."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch

from tiny_runs import NamesIds, some_tokens
from worldline.models.loader import load_model
from worldline.models.tiny_models import tiny_model
from worldline.models.validation import anatomy_of, checked_report
from worldline.runs.execution import execute
from worldline.runs.plan import Plan
from worldline.runs.recorder import record

# Types that take another course under a private key, to another mask, but only where their index
# leaves out keys: on a short text the key seems to do.
INDEXED = ["deepseek_v32", "axk2", "minimax_m3_vl_text"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLDLINE_CACHE", str(tmp_path))


@pytest.mark.parametrize("name", INDEXED)
def test_a_run_longer_than_the_index_is_the_plain_run(name):
    model = load_model((tiny_model(name), NamesIds()))
    trace = record(model, some_tokens(19), verify=True)
    assert trace.inert.equal
    assert not anatomy_of(model.module).keys


def test_a_run_without_checks_knows_it_too():
    model = load_model((tiny_model("deepseek_v32"), NamesIds()))
    ids = some_tokens(19).ids
    with torch.no_grad():
        plain = model.module(input_ids=torch.tensor([ids]), use_cache=False).logits
    assert torch.equal(execute(model, Plan(tuple(ids))).logits, plain)


def test_where_the_index_is_longer_than_the_probe_a_tiny_model_of_the_type_tells():
    module = tiny_model("deepseek_v32")
    module.config.index_topk = 64
    for part in module.modules():
        if hasattr(part, "index_topk"):
            part.index_topk = 64
    model = load_model((module, NamesIds()))
    model = dataclasses.replace(model, config=model.config | {"index_topk": 64})
    report = checked_report(model)
    assert report.status == "partly"
    assert report.choosing_layers == list(range(report.n_layers))
    assert report.reached_by == "operations"
    assert not anatomy_of(module).keys

    twice = copy.deepcopy(module)  # the same weights in another object: what was found goes with it
    model = dataclasses.replace(model, module=twice)
    assert checked_report(model) == report
    assert not anatomy_of(twice).keys


def test_a_type_that_fails_tiny_is_refused_though_the_probe_is_too_short_to_show_it(monkeypatch):
    from worldline.errors import RefusedError
    from worldline.models import validation as guard
    from worldline.models.laws import Report

    monkeypatch.setattr(guard, "_twin", lambda _model: Report().refuse("not causal"))
    model = load_model((tiny_model("llama"), NamesIds()))
    with pytest.raises(RefusedError, match="a tiny model of its type fails: not causal"):
        checked_report(model)
