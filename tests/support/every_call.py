"""Every public function that runs a model, as one table; and all numbers in what they return."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

import worldline as wl
from tiny_runs import loaded, some_tokens

TOKENS, OTHER = some_tokens(6, seed=3), some_tokens(6, seed=4)
#: An identity says what surrounded a run, and the user's hooks: it is no result.
NOT_NUMBERS = {
    "live", "model", "seconds", "created", "scene", "versions", "_dense", "identity",
}  # fmt: skip


def model() -> wl.LoadedModel:
    """The tiny model that all of them run."""
    return loaded("llama")


def _trace(**options):
    return wl.record(model(), TOKENS, **options)


def _paths(**options):
    return wl.find_paths(_trace(), target=40, k=3, **options)


def _eap(**options):
    return wl.edge_measures()["EAP"](_trace(), **options)


def _many():
    plans = [wl.Plan(TOKENS.ids, frozenset([wl.EdgeCut("mask", src=(k,))])) for k in range(3)]
    return wl.execute_many(model(), plans)


CALLS = {
    "record": lambda: _trace(verify=True, keep=("terms", "kv", "q", "rows", "k_unplaced")),
    "contribution": lambda: wl.attribute(_trace(), "contribution"),
    "dense": lambda: wl.attribute(_trace(), "contribution").dense(1),
    "gradient": lambda: wl.attribute(_trace(), "gradient", target=40),
    "mask": lambda: wl.attribute(_trace(), "gradient", target=40, how="mask"),
    "span": lambda: wl.attribute(_trace(), "gradient", target=range(3, 5)),
    "frozen": lambda: wl.attribute(_trace(), "frozen", target=40),
    "hop_spectrum": lambda: wl.hop_spectrum(_trace(), target=40),
    "find_paths": lambda: _paths(),
    "path_grid": lambda: wl.path_grid(_trace()).kv,
    "sample_flow": lambda: wl.sample_flow(_trace(), target=40, n=20),
    "logit_lens": lambda: wl.logit_lens(_trace()),
    "ALTI": lambda: wl.edge_measures()["ALTI"](_trace()),
    "EAP": lambda: _eap(corrupted_trace=wl.record(model(), OTHER), target=40),
    "cut": lambda: wl.cut(model(), TOKENS, [wl.EdgeCut("mask", src=(2,))], target=40),
    "light_cone": lambda: wl.light_cone(
        model(), TOKENS, at=wl.Node(layer=1, pos=2), directions=1
    ),
    "run_orders": lambda: wl.run_orders(model(), TOKENS, ["decode"]),
    "hop_curve": lambda: wl.hop_curve(model(), TOKENS, max_hops=2),
    "execute": lambda: wl.execute(model(), wl.Plan(TOKENS.ids)).logits,
    "execute_many": _many,
    "continuation": lambda: list(model().continuation(TOKENS.ids, max_tokens=3)),
}  # fmt: skip


def numbers(value):
    """Every number and word in a result, flat and in order; arrays as bytes."""
    if isinstance(value, torch.Tensor):
        yield value.detach().double().numpy().tobytes()
    elif isinstance(value, np.ndarray):
        yield value.tobytes() if value.dtype != object else repr(value)
    elif isinstance(value, dict):
        for name, part in value.items():
            if name not in NOT_NUMBERS:
                yield from numbers(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from numbers(part)
    elif dataclasses.is_dataclass(value):
        yield from numbers({f.name: getattr(value, f.name) for f in dataclasses.fields(value)})
    else:
        yield repr(value)
