"""Items made by hand for the experiments on flows: the circuits, whose answer is known."""

from __future__ import annotations

import functools

import worldline as wl
from worldline.models.known_circuits import without


def circuit_case(name: str) -> tuple[wl.LoadedModel, dict]:
    """A circuit's model, and its prompt as an item."""
    circuit = wl.known_circuits()[name]
    text = " ".join(f"t{one}" for one in (*circuit.ids, circuit.target))
    item = {
        "key": name,
        "kind": "circuit",
        "text": text,
        "n_tokens": len(circuit.ids),
        "answer": circuit.target,
        "wrong": circuit.versus,
    }
    return wl.load_model((circuit.module, circuit.tokenizer)), item


@functools.cache
def idle_model() -> wl.LoadedModel:
    """A model whose heads attend, and write nothing."""
    circuit = wl.known_circuits()["chain of 2"]
    heads = [(layer, head) for layer in range(circuit.module.config.n_layer) for head in (0, 1)]
    return wl.load_model((without(circuit.module, *heads), circuit.tokenizer))


def words_item(n: int, seed: int = 0) -> dict:
    """A text of `n` words that hand-built models know, as an item."""
    text = " ".join(f"t{1 + (3 * at + seed) % 11}" for at in range(n))
    return {"key": f"words-{seed}", "kind": "words", "text": text, "n_tokens": n, "seed": seed}
