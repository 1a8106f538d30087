"""Texts to measure on as items: beginnings of passages, and prompts whose next token is known."""

from __future__ import annotations

import numpy as np

import worldline as wl
from worldline.experiments.experiment import Item
from worldline.experiments.faithfulness.families import Pair, load_pairs
from worldline.experiments.stimuli.passages import all_passages, draw_passages

FAMILIES = ("indirect-object", "agreement", "facts", "greater-than")


def long_passages(model: wl.LoadedModel, n: int, n_tokens: int, seed: int) -> list[Item]:
    """The first `n` passages of the seed's order that have `n_tokens` tokens; fewer if no more.

    A passage that the model's tokenizer cannot read is passed over.
    """
    number = {text: at for at, text in enumerate(all_passages())}
    passage_items: list[Item] = []
    for text in draw_passages(len(number), seed):
        if len(passage_items) == n:
            break
        if len(_ids(model, text)) >= n_tokens:
            key = f"passage-{number[text]:03d}"
            passage_items.append(
                {"key": key, "kind": "passage", "text": text, "n_tokens": n_tokens}
            )
    return passage_items


def prediction_prompts(model: wl.LoadedModel, n: int, n_tokens: int, seed: int) -> list[Item]:
    """`n` prompts whose next token is asked about: half of them passages, half with an answer.

    Of a passage the first `n_tokens` tokens are the prompt, and the question is the model's
    likeliest next token against the second. Of the others, in turn from families of known-answer
    prompts, the right answer (`answer`, which ends the text) against a wrong one (`wrong`). The
    prompt is in either the first `n_tokens` tokens of the text, which has one token more.
    """
    answer_items = _answer_prompts(model, n // 2, seed)
    passages = long_passages(model, n - len(answer_items), n_tokens + 1, seed)
    shorter = [item | {"n_tokens": n_tokens, "answer": None, "wrong": None} for item in passages]
    mixed_items = [
        paired_item for pair in zip(shorter, answer_items, strict=False) for paired_item in pair
    ]
    return mixed_items + shorter[len(answer_items) :] + answer_items[len(shorter) :]


def question(trace: wl.Trace, item: Item) -> tuple[int, int]:
    """(target, versus): the answer and the wrong one, or the likeliest token and the second."""
    if item["answer"] is not None:
        return item["answer"], item["wrong"]
    first, second = trace.predictions[:2]
    return first.id, second.id


def _answer_prompts(model: wl.LoadedModel, n: int, seed: int) -> list[Item]:
    """The first `n` prompts, one family after the other, in each the seed's order."""
    families = [_of_family(model, name, -(-n // len(FAMILIES)), seed) for name in FAMILIES]
    longest = max(map(len, families))
    turns = [items[at] for at in range(longest) for items in families if at < len(items)]
    return turns[:n]


def _of_family(model: wl.LoadedModel, name: str, n: int, seed: int) -> list[Item]:
    pairs = load_pairs(name)
    family_items: list[Item] = []
    for number in np.random.default_rng(seed).permutation(len(pairs)).tolist():
        item = _item(model, pairs[number], f"{name}-{number:03d}", name)
        if item is not None and len(family_items) < n:
            family_items.append(item)
        if len(family_items) == n:
            break
    return family_items


def _item(model: wl.LoadedModel, pair: Pair, key: str, kind: str) -> Item | None:
    """The item of a pair, None where an answer is not one token after the prompt."""
    ids = _ids(model, pair.clean)
    after = [_ids(model, pair.clean + answer_ids) for answer_ids in (pair.answer, pair.wrong)]
    if not ids or any(answer[:-1] != ids for answer in after) or after[0] == after[1]:
        return None
    return {
        "key": key,
        "kind": kind,
        "text": pair.clean + pair.answer,
        "n_tokens": len(ids),
        "answer": after[0][-1],
        "wrong": after[1][-1],
    }


def _ids(model: wl.LoadedModel, text: str) -> tuple[int, ...]:
    """The ids of a text, none where the tokenizer cannot read it."""
    try:
        return tuple(wl.tokenize(model.tokenizer, text).ids)
    except wl.InputError:
        return ()
