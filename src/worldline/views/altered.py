"""Runs that never happened, as text, and added to a Scene."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len

from worldline.views.altered_parts import (
    SceneAltered,
    SceneCone,
    SceneCut,
    SceneHopCurve,
    SceneHops,
    SceneOrders,
)
from worldline.views.labels import clipped, padded, readable_text, visible_text
from worldline.views.scene import Scene

BAR = 30
N_LISTED = 6
SHADES = " .:-=+*#%@"
DECADES = len(SHADES) - 1  # a shade for each power of ten below the largest


def with_altered(scene: Scene, **parts: Mapping[str, Any]) -> Scene:
    """The Scene with what altered runs said: ``hops``, ``cut``, ``cone``, ``orders``."""
    known = scene.altered or SceneAltered()
    added = {name: dict(part) for name, part in parts.items()}
    altered = SceneAltered.model_validate(known.model_dump() | added)
    whole = scene.model_dump(by_alias=True) | {"altered": altered.model_dump()}
    return Scene.model_validate(whole)


def hops_lines(part: SceneHops, pieces: Sequence[str], width: int) -> list[str]:
    """Loss by budget, and the hops that each token of the text needs."""
    first = part.curves[0]
    lines = [f"At most h hops (reads that count: layers {readable_text(part.layers)})"]
    if part.longest is not None:
        lines.append(f"no hop over more than {part.longest} positions")
    heads = "".join(f"{curve.sink:>12}" for curve in part.curves)
    lines += ["", f"hops{heads}   nats per predicted token"]
    most = max((max(curve.loss_nats) for curve in part.curves), default=0.0) or 1.0
    room = max(4, min(BAR, width - 12 * len(part.curves) - 30))
    for at, budget in enumerate(first.budgets):
        values = [c.loss_nats[at] if at < len(c.loss_nats) else None for c in part.curves]
        shown = "".join(f"{'–' if v is None else f'{v:.3f}':>12}" for v in values)
        size = values[0] if values[0] is not None else 0.0
        lines.append(f"{budget:4}{shown}   {'█' * round(room * size / most)}".rstrip())
    full = f"{part.loss_full_nats:.3f}"
    lines.append(f"full{'':{12 * len(part.curves) - len(full)}}{full}")
    for curve in part.curves:
        if curve.state_gain_nats is not None:
            lines.append(
                f"{curve.sink}: past inner states are worth at most "
                f"{curve.state_gain_nats:.3f} nats (being off the model's distribution included)"
            )
        lines += _sinks(curve)
    lines += [readable_text(part.tail), ""]
    for curve in part.curves:
        lines += [f"Hops needed per token (column 0 {curve.sink}; – more, or the first):"]
        lines += [*_tokens(curve, pieces, width), ""]
    return [clipped(line, width) for line in lines[:-1]]


def _sinks(curve: SceneHopCurve) -> list[str]:
    """How far tokens that may read nobody have turned into sinks, by budget."""
    norms = " ".join(f"{ratio:.1f}" for ratio in curve.norm_ratio)
    cosines = " ".join("–" if cos is None else f"{cos:.2f}" for cos in curve.sink_cos)
    return [
        f"{curve.sink}: norms over the plain run's, by budget: {norms}",
        f"{curve.sink}: cosine of V with column 0's: {cosines}",
    ]


def _tokens(curve: SceneHopCurve, pieces: Sequence[str], width: int) -> list[str]:
    """The text, every token with its number in brackets, folded."""
    lines = [""]
    for piece, need in zip(pieces, curve.hops_needed, strict=True):
        word = f"{visible_text(piece)}[{'–' if need is None else need}] "
        if lines[-1] and cell_len(lines[-1] + word) > width:
            lines.append("")
        lines[-1] += word
    return [line.rstrip() for line in lines]


def cut_lines(part: SceneCut, width: int) -> list[str]:
    """What was cut, and the next token before and after."""
    lines = [readable_text(line) for line in part.words]
    target = visible_text(part.target)
    lines += [
        "",
        f"log-probability of {target}: {part.target_before:.3f} to {part.target_after:.3f} nats,"
        f" change {part.change_nats:+.3f}",
        f"KL(before || after): {part.kl_nats:.3f} nats",
        "",
    ]
    half = max(12, min(30, (width - 6) // 2))
    lines.append(f"{padded('before', half)}   {padded('after', half)}".rstrip())
    for one, two in zip(part.before[:N_LISTED], part.after[:N_LISTED], strict=False):
        cells = [
            f"{math.exp(p.logprob):6.1%} {padded(visible_text(p.token), half - 7)}"
            for p in (one, two)
        ]
        lines.append("   ".join(cells).rstrip())
    return [clipped(line, width) for line in lines]


def cone_lines(part: SceneCone, labels: Sequence[str], width: int) -> list[str]:
    """A map of the response, last row on top; blank is exactly zero."""
    lines = [f"A push at layer {part.layer}, position {part.pos} ({_label(labels, part.pos)})"]
    for response in part.responses:
        sizes = [v for row in response.relative for v in row if v]
        most = max(sizes, default=0.0)
        lines += ["", f"through {response.through}: largest relative change {most:.2g}"]
        if not most:
            lines.append("nothing changes")
            continue
        for layer in range(len(response.relative) - 1, -1, -1):
            row = response.relative[layer]
            lines.append(f"{layer:4} |{''.join(_shade(v, most) for v in row)}|")
    lines += ["", f"each step of '{SHADES[1:]}' is a factor of ten; blank is exactly zero"]
    zero = "bitwise zero" if part.outside_zero else "NOT zero"
    lines.append(f"outside the cone: {zero}")
    if part.derivative_error is not None:
        lines.append(f"finite step against the derivative: {part.derivative_error:.1e}")
    if part.additivity_error is not None:
        lines.append(f"residual + kv against both: {part.additivity_error:.1e}")
    return [clipped(line, width) for line in lines]


def _shade(value: float, most: float) -> str:
    if not value:
        return " "
    below = -math.log10(value / most)
    return SHADES[max(1, DECADES - int(below))]


def _label(labels: Sequence[str], pos: int) -> str:
    return visible_text(labels[pos]) if pos < len(labels) else str(pos)


def orders_lines(part: SceneOrders, width: int) -> list[str]:
    """One line per order, and the floor to compare with."""
    lines = [
        "order            slices  widest   chain  blocks of all       seconds     nats       ulp"
    ]
    for one in part.orders:
        lines.append(
            f"{padded(readable_text(one.name), 15)}{one.n_slices:8}{one.widest:8}"
            f"{one.longest_chain:8}{one.blocks:8} of {one.of_blocks:<8}{one.seconds:9.3f}"
            + ("        –         –" if one.nats is None else f"{one.nats:9.1e}{one.ulp:10.1f}")
        )
    lines.append(f"two equivalent plain runs differ by {part.floor_nats:.1e} nats")
    return [clipped(line, width) for line in lines]
