"""Items made by hand for the experiments on flows: the circuits, whose answer is known."""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from typing import Any

import torch
import transformers as hf
from torch import Tensor, nn

import worldline as wl


def without(module: hf.GPT2LMHeadModel, *heads: tuple[int, int]) -> hf.GPT2LMHeadModel:
    """A copy in which these heads (layer, head) write nothing."""
    ablated_module = copy.deepcopy(module)
    with torch.no_grad():
        for layer, head in heads:
            attention: Any = ablated_module.transformer.get_submodule(f"h.{layer}.attn")
            mine = slice(head * attention.head_dim, (head + 1) * attention.head_dim)
            attention.c_proj.weight[mine] = 0.0
    return ablated_module


def last_logits(module: nn.Module, ids: Sequence[int]) -> Tensor:
    """The plain model's logits at the last position, [d_vocab]."""
    with torch.no_grad():
        return module(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0, -1]


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
