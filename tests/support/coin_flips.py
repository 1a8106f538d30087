"""A claim that needs no model: of seeded coin flips, that more than half are heads."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from worldline.claims.claim_runs import RunRequest, run_claim
from worldline.claims.graph import Graph
from worldline.claims.records import load_graph
from worldline.claims.run_database import Store
from worldline.experiments import registry
from worldline.experiments.experiment import Experiment, Finding
from worldline.experiments.statistics import wilson
from worldline.models.identity import Identity
from worldline.models.loader import LoadedModel

COIN = """
id = "coin"
type = "claim"
title = "Heads"
text = "More than half of all flips are heads."
source = "a test"
metric = "share of heads"
unit = "share"
support = "> 0.5"
refute = "<= 0.5"
"""
TEST_OF = """
id = "test-of-{claim}"
type = "experiment"
title = "Flip {claim}"
text = "It is flipped."
source = "a test"

[edges]
tests = ["{claim}"]
"""


class Coin(LoadedModel):
    """A model of which only the name and the hash are ever asked for."""

    @property
    def weights_hash(self) -> str:
        """Made up."""
        return "c0" * 32

    @property
    def identity(self) -> Identity:
        """Of nothing but what is made up."""
        return Identity(
            name=self.name, model_type="", config=self.config, weights_hash=self.weights_hash,
            dtype=self.dtype, device=self.device, implementation="eager",
        )  # fmt: skip


def coin_model(name: str = "coin") -> LoadedModel:
    """The model, without any module."""
    nothing: Any = None
    return Coin(nothing, nothing, name, {"sides": 2}, "cpu", "float32")


def write_records(folder: Path, *claims: str) -> Path:
    """Records of claims on coins, each with its experiment."""
    folder.mkdir(parents=True, exist_ok=True)
    for claim in claims or ("coin",):
        text = COIN.replace('id = "coin"', f'id = "{claim}"')
        (folder / f"{claim}.toml").write_text(text, encoding="utf-8")
        (folder / f"test-of-{claim}.toml").write_text(TEST_OF.format(claim=claim))
    return folder


def coin_graph(folder: Path, *claims: str) -> Graph:
    """The graph of these records alone."""
    return load_graph(write_records(folder, *claims))


def flips(
    claim: str = "coin", n: int = 200, heads: float = 0.5, on_item: Callable[[str], None] = str
) -> Experiment:
    """`n` items, each one flip of a coin that shows heads with this chance."""

    def items(model, n, seed):
        return [{"key": f"flip-{k}", "seed": [seed, k]} for k in range(n)]

    def measure(model, item):
        found = {"heads": bool(np.random.default_rng(item["seed"]).random() < heads)}
        on_item(item["key"])
        return found

    def conclude(measured, seed):
        hits = sum(found["heads"] for _, found in measured)
        low, high = wilson(hits, len(measured))
        return Finding(hits / len(measured), low, high, len(measured), {"heads": hits}, ("Flips.",))

    return Experiment(claim, "flips", n, max(1, n // 10), 10, items, measure, conclude)


def main(folder: str, log: str, seed: str, seconds: str) -> None:
    """Run 40 flips in this process, each noted in a log when it was measured."""

    def on_item(key: str) -> None:
        with Path(log).open("a", encoding="utf-8") as noted:
            noted.write(f"{seed} {key}\n")
        time.sleep(float(seconds))

    registry.find_experiment = lambda claim: flips(claim, 40, on_item=on_item)
    registry.code_hash = lambda claim: "0" * 64
    claim = coin_graph(Path(folder) / f"records-{os.getpid()}").claim("coin")
    store = Store(Path(folder) / "store")
    outcome = run_claim(claim, store, coin_model(), RunRequest(seed=int(seed)))
    assert outcome.verdict is not None
    print(outcome.verdict.word)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
