"""The files of this folder, read once, and drawn by a seed."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

HOME = Path(__file__).parent


@cache
def lines_of(name: str) -> tuple[str, ...]:
    """The lines of a text file of this folder."""
    return tuple((HOME / name).read_text(encoding="utf-8").splitlines())


@cache
def records_of(name: str) -> tuple[dict[str, Any], ...]:
    """The objects of a file of JSON lines of this folder."""
    return tuple(json.loads(line) for line in lines_of(name))


def concepts() -> tuple[str, ...]:
    """A hundred everyday concepts, one word each; the first nine are those that can be chosen.

    >>> concepts()[:2], len(concepts())
    (('cats', 'bread'), 100)
    """
    return lines_of("concepts.txt")


@cache
def openings() -> tuple[str, ...]:
    """Openings of an answer: those of two words or more that do not end inside a quotation."""
    truncated_outputs = json.loads((HOME / "truncated_outputs.json").read_text(encoding="utf-8"))
    return tuple(
        opening for opening in truncated_outputs if len(opening.split()) > 1 and '"' not in opening
    )


def facts() -> tuple[tuple[str, str], ...]:
    """Questions with their answers, from plain ones to rare ones."""
    line_parts = (line.partition("\t") for line in lines_of("facts.txt"))
    return tuple((question, answer) for question, _, answer in line_parts)


def draw_distinct(population: tuple[Any, ...], n: int, *seed: int) -> list[Any]:
    """`n` different things in an order that the seed decides.

    >>> draw_distinct((1, 2, 3), 3, 0) == draw_distinct((1, 2, 3), 3, 0)
    True
    """
    order = np.random.default_rng(seed).permutation(len(population))
    return [population[k] for k in order[:n]]
