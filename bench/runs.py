"""Altered runs against plain forwards of the same model, in one run.

    .venv/bin/python bench/runs.py [--cuts 1000] [--batch 50] [--positions 256] [--hops 6]
        [--pairs 5] [--threads 1]

Two questions, on the bundled model. Single-edge cuts on a 14-token prompt, `--batch` side by side,
over the same number of plain forwards in equal batches; beside it plain forwards that are given an
explicit mask of four axes. And a hop curve with budgets 0 to H over H + 1 plain forwards, at
`--positions` tokens. CPU time, interleaved in pairs; the median of the ratios with its spread,
(third quartile - first quartile) / median. A ratio whose spread exceeds 10 % is called noisy.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable

import torch

import worldline as wl
from worldline.graph.edits import EdgeCut, HopBudget
from worldline.runs.execution import execute_many
from worldline.runs.forward_passes import inputs_of
from worldline.runs.hop_budgets import copies_of
from worldline.runs.plan import Plan

PROMPT = "When Mary and John went to the store, John gave a drink to"
LARGEST_SPREAD = 0.10
GOALS = {"cuts": 1.3, "hops": 1.5}


def main() -> None:
    """Print the ratios."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    options.add_argument("--cuts", type=int, default=1000)
    options.add_argument("--batch", type=int, default=50)
    options.add_argument("--positions", type=int, default=256)
    options.add_argument("--hops", type=int, default=6)
    options.add_argument("--pairs", type=int, default=5)
    options.add_argument("--threads", type=int, default=1)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    model = wl.load_model()
    cuts(model, given)
    hop_curve(model, given)


def cuts(model: wl.LoadedModel, given: argparse.Namespace) -> None:
    """Single edges, chosen at random, masked or dropped in turn."""
    tokens = wl.tokenize(model.tokenizer, PROMPT)
    draw, n_pos = random.Random(0), len(tokens)
    plans = []
    for n in range(given.cuts):
        dst = draw.randrange(1, n_pos)
        edge = EdgeCut(
            ("mask", "zero")[n % 2],
            (draw.randrange(dst),),
            (dst,),
            (draw.randrange(int(model.config["num_hidden_layers"])),),
            (draw.randrange(int(model.config["num_attention_heads"])),),
        )
        plans.append(Plan(tokens.ids, frozenset([edge])))
    n_batches = -(-given.cuts // given.batch)
    inputs = inputs_of(model, plans[0], given.batch)
    mask = torch.zeros(1, 1, n_pos, n_pos)
    mask.masked_fill_(~torch.ones(n_pos, n_pos).tril().bool(), torch.finfo(torch.float32).min)

    @torch.no_grad()
    def plain() -> None:
        for _ in range(n_batches):
            model.module(**inputs)

    @torch.no_grad()
    def masked() -> None:
        for _ in range(n_batches):
            model.module(**inputs, attention_mask=mask.expand(given.batch, -1, -1, -1))

    def ours() -> None:
        execute_many(model, plans, batch=given.batch, last=True)

    def whole() -> None:
        execute_many(model, plans, batch=given.batch, last=True, reuse=False)

    found = compared([plain, masked, ours, whole], given.pairs)
    words = f"{given.cuts} single-edge cuts, {n_pos} tokens, {given.batch} side by side"
    print(f"{words}: {shown(found[2])} of plain forwards (goal {GOALS['cuts']})")
    print(f"  from row 0 on, nothing reused: {shown(found[3])}")
    print(f"  plain forwards with an explicit mask: {shown(found[1])}")


def hop_curve(model: wl.LoadedModel, given: argparse.Namespace) -> None:
    """Budgets 0 to H."""
    words = "the old house by the sea was quiet until the wind rose and "
    ids = wl.tokenize(model.tokenizer, words * given.positions).ids[: given.positions]
    plan = Plan(ids, budget=HopBudget(given.hops))
    inputs = inputs_of(model, plan)

    @torch.no_grad()
    def plain() -> None:
        for _ in range(given.hops + 1):
            model.module(**inputs)

    def ours() -> None:
        for _ in copies_of(model, plan):
            pass

    found = compared([plain, ours], given.pairs)
    print(
        f"hop budgets 0 to {given.hops}, {given.positions} tokens: {shown(found[1])} of "
        f"{given.hops + 1} plain forwards (goal {GOALS['hops']})"
    )


def compared(actions: list[Callable[[], None]], pairs: int) -> list[tuple[float, float, float]]:
    """(median ratio to the first, spread, CPU seconds) of each, interleaved."""
    for action in actions:
        action()
    rows = [[seconds(action) for action in actions] for _ in range(pairs)]
    out = []
    for at in range(len(actions)):
        ratios = [row[at] / row[0] for row in rows]
        low, _, high = statistics.quantiles(ratios, n=4)
        middle = statistics.median(ratios)
        out.append((middle, (high - low) / middle, statistics.median(row[at] for row in rows)))
    return out


def seconds(action: Callable[[], None]) -> float:
    """CPU seconds, all threads."""
    start = time.process_time()
    action()
    return time.process_time() - start


def shown(found: tuple[float, float, float]) -> str:
    """A ratio, or why there is none."""
    ratio, spread, spent = found
    words = f"{ratio:.2f}x" if spread <= LARGEST_SPREAD else f"noisy, about {ratio:.2f}x"
    return f"{words} (spread {spread:.1%}, {spent:.2f} CPU s)"


if __name__ == "__main__":
    main()
