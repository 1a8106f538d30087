"""A model that changes between two calls: refused, naming what changed, or the right number.

Many more trials than a test run has time for:
`WORLDLINE_TRIALS=2000 python -m pytest tests/laws/test_identity.py -k any_change`.
"""

from __future__ import annotations

import os
import re
from weakref import WeakKeyDictionary

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import worldline as wl
from changes import CHANGES, prepare
from tiny_runs import NamesIds, some_tokens
from worldline.errors import InputError, RefusedError
from worldline.models.loader import load_model
from worldline.models.tiny_models import tiny_model
from worldline.runs import noise_floor as precision

TRIALS = int(os.environ.get("WORLDLINE_TRIALS", "40"))
N_POS = 7
SAYS_NO = (InputError, RefusedError)


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORLDLINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def fresh():
    module = tiny_model("llama", attn_implementation="sdpa")
    prepare(module)
    return load_model((module, NamesIds()))


def numbers(flow) -> list[float]:
    totals = flow.totals
    parts = (totals.in_positive, totals.in_negative, totals.self_attention)
    return [float(part.sum()) for part in parts]


#: What is asked of a trace; each gives a list of numbers.
QUESTIONS = {
    "gradient": lambda trace, **of: numbers(wl.attribute(trace, "gradient", **of)),
    "mask": lambda trace, **of: numbers(wl.attribute(trace, "gradient", how="mask", **of)),
    "span": lambda trace, **of: numbers(wl.attribute(trace, "gradient", target=range(4, 7), **of)),
    "contribution": lambda trace, **of: numbers(wl.attribute(trace, "contribution", **of)),
    "frozen": lambda trace, **of: numbers(wl.attribute(trace, "frozen", **of)),
    "hops": lambda trace, **of: wl.hop_spectrum(trace, **of).by_hops.tolist(),
}
IN_MEMORY = QUESTIONS | {
    "paths": lambda trace: [path.weight for path in wl.find_paths(trace, k=3).paths],
    "lens": lambda trace: [chance for _, chance in wl.logit_lens(trace)[2][3]],
}


def answered(ask, *args, **options):
    """The numbers, or the words of the refusal."""
    try:
        return ask(*args, **options)
    except SAYS_NO as error:
        return str(error)


def true_to(found, wanted) -> bool:
    return found == pytest.approx(wanted, rel=1e-4, abs=1e-5)


def precision_of_a_fresh_cache(model, tokens, src):
    """What a cut's numbers have to exceed, where nothing was kept of any earlier run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precision, "_KEPT", WeakKeyDictionary())
        return wl.cut(model, tokens, [wl.EdgeCut("mask", src=(src,))]).precision


def of_torch(module, ids, src) -> torch.Tensor:
    """Log-probabilities of the last token without reads of `src`, by the model alone."""
    n_pos = len(ids)
    mask = torch.full((n_pos, n_pos), float("-inf")).triu(1)
    mask[src + 1 :, src] = float("-inf")
    mask = mask.to(next(module.parameters()).dtype)[None, None]
    with torch.no_grad():
        logits = module(input_ids=torch.tensor([ids]), attention_mask=mask, use_cache=False).logits
    return logits[0, -1].double().log_softmax(-1)


@settings(
    max_examples=TRIALS, deadline=None, derandomize=False, suppress_health_check=list(HealthCheck)
)
@given(
    st.sampled_from(sorted(CHANGES)),
    st.sampled_from(sorted({*IN_MEMORY, "cut", *(f"{name} of a file" for name in QUESTIONS)})),
    st.integers(0, 3),
)
def test_after_any_change_a_refusal_that_names_it_or_the_right_number(
    tmp_path_factory, name, question, seed
):
    refused_or_right(tmp_path_factory, name, question, seed)


@pytest.mark.parametrize(
    ("name", "question"),
    [
        ("a_function_of_torch", "gradient"),
        ("a_function_of_torch", "contribution of a file"),
        ("a_function_of_torch_wrapped", "gradient"),
        ("a_mode_of_functions", "gradient"),
        ("a_mode_that_looks_on", "gradient"),
        ("what_a_hook_holds_beside_a_counter", "gradient"),
        ("hook_in_place_of_a_hook", "gradient"),
        ("hook_of_equal_name", "gradient"),
        ("hook_with_words", "contribution"),
    ],
)
def test_functions_of_torch_modes_and_what_stands_beside_a_counter(
    tmp_path_factory, name, question
):
    refused_or_right(tmp_path_factory, name, question, 1)


def refused_or_right(tmp_path_factory, name, question, seed) -> None:
    model, tokens, way = fresh(), some_tokens(N_POS, seed), CHANGES[name]
    trace = wl.record(model, tokens)
    if question == "cut":
        wl.cut(model, tokens, [wl.EdgeCut("mask", src=(seed,))])  # what it leaves must not be used
        ask = None
    elif question.endswith(" of a file"):
        place = wl.save_trace(trace, tmp_path_factory.mktemp("t") / "t")
        stored, asked = wl.load_trace(place), QUESTIONS[question.removesuffix(" of a file")]

        def ask():
            return asked(stored, model=model)
    else:

        def ask():
            return IN_MEMORY[question](trace)

    before = None if ask is None else ask()
    undo = way.make(model.module)
    try:
        if ask is None:
            found = answered(wl.cut, model, tokens, [wl.EdgeCut("mask", src=(seed,))])
            if isinstance(found, str):
                assert way.named is not None, f"{name}: {found}"
                return
            wanted = of_torch(model.module, list(tokens.ids), seed)
            assert found.precision == precision_of_a_fresh_cache(model, tokens, seed)
            shown = [one.logprob for one in found.after]
            assert shown == pytest.approx(wanted.topk(len(shown)).values.tolist(), abs=2e-4)
            return
        found = answered(ask)
        if way.named is None:
            assert true_to(found, before), f"{name}, {question}: {found}"
        else:
            assert isinstance(found, str), f"{name}, {question}: numbers, {found}, were {before}"
            assert re.search(way.named, found), f"{name}, {question}: {found}"
    finally:
        undo()
    assert true_to(answered(ask), before), f"{name}, {question}: undone, yet another answer"
