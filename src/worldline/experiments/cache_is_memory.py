"""Whether the cached K/V is what lasts: decoding with it, and with that of another text."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np

import worldline as wl
from worldline.experiments.experiment import Experiment, Figure, Finding, Item, Measurement, Picture
from worldline.experiments.law_checks import (
    apart,
    draw_texts,
    finite,
    kl_nats,
    on_device,
    series,
    weights_held,
)
from worldline.experiments.refusals import REFUSAL_KEY, of_all, or_reason, untestable
from worldline.experiments.statistics import bootstrap, wilson

N_BEFORE, N_AFTER, N_GREEDY = 24, 12, 3
PARTS = ("kv", "k", "v")
NAMES = {"kv": "K and V", "k": "K only", "v": "V only"}
CACHES = ("cache", "past_key_values")  # the newer name first
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}  # of the largest logit; half precision has none


def items(model: wl.LoadedModel, n: int, seed: int) -> list[Item]:
    """Two beginnings of one length, and the middle of a third text to go on with."""
    texts = draw_texts(model, 3 * n, seed, N_BEFORE)
    if len(texts) < 3:
        return [text_item for text_item in texts if REFUSAL_KEY in text_item]
    return [
        {
            "key": text_item["key"],
            "tokens": text_item["ids"],
            "cache": two["ids"],
            "after": three["ids"][-N_AFTER:],
            "text": text_item["text"],
        }
        for text_item, two, three in zip(texts[::3], texts[1::3], texts[2::3], strict=False)
    ]


@or_reason
def measure(model: wl.LoadedModel, item: Item) -> Measurement:
    """KL at the continuation to the tokens' run and to the cache's run; decoding with the cache."""
    tokens, cache, after = (tuple(item[name]) for name in ("tokens", "cache", "after"))
    n = len(tokens)
    tokens_logits = wl.execute(model, wl.Plan(tokens + after)).logits[0].detach()
    cache_logits = wl.execute(model, wl.Plan(cache + after)).logits[0].detach()[n:]
    plans = [_patch_plan(tokens, cache, after, parts) for parts in PARTS]
    logits_by_parts = dict(zip(PARTS, wl.execute_many(model, plans), strict=True))
    kl_by_parts = {
        parts: {
            "to_tokens": float(kl_nats(logits[n:], tokens_logits[n:]).mean()),
            "to_cache": float(kl_nats(logits[n:], cache_logits).mean()),
        }
        for parts, logits in logits_by_parts.items()
    }
    ends = {"patched": logits_by_parts["kv"], "tokens": tokens_logits, "cache": cache_logits}
    first = {name: int(logits[-1].argmax()) for name, logits in ends.items()}
    return {
        "kl": kl_by_parts,
        "between": float(kl_nats(tokens_logits[n:], cache_logits).mean()),
        "decoding": _decoding(model, tokens + after, n, tokens_logits),
        "greedy": _greedy(model, tokens, cache, after, first),
        "dtype": model.dtype,
    }


def _patch_plan(
    tokens: tuple[int, ...], cache: tuple[int, ...], after: tuple[int, ...], parts: str = "kv"
) -> wl.Plan:
    """A continuation that reads, of all positions before it, the K and V of another text."""
    n, ids = len(tokens), tokens + after
    patch_source = wl.PatchSource(cache, (*range(n), *(None for _ in after)))
    src, dst = tuple(range(n)), tuple(range(n, len(ids)))
    edit = wl.EdgeCut("patch", src=src, dst=dst, parts=parts, patch_source=patch_source)
    return wl.Plan(ids, frozenset({edit}))


def _decoding(
    model: wl.LoadedModel, ids: tuple[int, ...], n: int, full_logits: Any
) -> float | None:
    """Worst difference of logits, token by token with the model's own cache, from the whole run.

    None where the model keeps no cache.
    """
    forward_parameters = inspect.signature(model.module.forward).parameters
    name = next((cache for cache in CACHES if cache in forward_parameters), None)
    if name is None:
        return None
    worst = 0.0
    with weights_held(model):
        past = model.module(input_ids=on_device(model, ids[:n]), use_cache=True)
        for at in range(n, len(ids)):
            kv_cache = next((cache for key in CACHES if (cache := past.get(key)) is not None), None)
            if kv_cache is None:
                return None
            step = {name: kv_cache, "use_cache": True}
            past = model.module(input_ids=on_device(model, ids[at : at + 1]), **step)
            worst = max(worst, apart(past.logits[0, -1], full_logits[at]))
    return min(worst, 1e9)  # plain JSON knows no infinity


def _greedy(
    model: wl.LoadedModel,
    tokens: tuple[int, ...],
    cache: tuple[int, ...],
    after: tuple[int, ...],
    first: dict[str, int],
) -> dict[str, list[int]]:
    """The likeliest tokens that follow, each fed back: of the patched run and of both texts."""
    tokens_by_run = {name: [token] for name, token in first.items()}
    for name, new_tokens in tokens_by_run.items():
        for _ in range(N_GREEDY - 1):
            longer = after + tuple(new_tokens)
            if name == "patched":
                plan = _patch_plan(tokens, cache, longer)
            else:
                plan = wl.Plan((tokens if name == "tokens" else cache) + longer)
            new_tokens.append(int(wl.execute(model, plan).logits[0, -1].argmax()))
    return tokens_by_run


def _cache_share(kl: dict[str, float]) -> float:
    """How far the cache is followed: 1 where its run is reached, 0 where the tokens' run is."""
    kl_sum = kl["to_tokens"] + kl["to_cache"]
    return kl["to_tokens"] / kl_sum if kl_sum else float("nan")


@of_all
def conclude(measurements: Sequence[tuple[Item, Measurement]], seed: int) -> Finding:
    """The mean share by which the continuation follows the cache, over texts."""
    results = [result for _, result in measurements]
    shares = {
        parts: [_cache_share(tokens_by_run["kl"][parts]) for tokens_by_run in results]
        for parts in PARTS
    }
    if not np.isfinite(shares["kv"]).any():
        reason = "the runs of two texts do not differ in their continuation"
        return untestable(reason)
    by = {parts: bootstrap(shares[parts], seed) for parts in PARTS}
    decoding = [result["decoding"] for result in results if result["decoding"] is not None]
    greedy = [one["greedy"] for one in results]
    as_cache = sum(one["patched"] == one["cache"] for one in greedy)
    as_tokens = sum(one["patched"] == one["tokens"] for one in greedy)
    numbers = {
        "followed": {parts: finite(by[parts]) for parts in PARTS},
        "kl_nats": {
            parts: {
                to: float(np.mean([one["kl"][parts][to] for one in results]))
                for to in ("to_tokens", "to_cache")
            }
            for parts in PARTS
        },
        "kl_between_the_texts_nats": float(np.mean([one["between"] for one in results])),
        "decoding_worst": max(decoding, default=None),
        "decoding_tolerance": TOLERANCE.get(results[0]["dtype"]),
        "greedy_as_cache": [as_cache, len(greedy)],
        "greedy_as_cache_interval": list(wilson(as_cache, len(greedy))),
        "greedy_as_tokens": [as_tokens, len(greedy)],
    }
    return Finding(
        *by["kv"],
        n=len(results),
        numbers=numbers,
        says=_says(numbers),
        figures=(_figure(by),),
        picture=_picture(measurements[0][0]),
        broken=_violation(numbers["decoding_worst"], numbers["decoding_tolerance"]),
    )


def _violation(worst: float | None, tolerance: float | None) -> str | None:
    if worst is None or tolerance is None or worst <= tolerance:
        return None
    return (
        f"decoding with the cache is {worst:.1e} of the largest logit away from running the whole "
        f"text, allowed are {tolerance:.0e}"
    )


def _says(numbers: dict[str, Any]) -> tuple[str, ...]:
    kl, cache_shares = numbers["kl_nats"], numbers["followed"]
    worst, tolerance = numbers["decoding_worst"], numbers["decoding_tolerance"]
    decoding = "This model keeps no cache of its own: decoding with it is left out."
    if worst is not None:
        tolerance_words = "none in half precision" if tolerance is None else f"{tolerance:.0e}"
        decoding = (
            f"Token by token with the model's own cache, logits are within {worst:.1e} of the "
            f"largest of those of the whole text (tolerance: {tolerance_words})."
        )
    cache, tokens = numbers["greedy_as_cache"], numbers["greedy_as_tokens"]
    return (
        decoding,
        f"With K and V of {N_BEFORE} earlier positions taken from another text, the next "
        f"{N_AFTER} predictions are {kl['kv']['to_tokens']:.2g} nats away from the run of the "
        f"tokens that stand there and {kl['kv']['to_cache']:.1g} from the run of the other text "
        f"(the two runs: {numbers['kl_between_the_texts_nats']:.2g}).",
        f"With only V taken the other text is followed by {cache_shares['v'][0]:.2f}, with "
        "only K by "
        f"{cache_shares['k'][0]:.2f} (0: the tokens', 1: the cache's).",
        f"{N_GREEDY} tokens said after that are those after the other text in {cache[0]} of "
        f"{cache[1]} texts, and those after the own tokens in {tokens[0]}.",
        "That all of K and V decides follows from how attention is built; the parts and the text "
        "said are what this measures beyond that.",
    )


def _figure(by: dict[str, tuple[float, float, float]]) -> Figure:
    value, low, high = zip(*by.values(), strict=True)
    names = [NAMES[parts] for parts in by]
    return Figure(
        title="What the text after a patched cache follows",
        mark="bar",
        x="taken from the other text",
        y="share: 0 the tokens' run, 1 the cache's run",
        series=(series("followed", names, value, low, high),),
        rule=0.5,
        rule_name="as far from both",
    )


def _picture(item: Item) -> Picture:
    last = len(item["tokens"]) - 1
    return Picture(
        text=item["text"],
        says="What the last token reads of all before it: take another text's K and V, and it "
        "goes on as that text.",
        cuts=(f"*.*:0-{last - 1}>{last}",),
        how="mask",
    )


EXPERIMENT = Experiment(
    claim="cache-is-memory",
    counts="pairs of texts with one continuation",
    n=20,
    quick=4,
    least=4,
    items=items,
    measure=measure,
    conclude=conclude,
)
