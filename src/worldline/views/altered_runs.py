"""Runs that never happened, as text, and added to a Scene."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from rich.cells import cell_len

from worldline.resolution import told, under_words
from worldline.views.difference_text import change_words, floor_words, size_words
from worldline.views.labels import (
    clip_cells,
    fold_cells,
    pad_cells,
    percent,
    readable_text,
    signed_text,
    token_name,
    visible_text,
)
from worldline.views.number_records import with_meanings
from worldline.views.schema.alterations import (
    SceneAltered,
    SceneCone,
    SceneCut,
    SceneHopCurve,
    SceneHops,
    SceneOrder,
    SceneOrders,
    SceneSources,
)
from worldline.views.schema.parts import ScenePrecision, ScenePrediction
from worldline.views.schema.scene import Scene

BAR = 30
N_LISTED = 6
SHADES = " .:-=+*#%@"
ROUNDING = "~"
DECADES = len(SHADES) - 1  # a shade for each power of ten below the largest
MOST_ROWS = 34
TABLE = 86  # cells that the table of orders takes
BACKGROUNDS = (230, 229, 223, 222, 221, 220, 214, 208)  # pale to strong, of the 256 colours


def with_altered(scene: Scene, **parts: Mapping[str, Any]) -> Scene:
    """The Scene with what altered runs said: ``hops``, ``cut``, ``cone``, ``orders``."""
    existing_part = scene.altered or SceneAltered()
    new_parts = {name: dict(part) for name, part in parts.items()}
    altered_part = SceneAltered.model_validate(existing_part.model_dump() | new_parts)
    scene_fields = scene.model_dump(by_alias=True) | {"altered": altered_part.model_dump()}
    return with_meanings(Scene.model_validate(scene_fields))


def altered_lines(
    part: SceneAltered, labels: Sequence[str], width: int, *, color: bool = False
) -> list[str]:
    """All that altered runs said, in lines of at most `width` cells; `labels` name the columns."""
    blocks = [
        hops_lines(part.hops, labels, width, color=color) if part.hops else [],
        cut_lines(part.cut, width) if part.cut else [],
        sources_lines(part.sources, labels, width) if part.sources else [],
        cone_lines(part.cone, labels, width) if part.cone else [],
        orders_lines(part.orders, width) if part.orders else [],
    ]
    return [line for block in blocks if block for line in [*block, ""]][:-1]


def hops_lines(
    part: SceneHops, pieces: Sequence[str], width: int, *, color: bool = False
) -> list[str]:
    """Loss by budget, and the hops that each token of the text needs.

    With `color` the tokens have a background that is stronger the more hops they need.
    """
    headings = [f"At most h hops (reads that count: layers {readable_text(part.layers)})"]
    if part.longest is not None:
        headings.append(f"no hop over more than {part.longest} positions")
    notes = []
    for curve in part.curves:
        if curve.state_gain_nats is not None:
            gain = size_words(curve.state_gain_nats, curve.precision.get("loss_nats"), "nats")
            notes.append(f"{curve.sink}: state gain {gain}{_below_zero(curve)}")
        notes += _sinks(curve)
    if any(curve.state_gain_nats is not None for curve in part.curves):
        notes.append(
            "State gain bounds from above what reading past inner states is worth; state gain "
            "includes the cost of being off the model's distribution."
        )
    notes.append(readable_text(part.tail))
    if precision := part.curves[0].precision.get("loss_nats"):
        notes.append(f"A difference of two losses is {floor_words(precision, 'nats')}")
    table = [clip_cells(line, width) for line in _losses(part, width)]
    notes.append(
        "Hops needed: from so many on, what comes first is what comes first without a limit; "
        "tokens no further apart than rounding both come first."
    )
    lines = [*_fold_sentences(headings, width), "", *table, *_fold_sentences(notes, width), ""]
    for curve in part.curves:
        title = f"Hops needed per token (column 0 {curve.sink}; – more, or the first):"
        lines += [*fold_cells(title, width), *_tokens(curve, pieces, width, color), ""]
    return lines[:-1]


def _fold_sentences(sentences: Sequence[str], width: int) -> list[str]:
    return [line for sentence in sentences for line in fold_cells(sentence, width)]


def _losses(part: SceneHops, width: int) -> list[str]:
    """The table of losses, a row per budget; the bar is the first curve's."""
    budgets = sorted({budget for curve in part.curves for budget in curve.budgets})
    most = max(loss for curve in part.curves for loss in curve.loss_nats) or 1.0
    curve_losses = [dict(zip(curve.budgets, curve.loss_nats, strict=True)) for curve in part.curves]
    room = max(4, min(BAR, width - 12 * len(curve_losses) - 7))
    lines = ["hops" + "".join(f"{curve.sink:>12}" for curve in part.curves)]
    for budget in budgets:
        loss_cells = "".join(f"{_number(losses.get(budget)):>12}" for losses in curve_losses)
        bar = "█" * round(room * curve_losses[0].get(budget, 0.0) / most)
        lines.append(f"{budget:4}{loss_cells}   {bar}".rstrip())
    full = f"{part.loss_full_nats:.3f}"
    return [*lines, f"full{full:>{12 * len(curve_losses)}}", "(nats per predicted token)"]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _below_zero(curve: SceneHopCurve) -> str:
    """What a state gain below 0 says, where it is more than rounding."""
    gain = curve.state_gain_nats
    if gain is None or gain >= 0 or not told(gain, curve.precision.get("loss_nats")):
        return ""
    return ", below 0: with at most 1 hop this text is predicted better than by the full run"


def _sinks(curve: SceneHopCurve) -> list[str]:
    """How far tokens that may read nobody have turned into sinks, by budget."""
    norms = " ".join(f"{ratio:.1f}" for ratio in curve.norm_ratio)
    cosines = " ".join("–" if cos is None else f"{cos:.2f}" for cos in curve.sink_cos)
    return [
        f"{curve.sink}: mean norm of a node over the plain run's, by budget: {norms}",
        f"{curve.sink}: mean cosine of V with column 0's, by budget: {cosines}",
    ]


def _tokens(curve: SceneHopCurve, pieces: Sequence[str], width: int, color: bool) -> list[str]:
    """The text, every token with its number in brackets, folded."""
    most = max((need or 0 for need in curve.hops_needed), default=0)
    lines, used_cells = [""], 0
    for piece, need in zip(pieces, curve.hops_needed, strict=True):
        number = f"[{_count_text(need)}]"
        word = clip_cells(visible_text(piece), width - len(number)) + number
        if used_cells and used_cells + 1 + cell_len(word) > width:
            lines.append("")
            used_cells = 0
        gap = " " if used_cells else ""
        used_cells += len(gap) + cell_len(word)
        lines[-1] += gap + (_colour_word(word, need, most) if color else word)
    return lines


def _colour_word(word: str, need: int | None, most: int) -> str:
    """The word in black on a colour for its hops, as a terminal wants it."""
    if need is None:
        return word
    step = round((len(BACKGROUNDS) - 1) * need / most) if most else 0
    return f"\x1b[38;5;16;48;5;{BACKGROUNDS[step]}m{word}\x1b[0m"


def _count_text(value: int | None) -> str:
    return "–" if value is None else str(value)


def sources_lines(part: SceneSources, pieces: Sequence[str], width: int) -> list[str]:
    """What is lost without all reads of each token, the largest loss first."""
    order = sorted(range(len(pieces)), key=lambda pos: part.change_nats[pos])
    target_name, precision = token_name(part.target), part.precision.get("change_nats")
    lines = [
        *fold_cells(
            f"What {target_name} loses without all reads of one token ({part.how}), in nats", width
        ),
        *fold_cells("+ is a loss: without the token the answer is less likely; - a gain", width),
    ]
    for pos in order:
        after = part.after[pos]
        if after is None:
            continue
        loss_text = (
            signed_text(-part.change_nats[pos]) if told(part.change_nats[pos], precision) else "–"
        )
        loss_text = "0" if pos in part.powerless else loss_text
        name = pad_cells(clip_cells(visible_text(pieces[pos]), 18), 18)
        prediction_text = (
            f"then {clip_cells(token_name(after.token), 18)} {percent(math.exp(after.logprob))}"
        )
        lines.append(clip_cells(f"  {pos:>4}  {name}{loss_text:>9}   {prediction_text}", width))
    if precision is not None:
        lines += fold_cells(f"– stands for {under_words(precision, 'nats')}", width)
    if any(part.after[pos] is not None for pos in part.powerless):
        lines += fold_cells("0 is exact: no read of the token can reach the answer", width)
    return lines + (fold_cells(readable_text(part.note), width) if part.note else [])


def cut_lines(part: SceneCut, width: int) -> list[str]:
    """What was cut, and the next token before and after."""
    lines = _fold_sentences(
        [*(readable_text(line) for line in part.words), "", *_changes(part)], width
    )
    half = max(12, min(30, (width - 3) // 2))
    lines += ["", f"{pad_cells('before', half)}   after"]
    for prediction_pair in zip_longest(part.before[:N_LISTED], part.after[:N_LISTED]):
        lines.append(
            "   ".join(_guess(prediction, half) for prediction in prediction_pair).rstrip()
        )
    return [clip_cells(line, width) for line in lines]


def _changes(part: SceneCut) -> list[str]:
    """What the cut changed, one sentence a number; and where it can change nothing, that."""
    target, notes = token_name(part.target), [readable_text(part.note)] if part.note else []
    before = f"log-probability of {target}: {part.target_before:.3f}"
    if part.powerless is not None:
        words = f"the cut cannot change anything: {readable_text(part.powerless)}"
        return [f"{before} nats, change exactly 0: {words}", *notes]
    precision_of = part.precision.get
    change = change_words(part.change_nats, precision_of("change_nats"), "nats")
    lines = [f"{before} to {part.target_after:.3f} nats, change {change}"]
    if (
        part.versus is not None
        and part.change_logits is not None
        and part.logits_before is not None
    ):
        after = part.logits_before + part.change_logits
        change = change_words(part.change_logits, precision_of("change_logits"), "logits")
        lines.append(
            f"logit of {target} less that of {token_name(part.versus)}: "
            f"{part.logits_before:.3f} to {after:.3f}, change {change}"
        )
    kl = size_words(part.kl_nats, precision_of("kl_nats"), "nats")
    return [*lines, f"KL(before || after): {kl}", *notes]


def _guess(prediction: ScenePrediction | None, cells: int) -> str:
    if prediction is None:
        return " " * cells
    chance = percent(math.exp(min(0.0, prediction.logprob)))
    return pad_cells(f"{chance:>7} {token_name(prediction.token)}", cells)


def cone_lines(part: SceneCone, labels: Sequence[str], width: int) -> list[str]:
    """A map of the response, last row on top; blank is exactly zero."""
    lines = [
        f"A perturbation at layer {part.layer}, position {part.pos} ({_label(labels, part.pos)})"
    ]
    precision = part.precision.get("relative")
    least = max(precision.floor, precision.resolution) if precision else 0.0
    for response in part.responses:
        most = max((value for row in response.relative for value in row), default=0.0)
        largest = size_words(most, precision)
        lines += ["", f"through {response.through}: largest relative change {largest}"]
        if not most:
            lines.append("nothing changes")
            continue
        lines += _map(response.relative, most, least, width)
    lines += ["", f"each step of '{SHADES[1:]}' is a factor of ten; blank is exactly zero"]
    if precision is not None:
        lines.append(f"'{ROUNDING}' stands for {under_words(precision, 'of the node')}")
    zero = "bitwise zero" if part.outside_zero else "NOT zero"
    lines.append(f"outside the cone: {zero}")
    if part.derivative_error is not None:
        lines.append(f"finite step against the derivative: {part.derivative_error:.1e}")
    if part.additivity_error is not None:
        lines.append(f"residual + kv against both: {part.additivity_error:.1e}")
    return [short for line in lines for short in _clip_or_fold(line, width)]


def _clip_or_fold(line: str, width: int) -> list[str]:
    """A line of a map as it is, a sentence folded."""
    return [clip_cells(line, width)] if line.endswith("|") else fold_cells(line, width)


def _map(relative: Sequence[Sequence[float]], most: float, least: float, width: int) -> list[str]:
    """One character per node; where there is no room, for several the largest of them."""
    deep = -(-len(relative) // MOST_ROWS)
    wide = max(1, -(-len(relative[0]) // max(1, width - 7)))
    lines = []
    for first in range((len(relative) - 1) // deep * deep, -1, -deep):
        columns = list(zip(*relative[first : first + deep], strict=True))
        cells = [columns[at : at + wide] for at in range(0, len(columns), wide)]
        largest = (max(v for column in cell for v in column) for cell in cells)
        shades = "".join(_shade(value, most, least) for value in largest)
        lines.append(f"{first:4} |{shades}|")
    if deep > 1 or wide > 1:
        lines.append(f"(a character is the largest of {deep} rows x {wide} columns)")
    return lines


def _shade(value: float, most: float, least: float) -> str:
    if value <= least:
        return ROUNDING if value else " "
    below = math.log10(most) - math.log10(value)
    return SHADES[max(1, DECADES - int(below))]


def _label(labels: Sequence[str], pos: int) -> str:
    return visible_text(labels[pos]) if pos < len(labels) else str(pos)


def orders_lines(part: SceneOrders, width: int) -> list[str]:
    """One line per order, several where there is little room, and the floor to compare with."""
    precision = part.precision.get("nats")
    floor = f"equivalent plain runs differ by {part.floor_nats:.1e} nats"
    if precision is not None:
        floor += f", the rounding of {precision.dtype} alone by up to {precision.resolution:.1e}"
    if part.orders:
        floor += "; " + _nodes_agree(part.orders, precision)
    if width < TABLE:
        lines = [_order_words(order, precision) for order in part.orders]
        return _fold_sentences([*lines, floor], width)
    lines = [
        "order            slices  widest   chain  blocks of all       seconds       nats       ulp"
    ]
    for order in part.orders:
        nats = "–" if order.nats is None else _apart(order.nats, precision)
        ulp = "–" if order.ulp is None else f"{order.ulp:.1f}"
        lines.append(
            f"{pad_cells(readable_text(order.name), 15)}{order.n_slices:8}{order.widest:8}"
            f"{order.longest_chain:8}{order.blocks:8} of {order.of_blocks:<8}{order.seconds:9.3f}"
            f"{nats:>11}{ulp:>10}"
        )
    return [*(clip_cells(line, width) for line in lines), *fold_cells(floor, width)]


def _nodes_agree(orders: Sequence[SceneOrder], precision: ScenePrecision | None) -> str:
    """What every order was held against, and what it means where one lies over the floor."""
    worst = max(order.row_error for order in orders)
    words = f"every node that ran is within {worst:.1e} of its norm of the plain run's"
    over = precision is not None and any(told(order.nats or 0.0, precision) for order in orders)
    return words + (": what lies over the floor is the rounding of other shapes" if over else "")


def _apart(nats: float, precision: ScenePrecision | None) -> str:
    """How far an order is from the plain run, or that this is no more than rounding."""
    if precision is None or told(nats, precision):
        return f"{nats:.1e}"
    return f"< {max(precision.floor, precision.resolution):.2g}"


def _order_words(order: SceneOrder, precision: ScenePrecision | None) -> str:
    words = [
        f"{readable_text(order.name)}: {order.n_slices} slices",
        f"widest {order.widest}",
        f"longest chain {order.longest_chain}",
        f"{order.blocks} of {order.of_blocks} blocks",
        f"{order.seconds:.3f} s",
    ]
    if order.nats is not None:
        words.append(f"{_apart(order.nats, precision)} nats")
    if order.ulp is not None:
        words.append(f"{order.ulp:.1f} ulp")
    return ", ".join(words)
