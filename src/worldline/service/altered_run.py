"""A request for an altered run, carried out: its numbers, its part of a Scene, its recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from worldline.errors import InputError
from worldline.graph.edits import EdgeCut, GraphSize, Intervention, NodeCut
from worldline.graph.node import Node
from worldline.graph.order import Order
from worldline.number_spans import number_span
from worldline.requests import (
    AlteredRequest,
    ConeRequest,
    CutRequest,
    HopsRequest,
    OrdersRequest,
)
from worldline.tokens.spans import positions_of
from worldline.views.reproduce import recipe_of

if TYPE_CHECKING:
    from worldline.graph.edits import PatchSource
    from worldline.models.loader import LoadedModel
    from worldline.tokens.input_text import WrittenText
    from worldline.tokens.tokens import Tokens
    from worldline.views.schema.recipe import Recipe

THROUGH = ("residual", "kv", "both")
Say = Callable[[str], None]


@dataclass(frozen=True)
class AlteredRun:
    """What came of it.

    Args:
        part: The name of its part of a Scene: "cut", "sources", "hops", "cone" or "orders".
        scene: That part, as the schema has it.
        numbers: All of it as JSON.
        recipe: What makes it again.
        note: What a reader must know before the numbers are used; empty where there is nothing.
    """

    part: str
    scene: dict[str, Any]
    numbers: dict[str, Any]
    recipe: Recipe
    note: str = ""


def run_altered(
    model: LoadedModel,
    tokens: Tokens,
    request: AlteredRequest,
    run: Recipe,
    say: Say,
    *,
    patch: WrittenText | None = None,
    slices: tuple[str, Order] | None = None,
    tokens_at_once: int | None = None,
) -> AlteredRun:
    """Carry out one request.

    Args:
        model: The model.
        tokens: The text.
        request: What is asked.
        run: The model and the text as a recipe names them.
        say: Called with a line whenever work goes on.
        patch: How the text that is patched in was read; None where the request alone has it.
        slices: An order that a file has, and the file's name.
        tokens_at_once: How many tokens of hop budgets run side by side at most.

    Raises:
        InputError: what this model or this text has not.
        RefusedError: the model failed a check.
    """
    if isinstance(request, CutRequest):
        if request.each:
            return _run_each(model, tokens, request, run, say)
        return _run_cut(model, tokens, request, run, say, patch)
    if isinstance(request, HopsRequest):
        return _run_hops(model, tokens, request, run, say, tokens_at_once)
    if isinstance(request, ConeRequest):
        return _run_cone(model, tokens, request, run, say)
    return _run_orders(model, tokens, request, run, say, slices)


def edits_of_request(model: LoadedModel, tokens: Tokens, request: CutRequest) -> list[Intervention]:
    """The edits that a request writes: its edges one by one, one span, its nodes."""
    from worldline.runs.forward_passes import layer_heads

    size = GraphSize(layer_heads(model), len(tokens))
    edits: list[Intervention] = []
    if request.how is not None:
        options = {
            "parts": request.parts,
            "own": request.own,
            "patch_source": _patch_source(model, tokens, request, request.how),
        }
        edits += [
            EdgeCut.parse(place, request.how, size=size, label="--edge", **options)
            for place in request.edges
        ]
        if request.has_spans:
            src = positions_of(tokens, request.from_ or "all", "--from")
            dst = positions_of(tokens, request.to or "all", "--to")
            layers = _numbers(request.layers, len(size.n_heads), "--layers")
            heads = _numbers(request.heads, size.most_heads(layers), "--heads")
            edits.append(EdgeCut(request.how, src, dst, layers, heads, **options))
    if request.node_how is not None:
        patch_source = _patch_source(model, tokens, request, request.node_how)
        edits += [
            NodeCut.parse(
                place, request.node_how, size=size, label="--node", patch_source=patch_source
            )
            for place in request.nodes
        ]
    return edits


def _patch_source(
    model: LoadedModel, tokens: Tokens, request: CutRequest, how: str
) -> PatchSource | None:
    from worldline.interventions.cut import patch_source_of

    if request.patch_from is None or how not in ("mean", "patch"):
        return None
    align = request.align or ("left" if how == "mean" else None)
    return patch_source_of(model, tokens, request.patch_from, align)


def _numbers(span_text: str | None, n: int, label: str) -> tuple[int, ...] | None:
    return None if span_text is None else number_span(span_text, n, label)


def _run_cut(
    model: LoadedModel,
    tokens: Tokens,
    request: CutRequest,
    run: Recipe,
    say: Say,
    patch: WrittenText | None,
) -> AlteredRun:
    from worldline.interventions.cut import cut, cut_scene

    edits = edits_of_request(model, tokens, request)
    say("running with and without the cut")
    result = cut(model, tokens, edits, target=request.target, versus=request.versus)
    recipe = recipe_of(run, request, edits=edits, patch=patch)
    return AlteredRun("cut", cut_scene(result), result.json(), recipe)


def _run_each(
    model: LoadedModel,
    tokens: Tokens,
    request: CutRequest,
    run: Recipe,
    say: Say,
) -> AlteredRun:
    from worldline.interventions.cut import cut_sources

    result = cut_sources(model, tokens, how=request.how or "", target=request.target, progress=say)
    recipe = recipe_of(run, request, n_tokens=len(tokens))
    return AlteredRun("sources", result.scene(), result.json(), recipe)


def _run_hops(
    model: LoadedModel,
    tokens: Tokens,
    request: HopsRequest,
    run: Recipe,
    say: Say,
    tokens_at_once: int | None,
) -> AlteredRun:
    from worldline.interventions.hop_curve import curves_json, curves_scene, hop_curves
    from worldline.models.validation import checked_report
    from worldline.runs.hop_budgets import AT_ONCE

    n_layers = checked_report(model).n_layers
    at_once = AT_ONCE
    if tokens_at_once is not None:
        at_once = max(1, min(AT_ONCE, tokens_at_once // len(tokens)))
    curves = hop_curves(
        model,
        tokens,
        sink=request.sink,
        max_hops=request.max_hops,
        layers=_numbers(request.layers, n_layers, "--layers"),
        longest=request.longest,
        at_once=at_once,
        progress=say,
    )
    sinks = [curve.sink for curve in curves]
    said = request.model_copy(update={"sink": sinks[0] if len(sinks) == 1 else "both"})
    recipe = recipe_of(run, said, n_layers=n_layers, sinks=sinks)
    return AlteredRun("hops", curves_scene(curves), curves_json(curves), recipe)


def _run_cone(
    model: LoadedModel, tokens: Tokens, request: ConeRequest, run: Recipe, say: Say
) -> AlteredRun:
    from worldline.interventions.light_cone import light_cone

    node = node_of_request(request, len(tokens))
    result = light_cone(
        model,
        tokens,
        at=node,
        directions=request.directions,
        step=request.step,
        seed=request.seed or 0,
        through=(request.through,) if request.through else THROUGH,
        progress=say,
    )
    said = request.model_copy(update={"at": f"{node.layer},{node.pos}", "seed": request.seed or 0})
    recipe = recipe_of(run, said, n_tokens=len(tokens))
    note = result.derivative if result.derivative_error is None else ""
    return AlteredRun("cone", result.scene(), result.json(), recipe, note)


def node_of_request(request: ConeRequest, n_pos: int) -> Node:
    """The node that a request perturbs, in a text of `n_pos` tokens.

    Raises InputError for positions outside it, and more than one.
    """
    layer, pos = request.layer_and_position
    positions = number_span(pos, n_pos, "--at position")
    if len(positions) != 1:
        raise InputError(
            f"--at {request.at}: names {len(positions)} positions; accepted is one node"
        )
    return Node(layer=layer, pos=positions[0])


def _run_orders(
    model: LoadedModel,
    tokens: Tokens,
    request: OrdersRequest,
    run: Recipe,
    say: Say,
    slices: tuple[str, Order] | None,
) -> AlteredRun:
    from worldline.interventions.run_orders import ORDERS, run_orders

    orders: Sequence[Order | str] = [Order.parse(order_text) for order_text in request.orders]
    place = None
    if slices is not None:
        place, order = slices
        orders = [*orders, order]
    result = run_orders(model, tokens, orders or ORDERS, progress=say)
    recipe = recipe_of(run, request, slices=place)
    return AlteredRun("orders", result.scene(), result.json(), recipe)
