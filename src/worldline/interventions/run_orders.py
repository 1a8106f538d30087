"""The same run in several orders of execution: what each takes, and that none changes anything."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from worldline.errors import InputError, RefusedError
from worldline.graph.order import Order, longest_chain, refuse_illegal
from worldline.models.generation import Asking
from worldline.models.loader import LoadedModel
from worldline.models.model_calls import on_model
from worldline.models.row_comparison import worse
from worldline.runs.foliation import Blocks, FoliatedRun
from worldline.runs.noise_floor import Precision, equivalent_runs, of_any_logprob
from worldline.runs.plan import Plan
from worldline.runs.recorder import tokens_to_run
from worldline.runs.run_logits import Said
from worldline.tokens.tokens import Tokens

if TYPE_CHECKING:
    from worldline.graph.order import Slice

ORDERS = ("prefill", "decode", "wavefront(1)", "random(0)", "cone")


@dataclass(frozen=True)
class OrderResult:
    """One order of execution of a run.

    The differences are from the plain run, over the columns whose last block ran; None where that
    was none.

    Attributes:
        name: The order.
        n_slices: How many slices it has.
        widest: Most blocks in a slice, those that only write K and V among them.
        longest_chain: The longest chain of blocks that wait for each other.
        blocks: How many blocks ran.
        only_kv: How many only wrote K and V.
        of_blocks: How many blocks the grid has.
        seconds: How long it took.
        nats: The largest difference of a log-probability.
        ulp: The largest difference of a logit, in units in the last place at the largest |logit|.
        row_error: The largest relative difference of a node; like `ulp` a size of rounding, without
            a floor of its own.
        slices: [layer][pos], the number of the slice in which a block ran, None where it did not.
    """

    name: str
    n_slices: int
    widest: int
    longest_chain: int
    blocks: int
    only_kv: int
    of_blocks: int
    seconds: float
    nats: float | None
    ulp: float | None
    row_error: float
    slices: list[list[int | None]]


@dataclass(frozen=True)
class OrderComparison:
    """Several orders of one run, each legal and each compared with the plain one.

    Attributes:
        tokens: The text.
        precision: Of a difference of log-probabilities, in nats.
        orders: What each order gave.
    """

    tokens: Tokens
    precision: Precision
    orders: list[OrderResult]

    @property
    def floor_nats(self) -> float:
        """The largest difference of a log-probability between equivalent plain runs."""
        return self.precision.floor

    def json(self) -> dict[str, Any]:
        """As plain numbers."""
        return {
            "schema": "worldline.orders/1",
            "tokens": list(self.tokens.pieces),
            "floor_nats": self.floor_nats,
            "precision": {"nats": self.precision.json()},
            "orders": [asdict(order) for order in self.orders],
        }

    def scene(self) -> dict[str, Any]:
        """What the picture shows of it."""
        return {
            "floor_nats": self.floor_nats,
            "precision": {"nats": self.precision.json()},
            "orders": [
                {name: value for name, value in asdict(order).items() if name != "only_kv"}
                for order in self.orders
            ],
        }


@on_model
def run_orders(
    model: LoadedModel,
    text: str | Tokens | Sequence[int],
    orders: Sequence[str | Order] = ORDERS,
    *,
    progress: Callable[[str], None] | None = None,
) -> OrderComparison:
    """Execute the blocks of a run in other legal orders, and compare with the model's own.

    Position-dependent constants are those of the whole text in every order.

    Args:
        model: A model from `load_model`.
        text: The text, or its tokens or ids.
        orders: prefill (row by row), decode (column by column), wavefront(SLOPE), random(SEED),
            cone(LAYER,POS) (only what that node needs; "cone": the last), or an Order given as
            slices.
        progress: Called with a line whenever work goes on.

    Returns:
        Of each order its slices and how far it is from the plain run.

    Exactness: each order agrees with the plain run to within rounding, or the model is refused (a
    node may differ by the tolerance of its dtype, 1e-5 in float32, for each block of the model);
    `precision` has how far equivalent plain runs lie apart that round in all the ways of an order
    (side by side, attention anew, token by token), and what the rounding of logits leaves open.
    Units: nats, units in the last place, seconds of wall time.

    Raises:
        InputError: an unknown order, or an illegal one: the first violated dependency is named.
        RefusedError: the blocks of this model cannot be run on some columns alone, or do not give
            the same then.
    """
    if not orders:
        raise InputError("orders: there is none; give at least one")
    tokens = tokens_to_run(model, text)
    parsed_orders = [
        Order.parse(order_or_name) if isinstance(order_or_name, str) else order_or_name
        for order_or_name in orders
    ]
    plan = Plan(tokens.ids)
    blocks = Blocks(model, plan)
    planned_orders = [
        (parsed_order, parsed_order.on(blocks.n_layers, len(tokens), blocks.reads))
        for parsed_order in parsed_orders
    ]
    results = []
    for order, slices in planned_orders:
        refuse_illegal(slices, blocks.n_layers, len(tokens), blocks.reads)
        if progress is not None:
            progress(f"order {order.name}, {len(slices)} slices")
        results.append(_run_order(order, slices, blocks))
    if progress is not None:
        progress("the floor: equivalent runs of other shapes")
    return OrderComparison(tokens, _precision(blocks, plan), results)


def _precision(blocks: Blocks, plan: Plan) -> Precision:
    """Of a log-probability: how far a run may lie apart that rounds in all the ways of an order.

    An order computes attention anew, on some columns alone, and roundings that know nothing of each
    other add up as their squares do.
    """
    others = equivalent_runs(blocks.model, plan.ids)
    runs = [*map(others.of_run, range(len(others.rows))), *_token_by_token(blocks, plan)]
    ways = [of_any_logprob(Said(blocks.logits[None]), run) for run in runs]
    return replace(ways[0], floor=math.hypot(*(way.floor for way in ways)))


def _token_by_token(blocks: Blocks, plan: Plan) -> list[Said]:
    """The model's own run, one token a pass with its cache.

    Sums over one column round otherwise than those over all of them. What is further off than the
    blocks of an order may be is no rounding, and is left out.
    """
    asking, ids = Asking(blocks.model.module), list(plan.ids)
    logits = torch.stack([asking(ids[: pos + 1], [ids[pos]]) for pos in range(len(ids))])
    finite = torch.isfinite(blocks.logits)
    apart = (logits - blocks.logits)[finite].abs().max()
    allowed = blocks.tolerance * blocks.n_layers * blocks.logits[finite].abs().max()
    return [Said(logits[None])] if bool(apart <= allowed) else []


def _run_order(order: Order, slices: Sequence[Slice], blocks: Blocks) -> OrderResult:
    start = time.perf_counter()
    foliated_run = blocks.run(slices)
    seconds = time.perf_counter() - start
    error, allowed_error = _row_error(foliated_run, blocks), blocks.tolerance * blocks.n_layers
    if not error <= allowed_error:  # each block on the way may round anew
        raise RefusedError(
            f"order {order.name}: a node is {error:.1e} away from the plain run, allowed are "
            f"{allowed_error:.0e}: something else than rows, K and V goes from block to block"
        )
    when: list[list[int | None]] = [[None] * blocks.n_pos for _ in range(blocks.n_layers)]
    for number, order_slice in enumerate(slices):
        for layer, pos in order_slice.cells:
            when[layer][pos] = number
    nats, ulp = _differences(foliated_run, blocks)
    return OrderResult(
        name=order.name,
        n_slices=len(slices),
        widest=max((order_slice.width for order_slice in slices), default=0),
        longest_chain=longest_chain(slices, blocks.reads),
        blocks=len(foliated_run.ran),
        only_kv=len({c for order_slice in slices for c in order_slice.only_kv} - foliated_run.ran),
        of_blocks=blocks.n_layers * blocks.n_pos,
        seconds=seconds,
        nats=nats,
        ulp=ulp,
        row_error=error,
        slices=when,
    )


def _row_error(foliated_run: FoliatedRun, blocks: Blocks) -> float:
    worst = 0.0
    for layer in range(blocks.n_layers):
        at = sorted(pos for of, pos in foliated_run.ran if of == layer)
        if at:
            true = blocks.rows[layer + 1][at].double()
            off, size = (
                (foliated_run.rows[layer + 1][at].double() - true).norm(dim=-1),
                true.norm(dim=-1),
            )
            worst = worse(worst, float((off / torch.where(size > 0, size, 1.0)).max()))
    return worst


def _differences(foliated_run: FoliatedRun, blocks: Blocks) -> tuple[float | None, float | None]:
    """(nats, ulp) over the columns whose last block ran."""
    at = sorted(pos for layer, pos in foliated_run.ran if layer == blocks.n_layers - 1)
    if not at:
        return None, None
    return logit_difference(foliated_run.logits[at], blocks.logits[at])


def logit_difference(new_logits: torch.Tensor, plain_logits: torch.Tensor) -> tuple[float, float]:
    """(largest difference of a log-probability, of a logit in ulp at the largest |logit|)."""
    finite = torch.isfinite(plain_logits)
    a, b = (torch.log_softmax(logits.double(), -1) for logits in (new_logits, plain_logits))
    nats = float((a - b)[finite].abs().max())
    size = float(plain_logits[finite].abs().max())
    bits = torch.finfo(plain_logits.dtype).eps
    spacing = bits * 2.0 ** np.floor(np.log2(size)) if size else bits
    return nats, float((new_logits - plain_logits)[finite].abs().max()) / float(spacing)
