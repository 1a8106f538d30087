"""What the experiments on laws share: texts as ids, and distances of logits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from scipy.special import log_softmax

import worldline as wl
from worldline.experiments.experiment import Item, Series
from worldline.experiments.refusals import refusal
from worldline.experiments.stimuli.passages import all_passages, draw_passages

COARSE = ("float16", "bfloat16")
EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
LIMITS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "n_ctx",
    "max_sequence_length",
    "seq_length",
    "context_length",
)
WORDS = range(3, 112)  # of a model that knows numbered words only: "t3" to "t111"


def context_of(model: wl.LoadedModel) -> int | None:
    """The most tokens that a model was made for, by its configuration; None if it says nothing."""
    for part in (model.config, model.config.get("text_config") or {}):
        for name in LIMITS:
            limit = part.get(name)
            if isinstance(limit, int) and limit > 0:
                return limit
    return None


def draw_texts(model: wl.LoadedModel, n: int, seed: int, n_tokens: int) -> list[Item]:
    """Up to `n` items of `n_tokens` tokens each: `key`, `ids`, and the `text` that they spell.

    The texts are passages; of a model that reads only words like "t17" they are drawn words, and
    the key says so. A model made for shorter texts gives one item that says that.
    """
    limit = context_of(model)
    if limit is not None and limit < n_tokens:
        return [refusal(f"{model.name} reads {limit} tokens at most: {n_tokens} are needed")]
    try:
        wl.tokenize(model.tokenizer, all_passages()[0])
    except wl.InputError:
        return _draw_words(model, n, seed, n_tokens)
    text_items: list[Item] = []
    for number, text in enumerate(draw_passages(len(all_passages()), seed)):
        tokens = wl.tokenize(model.tokenizer, text)
        if len(tokens) >= n_tokens:
            first = tokens.first(n_tokens)
            text_items.append(
                {"key": f"passage {number}", "ids": list(first.ids), "text": first.text}
            )
        if len(text_items) == n:
            break
    return text_items


def _draw_words(model: wl.LoadedModel, n: int, seed: int, n_tokens: int) -> list[Item]:
    draw, text_items = np.random.default_rng(seed), []
    for number in range(n):
        text = " ".join(f"t{word}" for word in draw.choice(WORDS, size=n_tokens))
        ids = wl.tokenize(model.tokenizer, text).ids
        text_items.append({"key": f"drawn words {number}", "ids": list(ids), "text": text})
    return text_items


def tokens_of(ids: Sequence[int]) -> wl.Tokens:
    """Tokens known by their numbers alone, without the text that they spell."""
    no_spans = ((0, 0),) * len(ids)
    return wl.Tokens(
        text="",
        ids=tuple(ids),
        pieces=("",) * len(ids),
        char_spans=no_spans,
        byte_spans=no_spans,
        groups=tuple(range(len(ids))),
        specials=(False,) * len(ids),
        exact_offsets=False,
    )


def on_device(model: wl.LoadedModel, ids: Sequence[int]) -> Any:
    """Ids as the model's forward takes them, [1, pos], on the model's device."""
    like = next(model.module.parameters()).detach().flatten()[:1].double()
    return like.new_tensor([list(ids)]).long()


@contextlib.contextmanager
def weights_held(model: wl.LoadedModel) -> Iterator[None]:
    """The weights take no gradient meanwhile, so that a forward pass keeps no graph."""
    taking = [parameter for parameter in model.module.parameters() if parameter.requires_grad]
    for parameter in taking:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in taking:
            parameter.requires_grad_(True)


def same_places(n_pos: int) -> tuple[int, ...]:
    """The alignment of a patch source as long as the text: each position is its own counterpart."""
    return tuple(range(n_pos))


def refuse_coarse(model: wl.LoadedModel) -> list[Item]:
    """One item that says why, where a law to 1e-4 drowns in the rounding of the model's numbers."""
    if model.dtype not in COARSE:
        return []
    why = f"{model.dtype} rounds to {EPS[model.dtype]:.0e}, coarser than the law: load float32"
    return [refusal(why)]


def exact(value: float | int) -> tuple[float, float, float]:
    """(value, low, high) of a number that is what it is: its interval is the number alone."""
    return float(value), float(value), float(value)


def finite(numbers: Iterable[float]) -> list[float | None]:
    """The numbers, None where one is not finite: an interval of one text is unbounded."""
    return [number if np.isfinite(number) else None for number in map(float, numbers)]


def series(
    name: str,
    x: Iterable[Any],
    y: Iterable[Any],
    low: Iterable[Any] | None = None,
    high: Iterable[Any] | None = None,
) -> Series:
    """One series of a figure, its numbers as floats; no interval where an end is unbounded."""
    places = tuple(x_value if isinstance(x_value, str) else float(x_value) for x_value in x)
    ends = [None if end is None else tuple(map(float, end)) for end in (low, high)]
    if any(end is not None and not np.isfinite(end).all() for end in ends):
        ends = [None, None]
    return Series(name, places, tuple(map(float, y)), *ends)


def as_array(tensor: Any) -> np.ndarray:
    """A tensor's numbers in float64."""
    return tensor.detach().double().cpu().numpy()


def apart(first: Any, two: Any) -> float:
    """Largest difference of two tensors of logits, of the largest |logit| of the second.

    Logits that are minus infinity in both (tokens that a model never says) are left out.
    """
    a, b = as_array(first), as_array(two)
    finite = np.isfinite(b)
    if not np.array_equal(finite, np.isfinite(a)):
        return float("inf")
    if not finite.any():
        return 0.0
    size = float(np.abs(b[finite]).max())
    return float(np.abs(a - b)[finite].max()) / (size or 1.0)


def kl_nats(first: Any, two: Any) -> np.ndarray:
    """KL(one || two) of the distributions that rows of logits stand for, in nats, [pos].

    Exactness: in float64 from the logits as they are; what rounding makes negative is 0.
    """
    a, b = (log_softmax(as_array(logits), -1) for logits in (first, two))
    p = np.exp(a)
    with np.errstate(invalid="ignore"):
        terms = np.where(p > 0, p * (a - b), 0.0)
    return np.maximum(terms.sum(-1), 0.0)
