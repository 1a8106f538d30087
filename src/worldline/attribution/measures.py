"""Every measure of an edge side by side: ours, and other people's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from worldline.attribution.attribute import attribute
from worldline.attribution.peers.alti import ALTI, FLOW_ROUTES, FLOW_ROUTES_LOCAL
from worldline.attribution.peers.attention_weights import ATTENTION_WEIGHT, ROLLOUT, VALUE_NORM
from worldline.attribution.peers.attribution_patching import EAP, EAP_IG, PATCHED
from worldline.attribution.peers.edge_vectors import Measure, Question, refuse_long

if TYPE_CHECKING:
    from jaxtyping import Float

    from worldline.attribution.flow import Flow


def edge_measures() -> dict[str, Measure]:
    """All measures of an edge by name, ours and the peers'.

    Ours: gradient (matched to each cut), frozen and contribution. The peers': attention weight,
    value norm, rollout, ALTI, Information Flow Routes, edge attribution patching (EAP) and its
    integrated-gradients form. All hold every edge: up to 64 tokens.

    Returns:
        The measures; called with a trace, one gives an array [layer, head, dst, src] in its own
        `unit`.

    Exactness: as each says of itself. Source: each names its paper.

    >>> sorted(edge_measures())[:2]
    ['ALTI', 'EAP']
    """
    every = (
        _gradient("zero"),
        _gradient("mask"),
        PATCHED,
        FROZEN,
        EAP,
        EAP_IG,
        CONTRIBUTION,
        ATTENTION_WEIGHT,
        VALUE_NORM,
        ROLLOUT,
        ALTI,
        FLOW_ROUTES_LOCAL,
        FLOW_ROUTES,
    )
    return {measure.name: measure for measure in every}


def _gradient(how: str) -> Measure:
    def of(question: Question) -> Float[np.ndarray, "layer head dst src"]:
        refuse_long(question.trace)
        return _stack_layers(_attribute_question(question, "gradient", how))

    return Measure(
        f"gradient ({how})",
        "worldline; Syed et al. 2023 for the idea",
        "one forward pass and one backward",
        "first order above z: wrong where one edge is nearly all that its row reads",
        of,
        "target",
        "logits",
    )


def _frozen(question: Question) -> Float[np.ndarray, "layer head dst src"]:
    refuse_long(question.trace)
    return _stack_layers(_attribute_question(question, "frozen", "zero"))


def _attribute_question(question: Question, by: str, how: str) -> Flow:
    return attribute(
        question.trace, by, target=question.target, versus=question.versus, how=how, top=0
    )


def _contribution(question: Question) -> Float[np.ndarray, "layer head dst src"]:
    refuse_long(question.trace)
    return _stack_layers(attribute(question.trace, "contribution", top=0))


def _stack_layers(flow: Flow) -> Float[np.ndarray, "layer head dst src"]:
    layers = [flow.dense(layer) for layer in range(flow.n_layers)]
    stacked_weights = np.zeros((len(layers), max(map(len, layers)), flow.n_pos, flow.n_pos))
    for layer, layer_weights in enumerate(layers):
        stacked_weights[layer, : len(layer_weights)] = layer_weights
    return stacked_weights


FROZEN = Measure(
    "frozen",
    "worldline; Elhage et al., A mathematical framework for transformer circuits, 2021",
    "one forward pass and one backward through the frozen-linear model",
    "holds patterns, norms and gates: what an edge does by changing them is left out",
    _frozen,
    "target",
    "logits",
)
CONTRIBUTION = Measure(
    "contribution",
    "worldline; Ferrando and Voita 2024 for the idea, with signs",
    "the forward pass, and one linear map per layer",
    "asks about the node, not about what the node is good for",
    _contribution,
    unit="a signed part",
)
