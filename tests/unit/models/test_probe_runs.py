"""What no identity tells: a model that computes something else is checked anew all the same."""

from __future__ import annotations

import dataclasses
import os
import sys
from weakref import WeakKeyDictionary

import pytest
import torch
from accelerate.hooks import ModelHook, add_hook_to_module

import worldline as wl
from looks import counted_looks
from tiny_runs import NamesIds, some_tokens
from worldline.errors import RefusedError
from worldline.models import fingerprint
from worldline.models import validation as guard
from worldline.models.identity import identify
from worldline.models.loader import load_model
from worldline.models.probe_runs import witness_of
from worldline.models.tiny_models import tiny_model
from worldline.models.validation import checked_report
from worldline.runs.noise_floor import plain_row

ASIDE = {"by": 0.0}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLDLINE_CACHE", str(tmp_path))
    monkeypatch.setitem(ASIDE, "by", 0.0)


def aside() -> float:
    """A value that no description of this function finds."""
    return globals()["ASIDE"]["by"]


def mix(_module, _args, out):
    """Read the column to the left, by as much as is said aside."""
    return out + aside() * torch.nn.functional.pad(out, (0, 0, 1, 0))[:, :-1]


def scale(_module, _args, out):
    return out * (1 + aside())


STRENGTH = 0.0


def deepest(out):
    return out + STRENGTH * torch.nn.functional.pad(out, (0, 0, 1, 0))[:, :-1]


def deeper(out):
    return deepest(out)


def deep(out):
    return deeper(out)


def mix_far_below(_module, _args, out):
    return deep(out)


class Within:
    """Holds a value, or another that does, and so on."""

    def __init__(self, n: int):
        self.held = Within(n - 1) if n else [0.0]

    def least(self):
        return self.held if isinstance(self.held, list) else self.held.least()


class Mix(ModelHook):
    """Read the column to the left: a hook of accelerate's kind."""

    def __init__(self, by: float):
        self.by = by

    def post_forward(self, module, output):
        return output + self.by * torch.nn.functional.pad(output, (0, 0, 1, 0))[:, :-1]


def hooked(hook):
    model = load_model((tiny_model("llama"), NamesIds()))
    for layer in model.module.model.layers:
        layer.mlp.register_forward_hook(hook)
    return model


def test_a_report_of_another_computation_does_not_count(monkeypatch, tmp_path):
    honest = hooked(mix)
    assert checked_report(honest).status == "exact"
    before = identify(honest).key()
    kept = {place: place.read_text() for place in tmp_path.rglob("*.json")}
    assert len(kept) == 1
    monkeypatch.setitem(ASIDE, "by", 0.9)
    leaking = hooked(mix)
    assert identify(leaking).key() == before
    for passed in (guard._reports, WeakKeyDictionary()):
        monkeypatch.setattr(guard, "_reports", passed)
        with pytest.raises(RefusedError, match="between columns"):
            wl.cut(leaking, some_tokens(6), wl.EdgeCut("mask", src=(1,)))
    assert kept == {place: place.read_text() for place in tmp_path.rglob("*.json")}


def test_a_report_counts_while_the_probe_says_the_same(monkeypatch):
    model, tokens = hooked(mix), some_tokens(6)
    for by in (0.0, 0.9, 0.0):
        monkeypatch.setitem(ASIDE, "by", by)
        if not by:
            wl.hop_curve(model, tokens)
            continue
        with pytest.raises(RefusedError, match="between columns"):
            wl.hop_curve(model, tokens)


def test_a_refusal_of_another_computation_does_not_count(monkeypatch):
    monkeypatch.setitem(ASIDE, "by", 0.9)
    with pytest.raises(RefusedError):
        wl.hop_curve(hooked(mix), some_tokens(6))
    monkeypatch.setitem(ASIDE, "by", 0.0)
    assert checked_report(hooked(mix)).status == "exact"


def test_the_same_computation_is_not_checked_again(monkeypatch):
    looks = counted_looks(monkeypatch)
    first = checked_report(hooked(mix))
    before = len(looks)
    assert checked_report(hooked(mix)) == first
    assert len(looks) == before


def test_other_threads_round_otherwise_and_are_the_same_computation():
    logits = torch.linspace(-9, 9, 2000)
    near = witness_of(logits * (1 + 1e-7))
    here = witness_of(logits)
    assert not here.agrees(near)
    assert here.agrees(dataclasses.replace(near, threads=near.threads + 1))
    assert not here.agrees(dataclasses.replace(witness_of(logits * 1.01), threads=99))


def test_the_floor_is_of_the_model_that_runs(monkeypatch):
    model, tokens = hooked(scale), some_tokens(6)

    def row():
        logits = wl.execute(model, wl.Plan(tuple(tokens.ids))).logits[0, -1]
        return plain_row(model, tokens.ids, logits)

    first = row()
    assert row().rerun_logits is first.rerun_logits
    monkeypatch.setitem(ASIDE, "by", 0.5)
    other = row()
    assert float((other.logits - other.rerun_logits).abs().max()) < 1e-5
    assert other.rerun_logits is not first.rerun_logits


def test_where_the_description_ends_the_probe_decides(monkeypatch, tmp_path):
    monkeypatch.setattr(fingerprint, "DEEPEST_CALL", 2)
    model, tokens = hooked(mix_far_below), some_tokens(6)
    assert not model.identity.complete
    looks = counted_looks(monkeypatch)
    trace = wl.record(model, tokens)
    wl.hop_curve(model, tokens)
    n_looks = len(looks)
    assert not list(tmp_path.rglob("*.json"))
    monkeypatch.setattr(sys.modules[__name__], "STRENGTH", 0.9)
    assert model.identity.key() == trace.identity.key()
    with pytest.raises(RefusedError, match="between columns"):
        wl.hop_curve(model, tokens)
    with pytest.raises(RefusedError, match="run again"):
        wl.attribute(trace, "contribution")
    assert len(looks) == n_looks + 1


def test_a_description_says_where_it_ends():
    for held, complete in (
        (Within(0), True), (Within(9), False), (list(range(3000)), True),
        ([[n] for n in range(65)], False), ([[n] for n in range(64)], True),
    ):  # fmt: skip
        model = load_model((tiny_model("llama"), NamesIds()))
        model.module.model.layers[1].mlp.held = held
        assert model.identity.complete == complete, held
    assert load_model("tiny:gpt2").identity.complete


def test_what_a_hook_reads_unseen_is_seen_by_a_share(monkeypatch):
    model = hooked(scale)
    trace = wl.record(model, some_tokens(6))
    before = wl.attribute(trace, "contribution").edges
    monkeypatch.setitem(ASIDE, "by", 0.5)
    assert model.identity.key() == trace.identity.key()
    with pytest.raises(RefusedError, match="run again, row"):
        wl.attribute(trace, "contribution")
    monkeypatch.setitem(ASIDE, "by", 0.0)
    assert wl.attribute(trace, "contribution").edges == before


@pytest.mark.parametrize("append", [False, True])
def test_a_hook_of_accelerate_is_described(append):
    model, tokens, hook = load_model((tiny_model("llama"), NamesIds())), some_tokens(6), Mix(0.0)
    for layer in model.module.model.layers:
        if append:
            add_hook_to_module(layer.mlp, ModelHook())
        add_hook_to_module(layer.mlp, hook, append=append)
    wl.hop_curve(model, tokens)
    trace = wl.record(model, tokens)
    hook.by = 0.9
    with pytest.raises(RefusedError, match=r"accelerate hook.*by 0\.0 → 0\.9"):
        wl.attribute(trace, "contribution")
    with pytest.raises(RefusedError, match="between columns"):
        wl.hop_curve(model, tokens)


def test_the_environment_that_a_hook_reads_goes_into_no_file(monkeypatch):
    monkeypatch.setenv("SECRET_OF_A_TEST", "hidden-in-the-environment")

    def read(_module, _args, out):
        return out * float(os.environ.get("STRENGTH", "1"))

    identity = hooked(read).identity
    assert "hidden-in" not in str(identity)
    monkeypatch.setenv("STRENGTH", "2")
    assert hooked(read).identity.key() != identity.key()


@pytest.mark.parametrize(
    ("space", "name"), [(torch, "layer_norm"), (torch.nn.functional, "layer_norm")]
)
def test_a_refusal_names_what_is_in_place_of_torchs_own(space, name, monkeypatch):
    honest = getattr(space, name)
    monkeypatch.setattr(space, name, lambda *args, **options: 1.2 * honest(*args, **options))
    model = load_model((tiny_model("gpt2"), NamesIds()))

    def ask():
        return wl.attribute(wl.record(model, some_tokens(6)), "frozen", target=40)

    with pytest.raises(RefusedError, match=rf"\({space.__name__}\.layer_norm is .*<lambda>"):
        ask()


@pytest.mark.parametrize("n_pos", [2, 3, 9, 40])
def test_verified_is_that_no_columns_mix_on_this_very_text(n_pos):
    def spare_the_probe(_module, _args, out):
        return out if out.shape[1] == 23 else out + 0.3 * out.cumsum(1)

    def look_ahead(_module, _args, out):
        return out if out.shape[1] == 23 else out + 0.3 * out.flip(1)

    tokens = some_tokens(n_pos)
    for hook, words in ((spare_the_probe, "layers 0, 1, 2 move"), (look_ahead, "not causal")):
        model = hooked(hook)
        assert checked_report(model).status == "exact"
        with pytest.raises(RefusedError, match=f"on this text: .*{words}"):
            wl.record(model, tokens, verify=True)
    assert wl.record(hooked(scale), tokens, verify=True).inert.equal
    assert wl.record(hooked(scale), tokens.ids[:1] * 3, verify=True).inert.equal
